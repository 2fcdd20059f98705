"""Cuts a stream for a judge that costs money each time it is asked: the first words leave soon, later pieces grow.

The n-th piece ends with the first sentence that ends `n * step` characters or more after its beginning. So a text of N
characters takes about sqrt(2N / step) questions, and what is held back grows no faster than that. As in
`guards.pieces`, where a piece ends depends on the text alone and not on how it was cut.
"""

from __future__ import annotations

import re

from guards.pieces import CONTEXT, Look

_END = re.compile(r"[.!?\u2026][\"')\]*_]*\s+|[\u3002\uff01\uff1f]|\n+")


class GrowingPieces:
    """`step`: characters. A piece is never longer than its least length and one `step` more."""

    def __init__(self, look: Look, step: int) -> None:
        self._look = look
        self._step = step
        self._count = 1
        self._context = ""
        self.held = ""

    async def feed(self, text: str) -> str:
        self.held += text
        out = []
        while (end := self._end()) is not None:
            out.append(await self._next(end))
        return "".join(out)

    async def finish(self) -> str:
        out = []
        while self.held:
            out.append(await self._next(self._end() or len(self.held)))
        return "".join(out)

    def _end(self) -> int | None:
        """Where the next piece ends; None if more text could still move that place."""
        least = self._step * self._count
        most = least + self._step
        if len(self.held) <= least:
            return None
        match = _END.search(self.held, max(0, least - 1), most)
        # What ends a sentence may go on (spaces, quotes): it is known to be over when something else follows.
        if match and (match.end() < len(self.held) or match.end() == most):
            return match.end()
        if len(self.held) <= most:
            return None
        space = self.held.rfind(" ", least, most)
        return space + 1 if space > 0 else most

    async def _next(self, end: int) -> str:
        piece, self.held = self.held[:end], self.held[end:]
        self._count += 1
        out = await self._look(piece, self._context)
        self._context = (self._context + piece)[-CONTEXT:]
        return out
