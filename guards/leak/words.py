"""Texts as words, the way a leak is recognised: no case, no punctuation, no invisible characters.

A character of a script that puts no spaces between words is a word of its own. Of a longer word the first
`LONGEST_WORD` characters count.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

LONGEST_WORD = 64  # characters

_ALONE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_NOTHING = "\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e01ef"
_INSIDE = rf"[\u0300-\u036f{_NOTHING}]"
_MORE = rf"(?:(?![{_ALONE}])[^\W_]|{_INSIDE})*"
WORD = re.compile(rf"(?P<alone>[{_ALONE}])|(?![{_ALONE}])[^\W_]{_MORE}")
MORE = re.compile(_MORE)  # how a word goes on
_INVISIBLE = re.compile(f"[{_NOTHING}]")


def normal(word: str) -> str:
    """The one form of all writings of a word."""
    word = word[:LONGEST_WORD]
    if word.isascii():
        return word.lower()
    return unicodedata.normalize("NFKC", _INVISIBLE.sub("", word)).casefold()


def words(text: str) -> list[str]:
    return [normal(match.group()) for match in WORD.finditer(text)]


def runs(texts: Sequence[str], length: int) -> set[int]:
    """Every run of so many words in a row, within one text, as numbers."""
    return {number for text in texts for number in _runs(words(text), length)}


def _runs(listed: Sequence[str], length: int) -> Iterator[int]:
    return (hash(tuple(listed[at : at + length])) for at in range(len(listed) - length + 1))


Known = Mapping[int, Collection[int]]  # numbers of runs (`runs`) by their length


class RunFinder:
    """Goes through a text word by word and says where a known run begins to show.

    `own`: the runs of a length that are no leak after all; asked for only when something is found.
    """

    def __init__(self, known: Known, own: Callable[[int], Collection[int]]) -> None:
        self._known = {length: numbers for length, numbers in known.items() if numbers}
        self._own = own
        self._longest = max(self._known, default=0)
        self._last: list[str] = []
        self._within = False

    def add(self, word: str) -> bool:
        """Whether a run ends with this word, and none did with the word before."""
        if not self._known:
            return False
        self._last.append(normal(word))
        if len(self._last) > self._longest:
            del self._last[0]
        hit = any(self._ends(length, numbers) for length, numbers in self._known.items())
        begun = hit and not self._within
        self._within = hit
        return begun

    def _ends(self, length: int, numbers: Collection[int]) -> bool:
        if len(self._last) < length:
            return False
        number = hash(tuple(self._last[-length:]))
        return number in numbers and number not in self._own(length)
