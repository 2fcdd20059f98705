"""Finds every value in a text: one gate over all patterns, then only the detectors whose pattern is there.

Where candidates overlap, the one that starts first wins; of those that start at one place, the one whose
detector stands first in `DETECTORS`. What a loser has beyond the winner's end may still hold another candidate.
One pass does not find a value glued to the end of another (`a@b.co4111...`): it has no beginning there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import re2

from guards.spans.detector import Detector, Span


class Scanner:
    """The detectors of one guard, ready to run. Holds no text; safe to share between threads."""

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self._detectors = tuple(detectors)
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        self._gate = re2.Set.SearchSet(options)
        for detector in self._detectors:
            self._gate.Add(detector.gate)
        self._gate.Compile()
        # Detectors may share a tail (all written numbers do); each is searched once.
        self._tails = tuple({detector.tail: detector for detector in self._detectors}.values())

    def spans(self, folded: bytes, begin: int = 0, limit: int | None = None) -> Iterator[Span]:
        """The values that start at `begin` or later and before `limit` (default: the end), in order.

        What stands before `begin` is context: read, never part of a value.
        """
        if limit is None:
            limit = len(folded)
        if begin >= limit:
            return
        ranks = self._gate.Match(folded) or ()
        starts = sorted(
            {(start, rank) for rank in ranks for start in self._detectors[rank].starts(folded, begin) if start < limit}
        )
        position = begin
        for start, rank in starts:
            if start < position:
                continue
            end = self._detectors[rank].end(folded, start)
            if end is not None:
                yield Span(start, end, self._detectors[rank])
                position = end

    def undecided(self, folded: bytes, begin: int) -> int:
        """The first place from `begin` on where a value may start that more text could still change."""
        size = first = len(folded)
        for detector in self._tails:
            token = len(folded.rstrip(detector.tail_bytes))
            lowest = max(begin, token, size - detector.longest_tail)
            if lowest < first and (match := detector.tail.search(folded, lowest)):
                first = min(first, match.start())
        return first
