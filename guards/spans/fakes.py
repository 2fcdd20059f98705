"""Values that stand for others: of the same shape, with right check digits, of nobody.

They are drawn from a keyed stream (`Dice`) over tenant, kind and canonical value, so a value gets the same one each
time, and two writings of one value get two writings of one fake.

| kind | the fake |
|---|---|
| EMAIL | letters for letters at `example.com` |
| CARD | a range that issuers keep for tests, the same length and groups, right check digit |
| IBAN | the same country and structure, right check digits |
| PHONE | the same format; North American numbers in the range for fiction (555-01xx) |
| IP | the ranges for documentation (RFC 5737, RFC 3849) |
| others | letters for letters, digits for digits; none for values of fewer than six of them |
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address

from stdnum import luhn

from guards.spans.detector import digits_of

_LEAST = 6  # letters and digits of a value that gets a fake: shorter ones would turn up by chance
_LOWER = "abcdefghijklmnopqrstuvwxyz"
_TEST_CARDS = {"34": "378282", "37": "378282", "30": "305693", "36": "305693", "38": "305693"}
_TEST_CARDS_1 = {"2": "555555", "5": "555555", "6": "601111"}
_TEST_CARD = "411111"
_DOCUMENTATION = ("192.0.2.", "198.51.100.", "203.0.113.")
_NORTH_AMERICAN = re.compile(r"1?[2-9][0-9]{9}")
_AWKWARD = re.compile(r"[\[\]\\\x00-\x1f]")  # written otherwise by a model, or taken for a placeholder


class Dice:
    """Numbers that follow from a key and what is drawn for."""

    def __init__(self, key: bytes, message: bytes) -> None:
        self._key = key
        self._message = message
        self._block = 0
        self._bytes = b""

    def below(self, sides: int) -> int:
        """A number from 0 to `sides` - 1, at most 256 sides."""
        if not self._bytes:
            self._bytes = hmac.digest(self._key, self._block.to_bytes(4, "big") + self._message, hashlib.sha256)
            self._block += 1
        drawn, self._bytes = self._bytes[0], self._bytes[1:]
        return drawn % sides


def fake(kind: str, value: str, dice: Dice) -> str | None:
    """A value that may stand for this one; None where a placeholder is better."""
    if _AWKWARD.search(value):
        return None
    made = _MAKERS.get(kind, _same_classes)(value, dice)
    return made if made is not None and made.casefold() != value.casefold() else None


def _same_classes(value: str, dice: Dice) -> str | None:
    letters = [char for char in value if char.isalpha()]
    if sum(char.isalnum() for char in value) < _LEAST:
        return None
    hexadecimal = any(char.isdigit() for char in value) and all(char in "abcdefABCDEF" for char in letters)
    sides = 6 if hexadecimal else 26

    def other(char: str) -> str:
        if char.isdecimal():
            return str(dice.below(10))
        if not char.isalpha():
            return char
        letter = _LOWER[dice.below(sides)]
        return letter.upper() if char.isupper() else letter

    return "".join(map(other, value))


def _email(value: str, dice: Dice) -> str:
    local = value.rpartition("@")[0] or value.rpartition("＠")[0]
    name = _same_classes(local, dice) if local.isascii() else None
    return f"{name or ''.join(_LOWER[dice.below(26)] for _ in range(8))}@example.com"


def _written_like(value: str, digits: str) -> str:
    """`digits` in the groups of `value`."""
    rest = iter(digits)
    return "".join(next(rest) if char.isdecimal() else char for char in value)


def _card(value: str, dice: Dice) -> str:
    number = digits_of(value)
    known = _TEST_CARDS.get(number[:2]) or _TEST_CARDS_1.get(number[:1]) or _TEST_CARD
    body = known + "".join(str(dice.below(10)) for _ in range(len(number) - len(known) - 1))
    return _written_like(value, body + str(luhn.calc_check_digit(body)))


def _phone(value: str, dice: Dice) -> str:
    number = digits_of(value)
    abroad = value.lstrip(" (").startswith("+")
    if _NORTH_AMERICAN.fullmatch(number) and (len(number) == 11 or not abroad):
        area = f"{dice.below(8) + 2}{dice.below(10)}{dice.below(10)}"
        return _written_like(value, f"{number[:-10]}{area}55501{dice.below(10)}{dice.below(10)}")
    kept = 4 if number.startswith("00") else 2 if abroad or number.startswith("0") else 1
    return _written_like(value, number[:kept] + "".join(str(dice.below(10)) for _ in number[kept:]))


def _iban(value: str, dice: Dice) -> str | None:
    if not value.isascii():
        return None
    places = [index for index, char in enumerate(value) if char.isalnum()]
    characters = [value[index] for index in places]
    for index in range(4, len(characters)):
        char = characters[index]
        if char.isdecimal():
            characters[index] = str(dice.below(10))
        else:
            letter = _LOWER[dice.below(26)]
            characters[index] = letter.upper() if char.isupper() else letter
    number = "".join(str(int(char, 36)) for char in (*characters[4:], *characters[:2], "0", "0"))
    characters[2:4] = f"{98 - int(number) % 97:02d}"
    made = list(value)
    for index, char in zip(places, characters, strict=True):
        made[index] = char
    return "".join(made)


def _address(value: str, dice: Dice) -> str | None:
    try:
        IPv4Address(value)
    except ValueError:
        groups = ":".join(f"{dice.below(256):x}{dice.below(256):02x}" for _ in range(4))
        made = f"2001:db8::{groups}"
        return made if IPv6Address(made) else None
    return f"{_DOCUMENTATION[dice.below(3)]}{dice.below(254) + 1}"


_MAKERS: Mapping[str, Callable[[str, Dice], str | None]] = {
    "EMAIL": _email,
    "CARD": _card,
    "IBAN": _iban,
    "PHONE": _phone,
    "IP": _address,
}
