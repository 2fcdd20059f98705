"""Breakers kept alike on all replicas: what opens on one opens on the others within a second. Off the requests' way.

Each replica tells a store what its breakers did and takes over what others' did. Without the store each goes by what it
sees itself. When a cooldown is over every replica lets one request of its own through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

import structlog

from gateway.admission.stores.base import StoreUnavailable
from gateway.routing.breaker import Breaker, State

log = structlog.get_logger(__name__)

EXCHANGE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Opening:
    """An open breaker. `id` names this time of being open among all; `seconds` are left of its cooldown."""

    id: str
    seconds: float


class BreakerStore(Protocol):
    """Where replicas tell each other of open breakers."""

    async def exchange(self, changes: Mapping[str, Opening | None]) -> dict[str, Opening]:
        """Write what changed by target (None: closed), then read all that are open. Raises StoreUnavailable.

        An opening stays after its cooldown, until some replica closes the breaker or has it forgotten.
        """
        ...

    def close(self) -> None: ...


class BreakerSharing:
    """`breakers` are this replica's, by target."""

    def __init__(self, breakers: Mapping[str, Breaker], store: BreakerStore) -> None:
        self._breakers = breakers
        self._store = store
        self._openings: dict[str, str] = {}  # by target: the opening that this replica made or follows
        self._changed: set[str] = set()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        for name, breaker in breakers.items():
            breaker.changed = self._noter(name)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="breaker-sharing")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._store.close()

    async def exchange(self) -> None:
        """Tell what changed here, and follow what changed elsewhere. Raises StoreUnavailable; then it is told later."""
        telling, self._changed = self._changed, set()
        try:
            openings = await self._store.exchange({name: self._tell(name) for name in telling})
        except BaseException:
            self._changed |= telling
            raise
        for name in self._breakers.keys() - self._changed:  # what changed meanwhile is newer than the answer
            self._follow(name, openings.get(name))

    def _noter(self, name: str) -> Callable[[], None]:
        def note() -> None:
            self._changed.add(name)
            self._woken.set()

        return note

    def _tell(self, name: str) -> Opening | None:
        breaker = self._breakers[name]
        if breaker.state is State.CLOSED:
            self._openings.pop(name, None)
            return None
        opening = Opening(uuid4().hex, breaker.opens_in)
        self._openings[name] = opening.id
        return opening

    def _follow(self, name: str, opening: Opening | None) -> None:
        known = self._openings.get(name)
        if opening is None:
            if known is not None:
                del self._openings[name]
                self._breakers[name].follow(None)
        elif opening.id != known:
            self._openings[name] = opening.id
            if opening.seconds > 0:
                self._breakers[name].follow(opening.seconds)

    async def _run(self) -> None:
        failing = False
        while True:
            try:
                await self.exchange()
            except StoreUnavailable as error:
                if not failing:
                    log.warning("breakers are not shared for now; each replica goes by its own", reason=str(error))
                failing = True
                await asyncio.sleep(EXCHANGE_SECONDS)  # a change must not wake it while nobody listens
            else:
                failing = False
            self._woken.clear()
            if not self._changed or failing:
                await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(EXCHANGE_SECONDS):
                await self._woken.wait()
        except TimeoutError:
            return
