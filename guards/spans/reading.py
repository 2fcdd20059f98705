"""A text as it is read once what is escaped in it is decoded: `jane%40example.com` is an address too.

Decoded is what stands for one ASCII character in URLs (`%40`), in JSON and code (`\\u0040`, `\\x40`), and in HTML
(`&#64;`, `&#x40;`, a few names). Each by itself and once only, so the same is decoded in a text and in a window of it.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right

from guards.spans.detector import CONTEXT, KEPT

_NAMES = {
    "amp": "&", "colon": ":", "commat": "@", "hyphen": "-", "lowbar": "_", "lpar": "(", "nbsp": " ", "num": "#",
    "period": ".", "plus": "+", "rpar": ")", "sol": "/",
}  # fmt: skip
_ESCAPE = re.compile(
    r"%[2-7][0-9A-Fa-f]|\\u00[2-7][0-9A-Fa-f]|\\x[2-7][0-9A-Fa-f]"
    rf"|&#(?:0?\d{{2,3}}|[xX]0{{0,2}}[2-7][0-9A-Fa-f]);|&(?:{'|'.join(_NAMES)});"
)
_LONGEST = 8
_BEGUN = re.compile(
    r"(?:%[2-7]?|\\(?:u(?:0(?:0[2-7]?)?)?|x[2-7]?)?|&(?:#(?:\d{0,4}|[xX]0{0,2}[2-7]?[0-9A-Fa-f]?)|[a-z]{0,6})?)\Z"
)
_HINTS = ("%", "\\", "&")
_KEPT_ESCAPED = _LONGEST * CONTEXT  # characters of what may all be escapes, for as much context as elsewhere


def kept_before(text: str, place: int) -> int:
    """Where the context of a window that begins at `place` has to begin."""
    low = max(0, place - _KEPT_ESCAPED)
    if any(text.find(hint, low, place) >= 0 for hint in _HINTS):
        return low
    return max(0, place - KEPT)


def decoded(value: str) -> str:
    """A value as it is read."""
    return _ESCAPE.sub(_meaning, value) if any(hint in value for hint in _HINTS) else value


class Reading:
    """A text with escapes, decoded. Places are those in the text as it is written, or in `text` as it is read."""

    __slots__ = ("_at", "_ends", "_starts", "text")

    def __init__(self, written: str, escapes: list[re.Match[str]]) -> None:
        pieces: list[str] = []
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._at: list[int] = []  # where the decoded characters are in `text`
        position = shift = 0
        for escape in escapes:
            start, end = escape.span()
            pieces += (written[position:start], _meaning(escape))
            self._starts.append(start)
            self._ends.append(end)
            self._at.append(start - shift)
            shift += end - start - 1
            position = end
        self.text = "".join((*pieces, written[position:]))

    def written(self, place: int) -> int:
        """Where a character of `text` begins as it is written."""
        last = bisect_right(self._at, place) - 1
        if last < 0:
            return place
        beyond = place - self._at[last]
        return self._ends[last] + beyond - 1 if beyond else self._starts[last]

    def read(self, place: int) -> int:
        """Where a place as it is written is in `text`; inside an escape: where that stands."""
        last = bisect_right(self._starts, place) - 1
        if last < 0:
            return place
        return self._at[last] + max(0, place - self._ends[last] + 1)

    def escapes_in(self, start: int, end: int) -> bool:
        """Whether anything in `text[start:end]` was escaped."""
        first = bisect_left(self._at, start)
        return first < len(self._at) and self._at[first] < end

    def apart(self, place: int) -> int:
        """A place as it is written, or the start of the escape that it lies inside of."""
        last = bisect_right(self._starts, place) - 1
        return self._starts[last] if last >= 0 and place < self._ends[last] else place


def reading_of(written: str) -> Reading | None:
    """The text as it is read; None where nothing in it is escaped."""
    if "%" not in written and "\\" not in written and "&" not in written:  # unrolled: every text comes by
        return None
    escapes = [escape for escape in _ESCAPE.finditer(written) if _meaning(escape) != escape.group()]
    return Reading(written, escapes) if escapes else None


def begun_escape(written: str) -> int:
    """Where an escape begins at the text's end that may not be complete; the text's end if none does."""
    low = max(0, len(written) - _LONGEST)
    match = _BEGUN.search(written, low)
    return match.start() if match else len(written)


def _meaning(escape: re.Match[str]) -> str:
    """The character that an escape stands for; the escape itself where it is no printable ASCII."""
    raw = escape.group()
    if raw[0] == "%":
        code = int(raw[1:], 16)
    elif raw[0] == "\\":
        code = int(raw[2:], 16)
    elif raw[1] != "#":
        return _NAMES[raw[1:-1]]
    else:
        digits = raw[2:-1]
        code = int(digits[1:], 16) if digits[0] in "xX" else int(digits)
    return chr(code) if 0x20 <= code < 0x7F else raw
