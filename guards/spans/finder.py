"""Finders: what finds values by understanding a text rather than by its bytes. They may take their time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Found:
    """A value at `text[start:end]`, in characters. Holds no text."""

    start: int
    end: int
    kind: str


class Finder(Protocol):
    """Finds values of some kinds in whole texts; keeps none of them."""

    @property
    def kinds(self) -> frozenset[str]:
        """What it finds. Known in full once it is prepared."""
        ...

    async def prepare(self) -> None:
        """Load what it works with and try it. Raises GuardConfigError."""
        ...

    async def close(self) -> None: ...

    async def find(self, text: str) -> Sequence[Found]:
        """In order, not overlapping."""
        ...
