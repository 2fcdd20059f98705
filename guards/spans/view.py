"""A text as detectors get to see it once some of its values are taken: each of those is one mark.

So what is found around a taken value does not depend on what was put in its place, and no value reaches into it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from guards.spans.fold import MARK


class View:
    """`taken`: start and end of what is taken, in order, not overlapping."""

    __slots__ = ("_marks", "_shifts", "text")

    def __init__(self, text: str, taken: Iterable[tuple[int, int]]) -> None:
        pieces: list[str] = []
        self._marks = [-1]  # where marks stand in the view
        self._shifts = [0]  # what to add from a mark on, itself left out
        position = shift = 0
        for start, end in taken:
            pieces += (text[position:start], MARK)
            self._marks.append(start - shift)
            shift += end - start - 1
            self._shifts.append(shift)
            position = end
        self.text = "".join((*pieces, text[position:])) if pieces else text

    def position(self, place: int) -> int:
        """Where a place of the view is in the text; a mark's place is the start of what it stands for."""
        index = bisect_right(self._marks, place - 1) - 1
        return place + self._shifts[index]
