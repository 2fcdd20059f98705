"""Equal requests at once go upstream once: the first leads, the others wait for what it brings. In this process only.

Nobody fails with the leader. If its caller leaves, the first who waits leads in its place. If it failed, or its answer
is not to be shared, each goes by itself: waiting for one another in turn would take as many times as long.
"""

from __future__ import annotations

import asyncio
from enum import Enum

__all__ = ["Flight", "Flights"]


class _Lost(Enum):
    """How a flight ends that brings nothing."""

    LEFT = "left"  # the leader's caller is gone
    FAILED = "failed"


class Flight:
    """What the leader holds. One of its methods is called, once; later calls do nothing."""

    def __init__(self, flights: dict[bytes, Flight], key: bytes) -> None:
        self._flights = flights
        self._key = key
        self._landing: asyncio.Future[bytes | _Lost] = asyncio.get_running_loop().create_future()

    def land(self, payload: bytes) -> None:
        """Hand the answer to all who wait."""
        self._end(payload)

    def leave(self) -> None:
        """Somebody else may lead."""
        self._end(_Lost.LEFT)

    def fail(self) -> None:
        """Each is to go by itself."""
        self._end(_Lost.FAILED)

    async def wait(self) -> bytes | _Lost:
        return await asyncio.shield(self._landing)  # one waiter's cancellation is not the others'

    def _end(self, how: bytes | _Lost) -> None:
        if not self._landing.done():
            del self._flights[self._key]
            self._landing.set_result(how)


class Flights:
    """Every flight under way."""

    def __init__(self) -> None:
        self._under_way: dict[bytes, Flight] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    async def join(self, key: bytes, patience: float) -> Flight | bytes | None:
        """Lead, if nobody does: then a Flight. Else what the leader brings, or None: go by yourself.

        None also when `patience` seconds have passed.
        """
        if key in self._under_way:
            try:
                async with asyncio.timeout(patience):
                    while (flight := self._under_way.get(key)) is not None:
                        landed = await flight.wait()
                        if isinstance(landed, bytes):
                            return landed
                        if landed is _Lost.FAILED:
                            return None
            except TimeoutError:
                return None
        flight = self._under_way[key] = Flight(self._under_way, key)
        return flight
