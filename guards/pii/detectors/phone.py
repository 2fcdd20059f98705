"""Telephone numbers: international, North American, national with a leading zero, and others where a word
says so.

| written | needs |
|---|---|
| `+` and a country code | a length that exists in that country |
| `00` and a country code | the same if hyphenated (`001-415-...`), else a number that exists |
| `(415) 555-2671`, `415-555-2671`, `415.555.2671` | the shape |
| `415 555 2671` | a number that exists, or a word before it |
| `020 7946 0958`, `01 23 45 67 89`, `0171/1234567` | a number that exists in a country that writes so |
| others from 7 digits on | a word before it (phone, call ...), and to exist unless `555-0199` or `0...` |

"Exists" is what the phonenumbers library says of numbering plans. Dates are never numbers; an extension is
not part of one.
"""

from __future__ import annotations

import re

import phonenumbers

from guards.pii.detectors.numbers import (
    LONGEST_NUMBER_TAIL,
    MAX_DIGITS,
    NUMBER_TAIL,
    NUMBER_TAIL_BYTES,
    SEPARATORS,
)
from guards.spans.detector import Detector, digits_of, starts_of, word_before

_NUMBER = rb"(?:\+[ (]?|\()?\d(?:[%b]{0,2}\d){6,%d}" % (SEPARATORS, MAX_DIGITS - 1)
_RUN = re.compile(_NUMBER)
_START = re.compile(rb"(?<![0-9A-Za-z_+])(?:(?=\+)|(?<!\d[.\-]))(?=%b)" % _NUMBER)
_GROUP = re.compile(rb"\d+")
_WORD_BYTE = re.compile(rb"[0-9A-WYZa-wyz_@]")  # x may begin an extension
_GOES_ON = re.compile(rb"[.\-]\d")

_DATE = re.compile(
    rb"\(?(?:\d{1,2}([./\-])\d{1,2}\1(?:\d{4}|\d{2})|(?:19|20)\d\d([./\-])\d{1,2}\2\d{1,2})(?![.\-/]?\d)"
)
_HYPHENATED_00 = re.compile(rb"00[ .\-]?\d{1,3}[\-(]")
_NORTH_AMERICAN = re.compile(rb"(?:1[ .\-]?)?(?:\([2-9]\d\d\)[ .\-]?|[2-9]\d\d(?P<separator>[ .\-/]))\d{3}[ .\-]\d{4}")
_LOCAL = re.compile(rb"[2-9]\d\d[ .\-]\d{4}")

# A placeholder is no such word.
_WORDS = re.compile(
    rb"(?<![a-z])(?:(?:tele|cell)?phones?|tel|mobile|cell|call|dial|fax|whatsapp|sms|hotline|text me|"
    rb"ring me|reach (?:me|us)|telefon|handy|mobil|t\xc0l\xc0phone|tel\xc0fono|telefono|"
    rb"m\xc0vil|portable)(?![a-z]|_\d)"
)
_OTHER_NUMBER = re.compile(
    rb"(?<![a-z])(?:isbn|issn|ean|upc|order|invoice|ticket|tracking|sku|serial|part|model|batch|lot|ref|reference|"
    rb"case|id|uuid|version|build|timestamp|account|acct)"
    rb"(?:\-1[03]|[ _](?:no|nr|number|id))?[ \"':=.#*`_\-]{0,4}\Z"
)

# fmt: off
_ZERO_REGIONS = (
    "GB", "DE", "FR", "NL", "BE", "IT", "CH", "AT", "SE", "AU", "NZ", "JP", "IN", "ZA", "IE", "BR",
)
_OTHER_REGIONS = ("US", "ES", "PT", "NO", "DK", "PL", "MX", "CN", "SG", "HK")
# fmt: on


def _lengths_fit(number: str) -> bool:
    """Whether a number of this length exists in the country that `+...` names."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return False
    reason = phonenumbers.is_possible_number_with_reason(parsed)
    return bool(reason == phonenumbers.ValidationResult.IS_POSSIBLE)


def _exists(number: str, regions: tuple[str | None, ...] = (None,)) -> bool:
    """Whether the numbering plan of one of the regions (None: the one `+...` names) has this number."""
    for region in regions:
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(number, region)):
                return True
        except phonenumbers.NumberParseException:
            continue
    return False


def _ends(folded: bytes, start: int) -> list[int]:
    """Where a number that starts here may end: after each group of digits, the longest first."""
    run = _RUN.match(folded, start)
    if run is None:
        return []
    ends = [group.end() for group in _GROUP.finditer(folded, start, run.end())]
    if _WORD_BYTE.match(folded, run.end()):
        ends.pop()
    return ends[::-1]


def _international(written: bytes) -> bool:
    number = "+" + digits_of(written.replace(b"(0)", b"").decode("ascii"))
    return 8 <= len(number) <= 16 and _lengths_fit(number)


def _with_00(written: bytes) -> bool:
    number = "+" + digits_of(written.replace(b"(0)", b"").decode("ascii"))[2:]
    if not 8 <= len(number) <= 16:
        return False
    return _lengths_fit(number) if _HYPHENATED_00.match(written) else _exists(number)


def _with_zero(written: bytes) -> bool:
    groups = _GROUP.findall(written)
    number = b"".join(groups).decode("ascii")
    if not 9 <= len(number) <= 12 or len(groups) < 2 or len(groups[0]) < 2:
        return False
    return _exists(number, _ZERO_REGIONS)


def _after_a_word(written: bytes) -> bool:
    number = digits_of(written.decode("ascii"))
    if not 7 <= len(number) <= 15:
        return False
    grouped_zero = written.lstrip(b"(").startswith(b"0") and len(_GROUP.findall(written)) > 1
    if _LOCAL.fullmatch(written) or (grouped_zero and 9 <= len(number) <= 12):
        return True
    return _exists(number, _OTHER_REGIONS + _ZERO_REGIONS)


def _end(folded: bytes, start: int) -> int | None:
    ends = _ends(folded, start)
    first = folded[start : start + 2]
    if first.startswith(b"+") or first == b"(+":
        return next((end for end in ends if _international(folded[start:end])), None)
    if _DATE.match(folded, start):
        return None
    shape = _NORTH_AMERICAN.match(folded, start)
    named = word_before(folded, start, _WORDS) and not word_before(folded, start, _OTHER_NUMBER)
    if shape and shape.end() in ends and not _GOES_ON.match(folded, shape.end()):
        written = shape.group()
        if shape["separator"] != b" " or named or _exists(written.decode("ascii"), ("US",)):
            return shape.end()
    if first == b"00":
        return next((end for end in ends if _with_00(folded[start:end])), None)
    if (first.startswith(b"0") or first == b"(0") and not word_before(folded, start, _OTHER_NUMBER):
        zero = next((end for end in ends if _with_zero(folded[start:end])), None)
        if zero is not None:
            return zero
    return next((end for end in ends if _after_a_word(folded[start:end])), None) if named else None


PHONE = Detector(
    kind="PHONE",
    gate=rb"[0-9](?:[%b]{0,2}[0-9]){6}" % SEPARATORS,
    starts=starts_of(_START),
    end=_end,
    tail=NUMBER_TAIL,
    tail_bytes=NUMBER_TAIL_BYTES,
    longest_tail=LONGEST_NUMBER_TAIL,
    canonical=digits_of,
)
