"""From a request's headers to its principal.

A found key is remembered for at most a second, so that a change binds everywhere within one; in the process that
changes it, at once. Nothing but the credential's own headers is looked at.
"""

from __future__ import annotations

import asyncio
import hmac
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

import structlog
from sqlalchemy.exc import SQLAlchemyError

from gateway.admission.principals import Principal, Role
from gateway.errors import AdminRequired, InvalidKey, StorageUnavailable
from gateway.http import Scope
from gateway.storage.credentials import Credential, Credentials
from gateway.storage.keys import PREFIX, hash_secret

log = structlog.get_logger(__name__)

CACHE_SECONDS = 1.0
CACHE_SIZE = 10_000
LOOK_UP_SECONDS = 0.8  # how long a request waits for the database
RETRY_SECONDS = 1.0  # how long a database that failed is left alone
MAX_SECRET = 512  # characters; ours have 46
_ADMIN = Principal(key_id="admin", key_name="admin", role=Role.ADMIN)
_NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a look-up that began at `at` found. None: no such key; remembered too, or each would cost a query."""

    at: float
    credential: Credential | None


class Authenticator:
    """`stale_seconds`: how long a key that was seen goes on while the database is down; 0: it does not."""

    def __init__(
        self,
        credentials: Credentials,
        admin_secret: str,
        *,
        stale_seconds: float = 0.0,
        clock: Callable[[], float] = monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._credentials = credentials
        self._admin_hash = hash_secret(admin_secret)
        self._stale_seconds = stale_seconds
        self._clock = clock
        self._now = now
        # By hash. Apart, so that a flood of unknown keys drives no known one out.
        self._known: OrderedDict[str, _Seen] = OrderedDict()
        self._unknown: OrderedDict[str, _Seen] = OrderedDict()
        self._look_ups: dict[str, asyncio.Task[Credential | None]] = {}
        self._running: set[asyncio.Task[Credential | None]] = set()  # the event loop alone would let go of them
        self._failed_at = _NEVER

    async def authenticate(self, scope: Scope) -> Principal:
        """Who sent this request. Raises InvalidKey, StorageUnavailable."""
        secret = credential(scope)
        if secret is None:
            raise InvalidKey("No API key was given. Send it as 'Authorization: Bearer KEY'.")
        if len(secret) > MAX_SECRET:
            raise _invalid()
        digest = hash_secret(secret)
        if hmac.compare_digest(digest, self._admin_hash):
            return _ADMIN
        if not secret.startswith(PREFIX):
            raise _invalid()
        found = await self._find(digest)
        if found is None or not found.usable(self._now()):
            raise _invalid()
        return found.principal

    async def require(self, scope: Scope, *roles: Role) -> Principal:
        """The caller, if it has one of the roles. Raises AdminRequired and what `authenticate` does."""
        principal = await self.authenticate(scope)
        if principal.role not in roles:
            raise AdminRequired("This needs the admin key or a key with the admin role.")
        return principal

    def forget(self) -> None:
        """A key, a user or a team has changed: look all of them up again."""
        self._known.clear()
        self._unknown.clear()
        self._look_ups.clear()  # those under way may have read what was before; their callers get it, nobody else

    async def _find(self, digest: str) -> Credential | None:
        seen = self._known.get(digest) or self._unknown.get(digest)
        now = self._clock()
        if seen is not None and now - seen.at < CACHE_SECONDS:
            return seen.credential
        try:
            return await self._look_up(digest, now)
        except StorageUnavailable:
            if seen is not None and seen.credential is not None and now - seen.at < self._stale_seconds:
                return seen.credential
            raise

    async def _look_up(self, digest: str, now: float) -> Credential | None:
        task = self._look_ups.get(digest)
        if task is None:
            if now - self._failed_at < RETRY_SECONDS:
                raise _unavailable()
            if self._failed_at != _NEVER:
                self._failed_at = now  # this look-up finds out whether it is back; others wait for that no longer
            task = self._look_ups[digest] = asyncio.create_task(self._query(digest, now))
            self._running.add(task)
            task.add_done_callback(lambda done: self._finished(digest, done))
        # Unlike `wait_for`, this neither cancels what others wait for nor waits until the driver has cleaned up.
        done, _ = await asyncio.wait({task}, timeout=LOOK_UP_SECONDS)
        if not done:
            self._failed("no answer in time")
            task.cancel()
            self._drop(digest, task)
            raise _unavailable()
        if task.cancelled() or task.exception() is not None:
            raise _unavailable()
        return task.result()

    async def _query(self, digest: str, now: float) -> Credential | None:
        found = await self._credentials.find(digest)
        self._failed_at = _NEVER
        if self._look_ups.get(digest) is asyncio.current_task():
            self._remember(digest, _Seen(now, found))
        return found

    def _remember(self, digest: str, seen: _Seen) -> None:
        cache, other = self._known, self._unknown
        if seen.credential is None:
            cache, other = other, cache
        other.pop(digest, None)
        cache[digest] = seen
        cache.move_to_end(digest)
        if len(cache) > CACHE_SIZE:
            cache.popitem(last=False)

    def _finished(self, digest: str, task: asyncio.Task[Credential | None]) -> None:
        self._running.discard(task)
        self._drop(digest, task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, SQLAlchemyError | OSError):
            self._failed(repr(error))
        elif error is not None:
            log.error("key cannot be read", error=repr(error))  # a fault of that row, not of the database

    def _failed(self, reason: str) -> None:
        self._failed_at = self._clock()
        log.error("key look-up failed", error=reason)

    def _drop(self, digest: str, task: asyncio.Task[Credential | None]) -> None:
        if self._look_ups.get(digest) is task:
            del self._look_ups[digest]


def credential(scope: Scope) -> str | None:
    """The one secret a request was sent with, if any. Raises InvalidKey for several that differ.

    An Authorization of another scheme is some proxy's affair, unless it is all there is; then InvalidKey says so.
    """
    found = set()
    other_scheme = False
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, secret = value.decode("latin-1").strip().partition(" ")
            if scheme.lower() == "bearer":
                found.add(secret.strip())
            else:
                other_scheme = True
        elif name in (b"x-api-key", b"api-key"):
            found.add(value.decode("latin-1").strip())
    found.discard("")
    if len(found) > 1:
        raise InvalidKey("The request has several API keys that differ; send one.")
    if not found and other_scheme:
        raise InvalidKey("The Authorization header must be 'Bearer KEY'.")
    return found.pop() if found else None


def _invalid() -> InvalidKey:
    return InvalidKey("The API key is not valid: it is unknown, revoked or expired.")


def _unavailable() -> StorageUnavailable:
    return StorageUnavailable("Keys cannot be checked right now; try again.")
