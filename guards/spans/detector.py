"""What a detector is, and the rule every one of them keeps so that a stream can be guarded.

**Locality.** Whether a candidate starts at `s`, and where it ends, depends only on the folded text between
`s - CONTEXT` and a bounded number of bytes after `s`. So a candidate never changes once enough text is
known, and the same one is found in a whole text and in a window of it. `tail` tells what "enough" is: as
long as a candidate starting at `s` could still appear, grow or vanish with more text, `tail` matches from
`s` to the text's end. It may match too much (text waits a little longer), never too little.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

CONTEXT = 48  # bytes before a candidate that a detector may read
KEPT = CONTEXT + 2  # characters kept before a window: a start also looks at the two characters before it


class Source(Protocol):
    """What found a value: a detector, or a recognizer of the configuration."""

    @property
    def kind(self) -> str: ...

    @property
    def canonical(self) -> Callable[[str], str]:
        """The same string for the same value written differently."""
        ...


@dataclass(frozen=True, slots=True)
class Detector:
    """Finds values of one kind in folded text.

    `gate`: an RE2 pattern that matches wherever a candidate is; it only decides whether the rest runs at all.
    `starts(folded, begin)`: every place from `begin` on where a candidate may start.
    `end(folded, start)`: where the candidate ends, None if there is none after all.
    `tail`: see the module; it consists of `tail_bytes` alone and is at most `longest_tail` bytes.
    `canonical(value)`: the same string for the same value written differently.
    """

    kind: str
    gate: bytes
    starts: Callable[[bytes, int], Iterator[int]]
    end: Callable[[bytes, int], int | None]
    tail: re.Pattern[bytes]
    tail_bytes: bytes
    longest_tail: int
    canonical: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Span:
    """A found value: `text[start:end]`. Holds no text."""

    start: int
    end: int
    detector: Source

    @property
    def kind(self) -> str:
        return self.detector.kind


def starts_of(pattern: re.Pattern[bytes]) -> Callable[[bytes, int], Iterator[int]]:
    """Every start of a zero-width pattern, overlapping candidates included."""

    def starts(folded: bytes, begin: int) -> Iterator[int]:
        return (match.start() for match in pattern.finditer(folded, begin))

    return starts


def word_before(folded: bytes, start: int, pattern: re.Pattern[bytes]) -> bool:
    """Whether `pattern` occurs in the context before `start` (lower-cased)."""
    return pattern.search(folded[max(0, start - CONTEXT) : start].lower()) is not None


def digits_of(value: str) -> str:
    """The digits of a number, as ASCII."""
    return "".join(str(int(char)) for char in value if char.isdecimal())


def plain(value: str) -> str:
    """A canonical form for words: whatever their case and the spaces between them."""
    return " ".join(value.casefold().split())
