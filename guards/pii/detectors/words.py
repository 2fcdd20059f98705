"""Words that say what a number is: whole words before it, within the context a detector may read.

A list of words is `"nhs|national insurance|ssn"`: regular expressions, of which each begins with a letter. A space
stands for a space, hyphen, underscore or nothing, so `passport number` is also `passport_number` and
`passportNumber`. Case does not matter, a plural `s` neither, and a word may be a part of a camelCase one
(`clientPassport`), but never of a longer word: `sin` is not in `business`. `=SIN` counts in capitals alone. A letter
outside ASCII is `\\xc0`, as in folded text. A placeholder (`[SSN_1_k7]`) is no such word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from guards.pii.detectors.numbers import latin1
from guards.spans.detector import CONTEXT

_MARKS = rb"[ \t\r\n\"'`:=#*_()\[\]<>|,.\-\x80]{0,%d}"
_FILLER = (
    rb"(?:(?i:numbers?|num|nos?|nr|code|id|card|account|holder|is|was|are|reads|ist|lautet|est|es|nummer|numero|"
    rb"n\xc0mero|num\xc0ro|of|for|value)|[A-Z]{2,3})(?![A-Za-z\xc0])"
)
# Between a weak number and its word: marks, and words that say nothing new.
_CLOSE = rb"%b(?:%b%b){0,4}\Z" % (_MARKS % 6, _FILLER, _MARKS % 4)

_OTHER = (
    rb"(?<![a-z])(?:isbn|issn|ean|upc|order|invoice|ticket|tracking|sku|serial|part|model|batch|lot|ref|reference|"
    rb"case|uuid|version|build|timestamp|product|item|commit|article|coupon|voucher|booking%b)"
    rb"(?:\-1[03]|[ _](?:no|nr|number|id|code))?[ \"':=.#*`_\-]{0,4}\Z"
)
_NO_PERSON = re.compile(_OTHER % b"")
_NO_PHONE = re.compile(_OTHER % b"|id|account|acct")


def _fragments(words: str) -> list[bytes]:
    written = [word.replace(" ", r"[ _\-]?").encode("latin-1") for word in words.split("|")]
    return [b"(?-i:%b)" % word[1:] if word.startswith(b"=") else word for word in written]


def pattern(words: str) -> bytes:
    """One of the words, whole, for `re`."""
    either = b"|".join(_fragments(words))
    return (
        rb"(?:(?<![A-Za-z\xc0])|(?<=[a-z])(?=[A-Z]))(?i:%b)(?i:s(?![a-z\xc0]))?"
        rb"(?:(?<=[a-z])(?![a-z\xc0])|(?<![a-z])(?![A-Za-z\xc0]))(?!(?:_[A-Z]+)*_\d)" % either
    )


def gate(words: str) -> bytes:
    """Matches wherever `pattern` does, for RE2."""
    fragments = _fragments(words)
    either = b"|".join(fragments)
    humps = b"|".join(
        b"(?i:%b)" % one if one.startswith(b"(") else b"%b(?i:%b)" % (one[:1].upper(), one[1:]) for one in fragments
    )
    return rb"(?:(?:^|[^A-Za-z])(?i:%b)|[a-z](?:%b))(?:[^a-z]|[sS][^a-z]|[sS]?$)" % (either, humps)


def near(words: str, *, close: bool = False) -> Callable[[bytes, int], bool]:
    """Whether one of the words stands in the context before a place; `close`: right before it."""
    search = re.compile(pattern(words) + (_CLOSE if close else b"")).search
    return lambda folded, start: search(folded, max(0, start - CONTEXT), start) is not None


def called_otherwise(folded: bytes, start: int) -> bool:
    """Whether what stands right before says that it is the number of a thing (an order, a version)."""
    return _NO_PERSON.search(folded[max(0, start - CONTEXT) : start].lower()) is not None


def called_other_than_phone(lowered: bytes) -> bool:
    """The same of the context before a telephone number, in small letters; an id or an account is none either."""
    return _NO_PHONE.search(lowered) is not None


def windows(words: str, what: bytes) -> Callable[[bytes, int], Iterator[tuple[int, int]]]:
    """Every stretch of a text in which `near` could be true, and maybe more of it, in order and apart; none at all if
    `what`, an RE2 pattern, is nowhere."""
    word, value = latin1(gate(words)), latin1(what)

    def find(folded: bytes, begin: int) -> Iterator[tuple[int, int]]:
        if not value.search(folded, begin):
            return
        low, high = begin, begin
        for match in word.finditer(folded, max(0, begin - CONTEXT - 2)):
            if match.start() > high:
                if high > low:
                    yield low, high
                low = max(begin, match.start())
            high = max(high, match.end() + 2 * CONTEXT)
        if high > low:
            yield low, high

    return find
