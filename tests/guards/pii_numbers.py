"""Makes numbers of every kind of the tables: right ones, and ones with a wrong check digit.

Forms are filled at random (by a seed) until the kind's own check is satisfied, so this shows that what is valid is
found and what is not is left; that the checks themselves are right is shown by published specimens.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Iterator
from functools import cache

from guards.pii.detectors import americas, asia_africa, banking, devices, documents, europe
from guards.pii.detectors.identifiers import Identifier
from guards.pii.detectors.shapes import compact

STRONG: tuple[Identifier, ...] = (
    *europe.TABLE,
    *americas.TABLE,
    *asia_africa.TABLE,
    *banking.TABLE,
    *devices.TABLE,
)
WEAK: tuple[Identifier, ...] = (*documents.WEAK_TABLE, *banking.WEAK_TABLE)
ENTRIES = STRONG + WEAK

_TOKEN = re.compile(r"(\[[^\]]+\]|.)(?:\{(\d+)(?:,(\d+))?\}|(\?))?")
_CHOICES = {"9": string.digits, "A": string.ascii_uppercase, "X": string.digits + string.ascii_uppercase}
_PRINTABLE = string.digits + string.ascii_letters + " .-/+()&"
_TRIES = 400_000


@cache
def _chars(unit: str) -> str:
    if unit in _CHOICES:
        return _CHOICES[unit]
    return "".join(char for char in _PRINTABLE if re.fullmatch(unit, char)) if unit[0] == "[" else unit


@cache
def _tokens(form: str) -> tuple[tuple[str, int, int], ...]:
    return tuple(
        (what, 0 if maybe else int(low or 1), int(high or low or 1)) for what, low, high, maybe in _TOKEN.findall(form)
    )


def fill(form: str, separator: str, chance: random.Random) -> str:
    parts = []
    for what, low, high in _tokens(form):
        if what == " ":
            parts.append(separator)
        else:
            parts += chance.choices(_chars(what), k=chance.randint(low, high))
    return "".join(parts)


def named(entry: Identifier, index: int) -> str:
    return f"{entry.kind}-{index}-{'word' if entry.words else 'alone'}"


NAMES = [named(entry, index) for index, entry in enumerate(ENTRIES)]


@cache
def right(index: int, count: int = 2) -> tuple[str, ...]:
    """Valid numbers of the entry, written in each of its forms, with and without separators."""
    entry = ENTRIES[index]
    chance = random.Random(f"right {index}")
    found = []
    for form in entry.forms:
        for separator in dict.fromkeys(("", "-" if " " in form else "", " " if " " in form else "")):
            found += _valid(entry, form, separator, chance, count)
    return tuple(dict.fromkeys(found))


def _valid(entry: Identifier, form: str, separator: str, chance: random.Random, count: int) -> Iterator[str]:
    made = 0
    for _ in range(_TRIES):
        value = fill(form, separator, chance)
        if entry.valid(compact(value.encode())):
            yield value
            made += 1
            if made == count:
                return
    raise AssertionError(f"no valid number of the form {form!r}")


def has_check(entry: Identifier) -> bool:
    """Whether one character in another place can be told from a right one."""
    chance = random.Random("check")
    values = (fill(entry.forms[0], "", chance) for _ in range(300))
    return sum(entry.valid(compact(value.encode())) for value in values) < 150 and entry not in WEAK


@cache
def wrong(index: int) -> tuple[str, ...]:
    """The valid numbers, one digit of each changed so that the check fails."""
    entry = ENTRIES[index]
    broken = []
    for value in right(index):
        for place in reversed(range(len(value))):
            if not value[place].isdecimal():
                continue
            changed = [value[:place] + digit + value[place + 1 :] for digit in string.digits]
            bad = next((each for each in changed if not entry.valid(compact(each.encode()))), None)
            if bad:
                broken.append(bad)
                break
    return tuple(broken)


def first_word(entry: Identifier) -> str:
    """The first of its words that is written plainly."""
    words = (entry.words or "").split("|")
    plain = next(word for word in words if re.fullmatch(r"=?[\w ]+", word, re.ASCII))
    return plain.removeprefix("=").upper() if plain.startswith("=") else plain
