"""Finds every value of a whole text, however long it is, without holding the event loop up.

A value may lie bare only once another one is taken out (`a@b.co4111...`), so the text is looked at again, with marks
for what was found, until nothing more is. What is found depends on the text and the guard's configuration alone: not on
what will be put in the place of values. So it can be remembered, and a reply that repeats the redacted text has nothing
in it that was not found on the way in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from guards.cache import Remembered
from guards.spans.allow import Allow
from guards.spans.detector import KEPT, Span, plain
from guards.spans.finder import Finder, Found
from guards.spans.reading import kept_before
from guards.spans.scanner import Scanner
from guards.spans.view import View
from guards.turns import Pace, is_short

MOST_PASSES = 16  # over one text; more are only needed by one that was made to need them
_WORTH_REMEMBERING = 64  # characters; a shorter text is sooner scanned than hashed


class Hit(NamedTuple):
    """A value at `text[start:end]`. Holds no text."""

    start: int
    end: int
    kind: str
    canonical: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Sought:
    """`complete`: nothing is left; else the text was made to have ever more values laid bare."""

    hits: Sequence[Hit]
    complete: bool = True


class Seeker:
    """`finder_kinds`: what the finder is asked for."""

    def __init__(self, scanner: Scanner, allow: Allow | None, finder: Finder | None, finder_kinds: frozenset[str]):
        self._scanner = scanner
        self._allow = allow
        self._finder = finder
        self._finder_kinds = finder_kinds

    async def seek(self, text: str, context: str, remembered: Remembered[Sought] | None) -> Sought:
        """`context`: what stands right before the text; it is read, and nothing in it is reported."""
        if remembered is None or len(text) < _WORTH_REMEMBERING:
            return await self._seek(text, context)
        key = remembered.key(f"{context}\0{text}" if context else text)
        known = remembered.get(key)
        if known is None:
            known = await self._seek(text, context)
            remembered.put(key, known, 60 + 150 * len(known.hits))
        return known

    async def _seek(self, text: str, context: str) -> Sought:
        before = context[-KEPT:]
        spans = await scan(self._scanner, before + text, len(before))
        if not spans and self._finder is None:
            return _NOTHING
        hits = [self._hit(span, len(before)) for span in spans]
        taken = self._without_allowed(text, hits)
        if self._finder is not None:
            names = list(names_beside(text, await self._finder.find(text), hits, self._finder_kinds))
            taken = sorted((*taken, *self._without_allowed(text, names)))
        if not taken:
            return _NOTHING
        for _ in range(MOST_PASSES):
            view = View(text, [(hit.start, hit.end) for hit in taken])
            spans = await scan(self._scanner, before + view.text, len(before))
            bare = (
                Hit(view.position(span.start - len(before)), view.position(span.end - len(before)), *_source(span))
                for span in spans
            )
            new = self._without_allowed(text, bare)
            if not new:
                return Sought(taken)
            taken = sorted((*taken, *new))
        return Sought(taken, complete=False)

    @staticmethod
    def _hit(span: Span, before: int) -> Hit:
        return Hit(span.start - before, span.end - before, *_source(span))

    def _without_allowed(self, text: str, hits: Iterator[Hit] | Sequence[Hit]) -> list[Hit]:
        if self._allow is None:
            return list(hits)
        covers = self._allow.covers
        return [hit for hit in hits if not covers(text[hit.start : hit.end], hit.canonical)]


_NOTHING = Sought(())


def _source(span: Span) -> tuple[str, Callable[[str], str]]:
    return span.detector.kind, span.detector.canonical


async def scan(scanner: Scanner, text: str, begin: int) -> list[Span]:
    """All values from `begin` on, in order. A long text is looked at in pieces; the answer is the same."""
    if is_short(text):
        return scanner.find(text, begin)
    spans: list[Span] = []
    pace = Pace()
    end = begin
    while begin < len(text):
        end = max(begin, end) + pace.size

        def look(low: int = kept_before(text, begin), high: int = end, first: int = begin) -> int:
            window = text[low:high]
            limit = len(window) if high >= len(text) else scanner.open_from(window, first - low)
            decided = limit
            for span in scanner.find(window, first - low, limit):
                spans.append(Span(low + span.start, low + span.end, span.detector))
                decided = max(decided, span.end)
            return low + decided

        begin = await pace.take(look)
    return spans


def names_beside(
    text: str, found: Sequence[Found], hits: Sequence[Hit], kinds: frozenset[str] | None = None
) -> Iterator[Hit]:
    """What a finder found, without what lies in values found by pattern, and without blanks and marks at its ends."""
    taken = [(hit.start, hit.end) for hit in hits]
    position = 0
    for name in sorted(found, key=lambda name: name.start):
        if kinds is not None and name.kind not in kinds:
            continue
        start, end = max(position, name.start), min(name.end, len(text))
        for low, high in (*(span for span in taken if span[1] > start and span[0] < end), (end, end)):
            if (piece := _trimmed(text, start, min(low, end))) is not None:
                yield Hit(*piece, name.kind, plain)
            start = max(start, high)
        position = max(position, end)


def _trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    """The place without what is neither letter nor digit at its ends; None if no letter is in it."""
    while start < end and not text[start].isalnum():
        start += 1
    while end > start and not text[end - 1].isalnum():
        end -= 1
    return (start, end) if any(map(str.isalpha, text[start:end])) else None
