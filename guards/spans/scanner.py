"""Finds every value in a text: one gate over all patterns, then only the detectors whose pattern is there.

Where candidates overlap, the one that starts first wins; of those that start at one place, an operator's own
recognizer, then the detector that stands first. What a loser has beyond the winner's end may still hold another
candidate. One pass does not find a value glued to the end of another (`a@b.co4111...`): it has no beginning there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import re2

from guards.spans.detector import Detector, Span
from guards.spans.fold import TAKEN, fold
from guards.spans.reading import Reading, begun_escape, decoded, reading_of
from guards.spans.recognizers import Encoded, Recognizer

_GATE_MEMORY = 64 * 2**20  # bytes, at most; where RE2 runs out of it, it begins anew and is fifty times slower


class Scanner:
    """The detectors of one guard, ready to run. Holds no text; safe to share between requests and threads.

    With `recognizers` it must be given the text beside its folded form.
    """

    def __init__(self, detectors: Sequence[Detector], recognizers: Sequence[Recognizer] = ()) -> None:
        self._detectors = tuple(detectors)
        self._recognizers = tuple(recognizers)
        self._gates = tuple(_gates(self._detectors))
        # Detectors may share a tail (all written numbers do); each is searched once.
        longest_last = sorted(self._detectors, key=lambda detector: detector.longest_tail)
        self._tails = tuple({detector.tail: detector for detector in longest_last}.values())
        sources: list[Detector | Recognizer] = [*self._detectors, *self._recognizers]
        self._escaped = {id(source): _Escaped(source.kind, _decoding(source.canonical)) for source in sources}
        self.kinds = frozenset(source.kind for source in sources)
        self.look_back = max((source.longest_tail for source in sources), default=0)

    def spans(self, folded: bytes, begin: int = 0, limit: int | None = None, text: str = "") -> Iterator[Span]:
        """The values that start at `begin` or later and before `limit` (default: the end), in order.

        What stands before `begin` is context: read, never part of a value.
        """
        if limit is None:
            limit = len(folded)
        if begin >= limit:
            return
        yield from self._spans(self._ranks(folded), folded, begin, limit, text)

    def _ranks(self, folded: bytes) -> list[int]:
        """The detectors whose pattern is anywhere in the text."""
        return [rank for gate, ranks_of in self._gates for at in gate.Match(folded) or () for rank in ranks_of[at]]

    def _spans(self, ranks: Sequence[int], folded: bytes, begin: int, limit: int, text: str) -> Iterator[Span]:
        starts = sorted(
            {(start, rank) for rank in ranks for start in self._detectors[rank].starts(folded, begin) if start < limit}
        )
        if self._recognizers:
            yield from self._with_recognizers(starts, folded, begin, limit, text)
            return
        position = begin
        for start, rank in starts:
            if start < position:
                continue
            end = self._detectors[rank].end(folded, start)
            if end is not None and folded.find(TAKEN, start, end) < 0:
                yield Span(start, end, self._detectors[rank])
                position = end

    def _with_recognizers(
        self, starts: Sequence[tuple[int, int]], folded: bytes, begin: int, limit: int, text: str
    ) -> Iterator[Span]:
        ahead = _Ahead(self._recognizers, Encoded(text, folded), begin)
        position = begin
        for start, rank in starts:
            for own in ahead.until(start + 1, position):
                yield own
                position = own.end
            if start < position:
                continue
            end = self._detectors[rank].end(folded, start)
            if end is not None and folded.find(TAKEN, start, end) < 0:
                yield Span(start, end, self._detectors[rank])
                position = end
        yield from ahead.until(limit, position)

    def find(self, text: str, begin: int = 0, limit: int | None = None) -> list[Span]:
        """The values of a text, as `spans` says, and those that are only there once its escapes are decoded."""
        folded = fold(text)
        reading = reading_of(text)
        end = len(text) if limit is None else limit
        if reading is None:
            ranks = self._ranks(folded)
            if not ranks and not self._recognizers:
                return []  # as it is with most texts
            return list(self._spans(ranks, folded, begin, end, text)) if begin < end else []
        found: list[Span] = []
        plain = self.spans(folded, begin, end, text)
        folded_reading = fold(reading.text)
        hidden = self._hidden(reading, folded_reading, begin, end)
        one, other = next(plain, None), next(hidden, None)
        while one or other:
            if other is None or (one and (one.start, -one.end) <= (other.start, -other.end)):
                assert one is not None
                found.append(one)
            else:
                found.append(other)
            position = found[-1].end
            if one and one.start < position:  # it is taken, or lies in what is: look again behind that
                plain = self.spans(folded, position, end, text)
                one = next(plain, None)
            if other and other.start < position:
                hidden = self._hidden(reading, folded_reading, position, end)
                other = next(hidden, None)
        return found

    def _hidden(self, reading: Reading, folded: bytes, begin: int, limit: int) -> Iterator[Span]:
        """Values of which something is escaped, where they stand in the text as it is written."""
        first, last = reading.read(begin), reading.read(limit)
        for span in self.spans(folded, first, last, reading.text):
            if reading.escapes_in(span.start, span.end):
                source = self._escaped[id(span.detector)]
                yield Span(reading.written(span.start), reading.written(span.end), source)

    def open_from(self, text: str, begin: int) -> int:
        """The first place from `begin` on where a value may start that more text could still change, escaped or not."""
        first = self.undecided(fold(text), begin, text)
        begun = max(begin, begun_escape(text))
        known = text[:begun]
        if begun < len(text):  # what it will stand for may go on with what is before it
            first = min(first, self.undecided(fold(known), begin, known))
        reading = reading_of(known)
        if reading is None:
            return first
        hidden = reading.written(self.undecided(fold(reading.text), reading.read(begin), reading.text))
        return max(begin, reading.apart(min(first, hidden)))

    def undecided(self, folded: bytes, begin: int, text: str = "") -> int:
        """The first place from `begin` on where a value may start that more text could still change."""
        size = first = len(folded)
        if begin >= size:
            return size
        last = folded[-1]
        for detector in self._tails:
            if last not in detector.tail_bytes:
                continue
            token = len(folded.rstrip(detector.tail_bytes))
            lowest = max(begin, token, size - detector.longest_tail)
            if lowest < first and (match := detector.tail.search(folded, lowest)):
                first = min(first, match.start())
        if self._recognizers:
            encoded = Encoded(text, folded)
            first = min(first, *(recognizer.undecided(encoded, begin) for recognizer in self._recognizers))
        return first


@dataclass(frozen=True, slots=True)
class _Escaped:
    """What finds a value of which some is escaped."""

    kind: str
    canonical: Callable[[str], str]


def _decoding(canonical: Callable[[str], str]) -> Callable[[str], str]:
    return lambda value: canonical(decoded(value))


def _gates(detectors: Sequence[Detector]) -> Iterator[tuple[re2.Set, list[list[int]]]]:
    """Automata that say which detectors have something to do, and the ranks behind each of their patterns.

    Equal gates count once. Words (`(?i:...)`) and figures stand apart: one automaton for both would need a state for
    each pair of theirs, built one by one as a text full of figures comes by (0.15 s for 30,000 of them).
    """
    for words in (True, False):
        ranks: dict[bytes, list[int]] = {}
        for rank, detector in enumerate(detectors):
            if (b"(?i:" in detector.gate) is words:
                ranks.setdefault(detector.gate, []).append(rank)
        if not ranks:
            continue
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        options.max_mem = _GATE_MEMORY
        gate = re2.Set.SearchSet(options)
        for pattern in ranks:
            gate.Add(pattern)
        gate.Compile()
        yield gate, list(ranks.values())


class _Ahead:
    """The next value of every recognizer, searched for when it is asked for."""

    def __init__(self, recognizers: Sequence[Recognizer], text: Encoded, begin: int) -> None:
        self._recognizers = recognizers
        self._text = text
        self._next = [recognizer.next(text, begin) for recognizer in recognizers]

    def until(self, limit: int, position: int) -> Iterator[Span]:
        """The values from `position` on that start before `limit`, in order, not overlapping."""
        while (rank := self._first(position)) is not None:
            start, end = self._next[rank] or (limit, limit)
            if start >= limit:
                return
            yield Span(start, end, self._recognizers[rank])
            position = end

    def _first(self, position: int) -> int | None:
        """Whose next value from `position` on comes first."""
        first: int | None = None
        lowest = 0
        for rank, value in enumerate(self._next):
            if value is not None and value[0] < position:
                value = self._next[rank] = self._recognizers[rank].next(self._text, position)
            if value is not None and (first is None or value[0] < lowest):
                first, lowest = rank, value[0]
        return first
