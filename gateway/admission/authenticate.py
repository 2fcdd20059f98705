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
from gateway.patience import Countdown
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
        self._look_ups: dict[str, asyncio.Future[_Seen | None]] = {}
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
        answer = self._look_ups.get(digest)
        if answer is None:
            if now - self._failed_at < RETRY_SECONDS:
                raise _unavailable()
            if self._failed_at != _NEVER:
                self._failed_at = now  # this look-up finds out whether it is back; others wait for that no longer
            answer = self._ask(digest, now)
        await asyncio.wait({answer})  # a caller that goes away leaves it to the others
        seen = answer.result()
        if seen is None:
            raise _unavailable()
        return seen.credential

    def _ask(self, digest: str, now: float) -> asyncio.Future[_Seen | None]:
        """Begin a look-up. Its answer is None if the database gives none."""
        answer = self._look_ups[digest] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._credentials.find(digest))
        # Nobody waits for the task itself: a driver that is cancelled may take long to clean up.
        self._running.add(task)

        def give_up() -> None:
            self._failed("no answer in time")
            self._answer(digest, answer, None)
            task.cancel()

        patience = Countdown(LOOK_UP_SECONDS, give_up)

        def finished(task: asyncio.Task[Credential | None]) -> None:
            patience.cancel()
            self._running.discard(task)
            seen = None
            error = None if task.cancelled() else task.exception()
            if isinstance(error, SQLAlchemyError | OSError):
                self._failed(repr(error))
            elif error is not None:
                log.error("key cannot be read", error=repr(error))  # a fault of that row, not of the database
            elif not task.cancelled():
                self._failed_at = _NEVER
                seen = _Seen(now, task.result())
                if self._look_ups.get(digest) is answer:
                    self._remember(digest, seen)
            self._answer(digest, answer, seen)

        task.add_done_callback(finished)
        return answer

    def _remember(self, digest: str, seen: _Seen) -> None:
        cache, other = self._known, self._unknown
        if seen.credential is None:
            cache, other = other, cache
        other.pop(digest, None)
        cache[digest] = seen
        cache.move_to_end(digest)
        if len(cache) > CACHE_SIZE:
            cache.popitem(last=False)

    def _failed(self, reason: str) -> None:
        self._failed_at = self._clock()
        log.error("key look-up failed", error=reason)

    def _answer(self, digest: str, answer: asyncio.Future[_Seen | None], seen: _Seen | None) -> None:
        if self._look_ups.get(digest) is answer:
            del self._look_ups[digest]
        if not answer.done():
            answer.set_result(seen)


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
