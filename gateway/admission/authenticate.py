"""From a request's headers to its principal.

A found key is remembered for at most a second, so that a revocation binds everywhere within one; in the process that
revokes, at once.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic

import structlog

from gateway.admission.principals import Principal, Role
from gateway.errors import AdminRequired, InvalidKey, StorageUnavailable
from gateway.http import Scope, header
from gateway.storage.keys import KeyRepository, StoredKey, hash_secret

log = structlog.get_logger(__name__)

CACHE_SECONDS = 1.0
CACHE_SIZE = 10_000
MAX_SECRET = 512  # characters; ours have 46
_ADMIN = Principal(key_id="admin", key_name="admin", role=Role.ADMIN)


class Authenticator:
    def __init__(
        self,
        keys: KeyRepository,
        admin_secret: str,
        *,
        clock: Callable[[], float] = monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._keys = keys
        self._admin_hash = hash_secret(admin_secret)
        self._clock = clock
        self._now = now
        # hash -> when it was looked up, and what was found: unknown keys too, or they would cost a query each.
        self._cache: OrderedDict[str, tuple[float, StoredKey | None]] = OrderedDict()

    async def authenticate(self, scope: Scope) -> Principal:
        """Who sent this request. Raises InvalidKey, StorageUnavailable."""
        secret = _secret(scope)
        if secret is None:
            raise InvalidKey("No API key was given. Send it as 'Authorization: Bearer KEY'.")
        if len(secret) > MAX_SECRET:
            raise _invalid()
        digest = hash_secret(secret)
        if hmac.compare_digest(digest, self._admin_hash):
            return _ADMIN
        key = await self._find(digest)
        if key is None or not key.usable(self._now()):
            raise _invalid()
        return key.principal()

    async def require(self, scope: Scope, *roles: Role) -> Principal:
        """The caller, if it has one of the roles. Raises AdminRequired and what `authenticate` does."""
        principal = await self.authenticate(scope)
        if principal.role not in roles:
            raise AdminRequired("This needs the admin key or a key with the admin role.")
        return principal

    def forget(self) -> None:
        """A key has changed: look all of them up again."""
        self._cache.clear()

    async def _find(self, digest: str) -> StoredKey | None:
        now = self._clock()
        cached = self._cache.get(digest)
        if cached is not None and now - cached[0] < CACHE_SECONDS:
            return cached[1]
        try:
            key = await self._keys.find_by_hash(digest)
        except Exception as error:
            log.error("key look-up failed", error=repr(error))
            raise StorageUnavailable("Keys cannot be checked right now; try again.") from None
        self._cache[digest] = (now, key)
        self._cache.move_to_end(digest)
        if len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)
        return key


def _secret(scope: Scope) -> str | None:
    authorization = header(scope, b"authorization")
    if authorization is not None:
        scheme, _, credential = authorization.strip().partition(" ")
        return credential.strip() or None if scheme.lower() == "bearer" else None
    found = header(scope, b"x-api-key") or header(scope, b"api-key")
    return found.strip() or None if found else None


def _invalid() -> InvalidKey:
    return InvalidKey("The API key is not valid: it is unknown, revoked or expired.")
