"""What several lines have in common: opened by the first that needs it, closed when none that holds it is left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast


class Closable(Protocol):
    async def close(self) -> None: ...


Part = TypeVar("Part", bound=Closable)


@dataclass(slots=True)
class _Held:
    part: Closable
    holders: int


class Shared:
    """Open parts by what they were made from. Two that are made from the same are the same."""

    def __init__(self) -> None:
        self._held: dict[Hashable, _Held] = {}

    async def hold(self, key: Hashable, make: Callable[[], Awaitable[Part]], stack: AsyncExitStack) -> Part:
        """The part made from `key`, held until `stack` is closed. Not for use by two tasks at once."""
        held = self._held.get(key)
        if held is None:
            held = self._held[key] = _Held(await make(), 0)
        held.holders += 1
        stack.push_async_callback(self._release, key)
        return cast(Part, held.part)

    async def _release(self, key: Hashable) -> None:
        held = self._held[key]
        held.holders -= 1
        if not held.holders:
            del self._held[key]
            await held.part.close()
