"""An operator's own recognizers: values found by a pattern (RE2) or by a list of words.

They work on the text itself, not on folded bytes, so letters of every script count as what they are; case does not
where the pattern says `(?i)`, and never in lists. A pattern is searched for as it is written, wherever it matches: who
wants whole words says so (`\\b`). A word of a list must stand alone: `apollo` is not found in `apollos`. Scripts that
put no spaces between words know no such edges.

They keep the rule of locality (`guards.spans.detector`) because their matches have an end in sight
(`guards.spans.patterns`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from guards.spans.detector import CONTEXT, plain
from guards.spans.fold import TAKEN
from guards.spans.patterns import Compiled, any_of, compiled, parse

_WORD_BYTE = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_\xc0")


class Encoded:
    """A text as RE2 reads it, and the way between its offsets (bytes) and ours (characters)."""

    __slots__ = ("_ascii", "_text", "data", "folded")

    def __init__(self, text: str, folded: bytes) -> None:
        self._text = text
        self._ascii = text.isascii()
        self.folded = folded
        self.data = folded if self._ascii else text.encode("utf-8", "replace")  # half characters become `?`

    def __len__(self) -> int:
        return len(self._text)

    def offset(self, position: int) -> int:
        return position if self._ascii else len(self._text[:position].encode("utf-8", "replace"))

    def position(self, offset: int) -> int:
        return offset if self._ascii else len(self.data[:offset].decode("utf-8"))

    def before(self, position: int) -> str:
        """What a recognizer may read before a candidate."""
        return self._text[max(0, position - CONTEXT) : position]


@dataclass(frozen=True, slots=True)
class Recognizer:
    """Finds values of one kind in a text. `whole_words`: see the module. `context`: needed before a value."""

    kind: str
    pattern: Compiled
    whole_words: bool
    context: re.Pattern[str] | None
    canonical: Callable[[str], str] = plain

    @property
    def longest_tail(self) -> int:
        return self.pattern.longest

    def next(self, text: Encoded, begin: int) -> tuple[int, int] | None:
        """The first value that starts at `begin` or later."""
        for start, end in self._matches(text, begin):
            if self._may_start(text, start) and (real := self._real_end(text, start, end)) is not None:
                return start, real
        return None

    def undecided(self, text: Encoded, begin: int) -> int:
        """The first place from `begin` on where a value may start that more text could still change."""
        size = len(text)
        # No value reaches over a mark, so nothing before one can still change.
        start = max(begin, size - self.pattern.longest, text.folded.rfind(TAKEN) + 1)
        while start < size:
            match = self.pattern.begun.search(text.data, text.offset(start))
            if match is None:
                return size
            start = text.position(match.start())
            if start >= size or self._may_start(text, start):
                return start
            start += 1
        return size

    def _matches(self, text: Encoded, begin: int) -> Iterator[tuple[int, int]]:
        while match := self.pattern.whole.search(text.data, text.offset(begin)):
            start = text.position(match.start())
            yield start, text.position(match.end())
            begin = start + 1
            if begin > len(text):
                return

    def _may_start(self, text: Encoded, start: int) -> bool:
        folded = text.folded
        if self.whole_words and start and folded[start - 1] in _WORD_BYTE and folded[start] in _WORD_BYTE:
            return False
        return self.context is None or self.context.search(text.before(start)) is not None

    def _real_end(self, text: Encoded, start: int, end: int) -> int | None:
        """Where the value ends, should it not reach into what is taken; a longer word of the list that does not stand
        alone may begin with one that does."""
        folded = text.folded
        while True:
            mark = folded.find(TAKEN, start, end)
            if mark >= 0:
                limit = mark
            elif self.whole_words and end < len(text) and folded[end] in _WORD_BYTE and folded[end - 1] in _WORD_BYTE:
                limit = end - 1
            else:
                return end
            match = self.pattern.whole.match(text.data, text.offset(start), text.offset(limit))
            if match is None or match.end() <= match.start():
                return None
            end = text.position(match.end())


def pattern_recognizer(kind: str, source: str, longest: int, context: Sequence[str] = ()) -> Recognizer:
    """Raises BadPattern. `longest`: characters that a repetition without an end may match."""
    return Recognizer(kind, compiled(parse(source, longest)), whole_words=False, context=_any_of(context))


def word_recognizer(kind: str, words: Sequence[str], context: Sequence[str] = ()) -> Recognizer:
    """Raises BadPattern."""
    node = any_of(form for word in words for form in _writings(word))
    return Recognizer(kind, compiled(node), whole_words=True, context=_any_of(context))


def _writings(word: str) -> Iterator[str]:
    """What RE2 does not take for the same word: other code points of one accent, and `ß` written as two."""
    for form in ("NFC", "NFD"):
        normal = unicodedata.normalize(form, word)
        yield normal
        yield normal.casefold()


def _any_of(words: Sequence[str]) -> re.Pattern[str] | None:
    if not words:
        return None
    choices = "|".join(r"\s{1,3}".join(map(re.escape, word.split())) for word in words)
    return re.compile(rf"(?<!\w)(?:{choices})(?!\w)", re.IGNORECASE)
