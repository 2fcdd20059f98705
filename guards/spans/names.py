"""Names in a text that is still being written: what only a finder finds, looked for in windows.

A finder needs the words around a name, and is too slow to be asked at every word. So words wait until there are enough
of them, or a line ends, or the text; then the finder sees them, with some of what has left before. All words leave but
the last two, which may be the beginning of a name, and a name that reaches into those. Where a window ends depends on
the text alone, so the answer does not depend on how the text was cut.

The first window is small: the first words leave early. What is fixed (values found by pattern, the caller's own that
were put back) is a mark to a window and a single `…` to the finder: it never sees those values, and no name reaches
into them.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence

from guards.spans.finder import Finder
from guards.spans.fold import MARK
from guards.spans.judge import Judge, Piece
from guards.spans.seek import Hit, names_beside

FIRST_WORDS = 6
WORDS = 12
STEP = 2  # words by which a window grows that ends in a name
MOST_HELD = 160  # characters
CONTEXT = 200  # characters that have left and are shown again

_WORD = re.compile(r"\S+\s")
_LAST_TWO_WORDS = re.compile(r"(?:\S+\s+)?\S*\s*\Z")
_STAND_IN = "…"  # for the finder: of one character, and part of no word


class NameFilter:
    """`kinds`: what the finder is asked for. `whole`: the text comes in one go and is one window, however long."""

    def __init__(self, judge: Judge, finder: Finder, kinds: frozenset[str], *, whole: bool = False) -> None:
        self._judge = judge
        self._finder = finder
        self._kinds = kinds
        self._whole = whole
        self._text = ""  # undecided, with marks for what is fixed
        self._fixed: deque[Piece] = deque()
        self._context = ""
        self._words = FIRST_WORDS

    @property
    def held(self) -> str:
        """The undecided text as it came."""
        first, *rest = self._text.split(MARK)
        return first + "".join(piece.raw + after for piece, after in zip(self._fixed, rest, strict=True))

    @property
    def look_back(self) -> int:
        return MOST_HELD

    async def feed(self, pieces: Sequence[Piece], *, final: bool) -> str:
        """Take what is decided otherwise; return what may be sent. Raises GuardBlocked."""
        for piece in pieces:
            if piece.fixed:
                self._text += MARK
                self._fixed.append(piece)
            else:
                self._text += piece.out
                self._fixed.extend([Piece(MARK, MARK, True)] * piece.out.count(MARK))
        out: list[str] = []
        while (end := self._window(final=final)) is not None:
            out.append(await self._decide(end, last=final and end == len(self._text)))
        return "".join(out)

    def _window(self, *, final: bool) -> int | None:
        """Where the next window ends; None if more text is needed to know."""
        text = self._text
        if self._whole:
            return len(text) if final and text else None
        line = text.find("\n", 0, MOST_HELD)
        known = text[: line + 1 if line >= 0 else MOST_HELD]
        for count, word in enumerate(_WORD.finditer(known), start=1):
            if count == self._words:
                return word.end()
        if line >= 0 or len(known) == MOST_HELD:
            return len(known)
        return len(text) if final and text else None

    async def _decide(self, end: int, *, last: bool) -> str:
        window = self._text[:end]
        hits: list[Hit] = []
        if any(map(str.isalpha, window)):
            shown = (self._context + window).replace(MARK, _STAND_IN)
            marks = [Hit(at, at + 1, "", str) for at, char in enumerate(self._context + window) if char == MARK]
            before = len(self._context)
            left = Hit(0, before, "", str)  # what has left is no part of a name any more
            found = names_beside(shown, await self._finder.find(shown), [left, *marks], self._kinds)
            hits += (hit._replace(start=hit.start - before, end=hit.end - before) for hit in found)
        cut = end
        if not last and not window.endswith("\n"):
            cut = self._safe_cut(window, hits)
            if cut == 0 and end < MOST_HELD:
                self._words += STEP
                return ""
            cut = cut or max((hit.start for hit in hits if hit.end == end), default=0) or end
        self._words = WORDS
        return self._leave(cut, [hit for hit in hits if hit.start < cut])

    @staticmethod
    def _safe_cut(window: str, hits: Sequence[Hit]) -> int:
        """Before the last words, and before a name that reaches into them."""
        match = _LAST_TWO_WORDS.search(window)
        cut = match.start() if match else 0
        for hit in hits:
            if hit.start < cut < hit.end:
                cut = hit.start
        return cut

    def _leave(self, cut: int, hits: Sequence[Hit]) -> str:
        text, self._text = self._text, self._text[cut:]
        self._context = (self._context + text[:cut])[-CONTEXT:]
        out: list[str] = []
        position = 0
        for hit in hits:
            out += (self._plain(text[position : hit.start]), self._name(text, hit))
            position = hit.end
        out.append(self._plain(text[position:cut]))
        return "".join(out)

    def _name(self, text: str, hit: Hit) -> str:
        return self._judge.name_of(hit.kind, text[hit.start : hit.end], hit.canonical)

    def _plain(self, text: str) -> str:
        first, *rest = text.split(MARK)
        return first + "".join(self._fixed.popleft().out + after for after in rest)
