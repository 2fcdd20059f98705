"""What the detectors of written numbers share: one gate, one way to find where numbers begin, and how an unfinished one
looks at the end of a text.

A run of digits and separators (card, phone, security number, address of the internet) may go on until
something else stands there, or until it has more digits than any of them.

The gate only counts digits. All candidates in a run then count in step, and the automaton of all gates together stays
small; exact forms side by side would make it grow with every new sequence of digits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import re2

MAX_DIGITS = 19
SEPARATORS = rb" .\-/()"

NUMBER_GATE = rb"[0-9](?:[%b]{0,2}[0-9]){6}" % SEPARATORS
NUMBER_TAIL = re.compile(
    rb"(?<![0-9A-Za-z_])(?:[+(][ (+]{0,2})?(?:\d(?:[%b]{0,2}\d){0,%d}[%b]{0,3})?\Z"
    % (SEPARATORS, MAX_DIGITS - 1, SEPARATORS)
)
NUMBER_TAIL_BYTES = b"0123456789+ .-/()"
LONGEST_NUMBER_TAIL = 3 + 1 + 3 * (MAX_DIGITS - 1) + 3


def latin1(expression: bytes) -> re2._Regexp:
    """An RE2 pattern over folded text."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    return re2.compile(expression, options)


_STRETCH = latin1(rb"[0-9+(][0-9%b]{5,}" % SEPARATORS)


def starts_of_numbers(pattern: re.Pattern[bytes], longest: int) -> Callable[[bytes, int], Iterator[int]]:
    """Every start of a zero-width pattern that holds only before numbers of seven characters or more, which begin with
    a digit, `+` or `(`, and that looks at `longest` bytes at most."""

    def starts(folded: bytes, begin: int) -> Iterator[int]:
        for stretch in _STRETCH.finditer(folded, begin):
            end = stretch.end()
            for match in pattern.finditer(folded, stretch.start(), min(len(folded), end + longest)):
                if match.start() >= end:
                    break
                yield match.start()

    return starts
