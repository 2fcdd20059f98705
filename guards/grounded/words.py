"""Sentences and what they claim: content words, numbers and names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_END = re.compile(r"(?<=[.!?\u2026])[\"')\]*_]*\s+|(?<=[\u3002\uff01\uff1f])|\n+")
_TOKEN = re.compile(r"(?:(?<!\w)[+-])?\d(?:[\d.,:/]*\d)?%?|[^\W\d_](?:[^\W_]|['\u2019](?=[^\W_]))*")
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_MARKUP = re.compile(r"[*_#>|`]+")
_BULLET = re.compile(r"\s*(?:[-*+\u2022]|\d{1,3}[.)])\s+")
_ABBREVIATION = re.compile(
    r"\A\d{1,3}\.\s*\Z|\b(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|No|vs|etc|e\.g|i\.e|approx|Inc|Ltd|Co|Jr|Sr)\.[\"')\]]*\s*\Z"
)

# Words that claim nothing. English; elsewhere every word counts, which only makes a sentence harder to support.
_SAYS_NOTHING = """
a about above after again all also although am an and any are as at be because been before being below between both but
by can could did do does doing done down during each either else etc even ever every few for from further get got had
has have having he her here hers him his how however i if in into is it its itself just least less let like may me might
more most much must my neither no nor not of off on once one only or other our ours out over own per please quite rather
really same shall she should since so some still such than that the their theirs them then there therefore these they
this those though through thus to too under until up upon us very was we were what when where whether which while who
whom whose why will with within without would yes yet you your yours according based provided context document documents
information answer question following mention mentioned mentions state stated states note
"""
_DAYS_AND_MONTHS = """
monday tuesday wednesday thursday friday saturday sunday january february march april may june july august september
october november december
"""
_EMPTY = frozenset(_SAYS_NOTHING.split())
_NO_NAMES = frozenset(_DAYS_AND_MONTHS.split())
_SUFFIXES = (
    "ations",
    "ation",
    "ingly",
    "edly",
    "ness",
    "ment",
    "ings",
    "ing",
    "ies",
    "ied",
    "ers",
    "est",
    "ed",
    "er",
    "es",
    "ly",
    "s",
)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a sentence says that can be looked for. `words` in order, by their stems."""

    words: tuple[str, ...]
    numbers: frozenset[str]
    names: frozenset[str]


def sentences(text: str, *, code: bool) -> Iterator[str]:
    """Without markup, and with what stands in code blocks if `code`; an abbreviation does not end one."""
    text = _MARKUP.sub(" ", text if code else _CODE.sub("\n", text))
    begin = 0
    for match in _END.finditer(text):
        sentence = text[begin : match.start()]
        if "\n" not in match.group() and _ABBREVIATION.search(sentence.lstrip()[-12:]):
            continue
        begin = match.end()
        if sentence.strip():
            yield _BULLET.sub("", sentence, count=1).strip()
    if text[begin:].strip():
        yield _BULLET.sub("", text[begin:], count=1).strip()


def claim_of(sentence: str) -> Claim:
    """A word is a name if it begins with a capital, does not begin the sentence, and is no weekday or month."""
    words: list[str] = []
    numbers: set[str] = set()
    names: set[str] = set()
    for place, match in enumerate(_TOKEN.finditer(sentence)):
        token = match.group()
        if token[0] in "+-" or token[0].isdecimal():
            numbers.add(_number(token))
            continue
        low = token.casefold().replace("\u2019", "'").removesuffix("'s")
        if low in _EMPTY:
            continue
        words.append(stem(low))
        if place and token[0].isupper() and low not in _NO_NAMES and len(low) > 1:
            names.add(words[-1])
    return Claim(tuple(words), frozenset(numbers), frozenset(names))


def stem(word: str) -> str:
    """Good enough to find `payments` in a text on `paying`; the same for both sides is all that matters."""
    if len(word) > 4:
        for suffix in _SUFFIXES:
            if word.endswith(suffix) and len(word) - len(suffix) >= 3:
                word = word[: -len(suffix)]
                break
    return word[:-1] if len(word) > 4 and word.endswith(("e", "i", "y")) else word


def _number(token: str) -> str:
    """One form for `1,250.00`, `1250` and `+1250`; dates and times as they are written."""
    plain = token.rstrip("%").lstrip("+").replace(",", "")
    if re.fullmatch(r"-?\d+(?:\.\d+)?", plain):
        return plain.rstrip("0").rstrip(".") if "." in plain else plain.lstrip("0") or "0"
    return plain
