"""Filters of one growing text, one behind the other."""

from __future__ import annotations

from collections.abc import Sequence

from guards.types import StreamFilter


class Chain:
    """Filters in a row: what leaves one enters the next."""

    def __init__(self, filters: Sequence[StreamFilter]) -> None:
        self._filters = filters

    @property
    def held(self) -> str:
        return "".join(stream.held for stream in reversed(self._filters))

    async def feed(self, text: str) -> str:
        for stream in self._filters:
            if not text:
                break
            text = await stream.feed(text)
        return text

    async def finish(self) -> str:
        text = ""
        for stream in self._filters:
            text = (await stream.feed(text) if text else "") + await stream.finish()
        return text
