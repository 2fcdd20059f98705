"""Guards a growing text piece by piece, where the pieces depend on the text alone and not on how it was cut.

A piece ends after a sentence (`.`, `!`, `?`, their full-width twins, a line's end) or, where none ends in time, after
the last space, or after `longest` characters. It is looked at together with what was sent just before it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

Look = Callable[[str, str], Awaitable[str]]  # (piece, context before it) -> what may be sent for the piece

_END = re.compile(r"[.!?\u2026][\"')\]*_]*\s+|[\u3002\uff01\uff1f]|\n+")
CONTEXT = 200  # characters already sent that are shown again
MOST_HELD = 1_000_000  # characters of a text that can only be judged as a whole


class HeldTooLong(Exception):
    """A text that has to be judged as a whole is longer than can be held."""


class PieceFilter:
    """`longest` None: the whole text is one piece, held back until it ends; HeldTooLong beyond `MOST_HELD`."""

    def __init__(self, look: Look, longest: int | None) -> None:
        self._look = look
        self._longest = longest
        self._context = ""
        self.held = ""

    async def feed(self, text: str) -> str:
        self.held += text
        if self._longest is None:
            if len(self.held) > MOST_HELD:
                raise HeldTooLong
            return ""
        out = []
        while (end := self._end_of_piece(self._longest)) is not None:
            out.append(await self._next(end))
        return "".join(out)

    async def finish(self) -> str:
        out = []
        while self.held:
            end = len(self.held)
            if self._longest is not None:
                end = self._end_of_piece(self._longest) or end
            out.append(await self._next(end))
        return "".join(out)

    def _end_of_piece(self, longest: int) -> int | None:
        """Where the first piece of what is held ends; None if more text could still move that place."""
        match = _END.search(self.held, 0, longest)
        # What ends a piece may go on (spaces, quotes): it is known to be over when something else follows.
        if match and (match.end() < len(self.held) or match.end() == longest):
            return match.end()
        if len(self.held) < longest + 1:
            return None
        space = self.held.rfind(" ", 1, longest)
        return space + 1 if space > 0 else longest

    async def _next(self, end: int) -> str:
        piece, self.held = self.held[:end], self.held[end:]
        out = await self._look(piece, self._context)
        self._context = (self._context + piece)[-CONTEXT:]
        return out
