"""A small language for the forms of written numbers, and what the scanner needs to know of a form.

| in a form | stands for |
|---|---|
| `9` `A` `X` | a digit, a capital, either |
| space | one separator (space, hyphen, point) or none |
| `[...]` | one of these, as in a regular expression |
| `?` `{n}` `{m,n}` | how often what stands before it |
| anything else | itself |

All forms share one tail, `ID_TAIL`: any word that is still being written, and capitals and digits in groups. It holds
back a little more than each form by itself would, and costs one search instead of eighty.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from guards.pii.detectors.numbers import NUMBER_GATE

_TOKEN = re.compile(r"(\[[^\]]+\]|.)(?:\{(\d+)(?:,(\d+))?\}|(\?))?")
_CLASSES = {"9": "[0-9]", "A": "[A-Z]", "X": "[0-9A-Z]"}

_DIGITS = re.compile(r"\[[0-9\-]+\]|[0-9]")
_SEPARATORS = re.compile(r"\\?[ .\-/()]|\[[ ./()+\\\-]+\]")
_NUMERIC = re.compile(r"[0-9]|\[[0-9\-]+\]")

# What may not touch a number: letters, digits, and a separator behind which the number goes on.
BEFORE = rb"(?<![0-9A-Za-z_\xc0])(?<![0-9][.\-/])"
AFTER = rb"(?![0-9A-Za-z_\xc0]|[.\-/][0-9])"

LONGEST_ID_TAIL = 46
_GROUPS = rb"(?:[0-9A-Z]{1,30}[ .\-/+()]){0,14}[0-9A-Z]{0,30}[ .\-/+()]?"
_BEGINS = rb"(?=[0-9A-Z])(?=(?:[A-Z]{1,6}[ .\-]){0,2}[A-Z]{0,6}(?:[0-9]|[ .\-/+()]?\Z))"
ID_TAIL = re.compile(rb"%b(?:[0-9A-Za-z]{1,44}[.\-/]?|%b%b)\Z" % (BEFORE, _BEGINS, _GROUPS))
# Somewhere in every form with letters that has fewer than seven digits in a row: two digits behind a letter.
LETTERED_GATE = rb"[A-Za-z][0-9]{2}|[A-Z][ .\-][0-9]{2}|" + NUMBER_GATE

ID_TAIL_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .-/+()"


@dataclass(frozen=True, slots=True)
class Form:
    """`pattern`: the form as a regular expression that both `re` and RE2 understand. `digits`: how many it has at least
    with nothing but separators between. `numeric`: it begins with one of them."""

    pattern: bytes
    digits: int
    numeric: bool


def form(written: str) -> Form:
    """Raises ValueError for a form longer than its tail could hold back."""
    parts: list[str] = []
    longest = digits = run = 0
    for what, low, high, maybe in _TOKEN.findall(written):
        if what == " ":
            parts.append(r"[ .\-]?")
            longest += 1
            continue
        unit = _CLASSES.get(what) or (what if what[0] == "[" else re.escape(what))
        parts.append(unit + ("?" if maybe else "" if not low else f"{{{low},{high}}}" if high else f"{{{low}}}"))
        longest += int(high or low or 1)
        if _DIGITS.fullmatch(unit):
            run += 0 if maybe else int(low or 1)
            digits = max(digits, run)
        elif not _SEPARATORS.fullmatch(unit):
            run = 0
    if longest >= LONGEST_ID_TAIL:
        raise ValueError(f"the form {written!r} is longer than {LONGEST_ID_TAIL - 1} characters")
    return Form("".join(parts).encode("ascii"), digits, _NUMERIC.match(written) is not None)


def compact(value: bytes) -> str:
    """The letters and digits of a number, in capitals."""
    return re.sub(rb"[^0-9A-Za-z]", b"", value).decode("ascii").upper()
