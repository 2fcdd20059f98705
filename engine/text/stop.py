"""Finds stop strings in a text that grows piece by piece.

What is returned never contains any part of a match, and nothing is held back that cannot become one: the text
waits only as far as its end is the beginning of a stop string. The result does not depend on how the text was
cut into pieces. One automaton per stop string (Knuth, Morris and Pratt, "Fast Pattern Matching in Strings",
1977): the work per character does not grow with the length of the stop strings.
"""

from __future__ import annotations

from collections.abc import Sequence


class StopFinder:
    """Looks for the first stop string to be completed; of several completed at once, the longest."""

    def __init__(self, stops: Sequence[str]) -> None:
        """`stops` are non-empty strings; with none, every text passes at once."""
        self._matchers = [_Matcher(stop) for stop in stops]
        self._held = ""
        self.found = False

    def feed(self, text: str) -> str:
        """Take the next piece and return what may be shown. Once `found` is set, that text is the last."""
        if self.found:
            return ""
        if not self._matchers:
            return text
        pending = self._held + text
        for index, character in enumerate(text, start=len(self._held) + 1):
            matched = max(matcher.advance(character) for matcher in self._matchers)
            if matched:
                self.found = True
                self._held = ""
                return pending[: index - matched]
        keep = max(matcher.partial for matcher in self._matchers)
        self._held = pending[len(pending) - keep :]
        return pending[: len(pending) - keep]

    def finish(self) -> str:
        """The text has ended without a match: return what was held back."""
        held, self._held = self._held, ""
        return held


class _Matcher:
    """How far one stop string has come: the text ends with its first `partial` characters, and no more."""

    def __init__(self, stop: str) -> None:
        self._stop = stop
        self._borders = _borders(stop)
        self.partial = 0

    def advance(self, character: str) -> int:
        """Take one character; return the stop string's length when it is now complete, else 0."""
        while self.partial and self._stop[self.partial] != character:
            self.partial = self._borders[self.partial - 1]
        if self._stop[self.partial] == character:
            self.partial += 1
        return len(self._stop) if self.partial == len(self._stop) else 0


def _borders(pattern: str) -> list[int]:
    """For each prefix of `pattern`, the length of its longest proper prefix that is also its suffix."""
    borders = [0] * len(pattern)
    length = 0
    for index in range(1, len(pattern)):
        while length and pattern[index] != pattern[length]:
            length = borders[length - 1]
        if pattern[index] == pattern[length]:
            length += 1
        borders[index] = length
    return borders
