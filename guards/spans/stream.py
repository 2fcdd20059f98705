"""Guards a text that is still being written.

The rule of the safe cut: text may leave as soon as no value and no placeholder can begin in it any more.
The buffer is cut at the first place where one could still begin (`undecided`); all that starts before it is
final, because detectors are local (see `guards.spans.detector`). So every piece is decided exactly as the
whole text would be, however it was cut.

What is held: a word is held until it ends, since an address may begin with it; a number and the separators
after it, until something else follows; `[` only while this request's placeholders begin like that. Never
more than `look_back` characters. Characters already sent stay as context, nothing else does.

What stands for one of the caller's values is found first, and detectors see a mark in its place: no value reaches
into it, and what is put there is looked at by nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from guards.spans.detector import KEPT, Source
from guards.spans.fold import MARK
from guards.spans.judge import Judge, Piece
from guards.spans.names import NameFilter
from guards.spans.reading import kept_before
from guards.spans.scanner import Scanner
from guards.turns import Pace, is_short


class SpanStreamFilter:
    """Restores and masks one growing text.

    `scanner` None: values are not looked for. `names` None: nor is anything that takes a finder.
    """

    def __init__(self, judge: Judge, scanner: Scanner | None, restore: bool, names: NameFilter | None) -> None:
        self._judge = judge
        self._scanner = scanner
        self._restore = restore
        self._names = names
        self._context = ""  # what left last, or stands before the text, with marks
        self._held = ""

    @property
    def held(self) -> str:
        return (self._names.held if self._names else "") + self._held

    @property
    def look_back(self) -> int:
        """Characters that may be held, at most."""
        pattern = self._scanner.look_back if self._scanner else 0
        restored = self._judge.vault.look_back if self._restore else 0
        return pattern + restored + (self._names.look_back if self._names else 0)

    def begin(self, context: str) -> None:
        """`context`: what stands right before the text."""
        self._context = context[-KEPT:]

    async def feed(self, text: str) -> str:
        """Take the next piece; return what is decided. Raises GuardBlocked."""
        return await self._take(text, final=False)

    async def finish(self) -> str:
        """Return what was held back. Raises GuardBlocked."""
        return await self._take("", final=True)

    async def whole(self, text: str) -> str:
        """Guard a text that is complete, without waiting. Raises GuardBlocked."""
        return await self._take(text, final=True)

    async def _take(self, text: str, *, final: bool) -> str:
        if is_short(text):
            self._held += text
            return await self._named(self._decide(final=final), final=final)
        out: list[str] = []
        pace = Pace()
        start = 0
        while start < len(text):
            end = start + pace.size
            self._held += text[start:end]
            last = final and end >= len(text)
            pieces = await pace.take(lambda last=last: self._decide(final=last))  # type: ignore[misc]
            out.append(await self._named(pieces, final=last))
            start = end
        return "".join(out)

    async def _named(self, pieces: list[Piece], *, final: bool) -> str:
        if self._names is None:
            return "".join(piece.out for piece in pieces)
        return await self._names.feed(pieces, final=final)

    def _decide(self, *, final: bool) -> list[Piece]:
        """What is decided of the held text. Raises GuardBlocked."""
        text = self._held
        known = len(text)  # what lies behind may still become something that stands for a value
        marks: list[tuple[int, int, str]] = []
        if self._restore:
            if not final:
                known = self._judge.vault.undecided(text, 0)
            marks = _apart(self._judge.vault.find(text, 0, known))
        view, found = self._context, []
        first, position = len(view), 0
        for start, end, value in marks:
            view += text[position:start] + MARK
            found.append(_Found(len(view) - 1, len(view), Piece(text[start:end], value, True)))
            position = end
        view += text[position:known]
        cut = len(view)
        if self._scanner and first < cut:
            if not final:
                cut = self._scanner.open_from(view, first)
            for span in self._scanner.find(view, first, cut):
                found.append(_Found(span.start, span.end, span.detector))
                cut = max(cut, span.end)
            found.sort(key=lambda item: item.start)
        self._context = view[kept_before(view, cut) : cut]
        if not found:
            self._held = text[cut - first :]
            return [Piece(text[: cut - first], text[: cut - first], False)]
        pieces = [*self._pieces(view, first, cut, found)]
        self._held = text[sum(len(piece.raw) for piece in pieces) :]
        return pieces

    def _pieces(self, view: str, begin: int, end: int, found: Sequence[_Found]) -> Iterator[Piece]:
        """`view[begin:end]` with everything found in its place. Raises GuardBlocked."""
        for item in found:
            if item.start >= end:
                break
            if begin < item.start:
                yield Piece(view[begin : item.start], view[begin : item.start], False)
            if isinstance(item.what, Piece):
                yield item.what
            else:
                value = view[item.start : item.end]
                yield Piece(value, self._judge.value(item.what.kind, value, item.what.canonical), True)
            begin = item.end
        if begin < end:
            yield Piece(view[begin:end], view[begin:end], False)


class _Found(NamedTuple):
    """What is at `view[start:end]`: a value (found by `what`), or what stands for one (with what comes of it)."""

    start: int
    end: int
    what: Source | Piece


def _apart(marks: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Without those that begin inside of another."""
    out: list[tuple[int, int, str]] = []
    for mark in marks:
        if not out or mark[0] >= out[-1][1]:
            out.append(mark)
    return out
