"""Telephone numbers: international, North American, national with a leading zero, and others where a word
says so.

| written | needs |
|---|---|
| `+` and a country code | a length that exists in that country |
| `00` and a country code | the same if hyphenated (`001-415-...`), else a number that exists |
| `(415) 555-2671`, `415-555-2671`, `415.555.2671` | the shape |
| `415 555 2671` | a number that exists, or a word before it |
| `020 7946 0958`, `01 23 45 67 89`, `0171/1234567` | a number that exists in a country that writes so |
| any 7 to 15 digits | a label right before (`Phone:`, `fax no.`) or behind it (`office`, `(mobile)`) |
| 7 to 13 digits in groups | a verb before it (`call me at`, `not answering on`) |
| others from 7 digits on | a word in the context, and to exist unless `555-0199` or `0...` |

"Exists" is what numbering plans say, see `numbering`. Dates are never numbers; an extension is not part of one.
"""

from __future__ import annotations

import re

from guards.pii.detectors.numbering import exists_abroad, exists_in, length_fits
from guards.pii.detectors.numbers import MAX_DIGITS, NUMBER_GATE, NUMBER_TAIL_BYTES, SEPARATORS, starts_of_numbers
from guards.pii.detectors.words import called_other_than_phone
from guards.spans.detector import CONTEXT, Detector, digits_of

_NUMBER = rb"(?:\+[ (]?|\((?=\+?\d{1,6}\)))?\d(?:[%b]{0,2}\d){6,%d}" % (SEPARATORS, MAX_DIGITS - 1)
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
_SUM = re.compile(rb"\+ (?:\d+(?:[ .\-/]\d+)?|\d{1,3}(?:[ .]\d{3})*)\Z|\+\d+\.\d{1,2}\Z")
_PATH_OR_TIME = re.compile(rb"/\Z|\d:\Z")
_PAIRS = re.compile(rb"\d\d(?:[ .\-]\d\d)+\Z")
_MORE_PAIRS = re.compile(rb"[ .\-]\d\d(?!\d)")
_ZIP = re.compile(rb"\d{5}-\d{4}")
_THOUSANDS = re.compile(rb"\d{1,3}(?:[ .]\d{3})+")
_YEAR = re.compile(rb"(?:19|20)\d\d")

# A placeholder is no such word.
_NOUNS = (
    rb"(?:tele|cell)?phones?|tel|mobiles?|cell|fax|telefax|whatsapp|hotline|landline|desk|telefono?|handy|mobil|mobiel|"
    rb"t\xc0l\xc0phone|tel\xc0fono|m\xc0vil|celular|cellulare|portable|rufnummer|handynummer|telefonnummer|telefoon|"
    rb"telefonas|kom\xc0rka"
)
_WORDS = re.compile(
    rb"(?<![a-z])(?:%b|call|dial|sms|text me|ring me|reach (?:me|us)|registered|contact)(?![a-z]|_\d)" % _NOUNS
)
_LABEL = re.compile(
    rb"(?<![a-z])(?:%b)(?: ?\((?:home|work|mobile|office|cell|day|night|private|business)\))?"
    rb"(?:[ _]?(?:numbers?|no|nr|num|\#)\.?)?(?: (?:is|was|are))?[ \t\r\n\"':=.#*`_\->|]{0,5}\(?\Z" % _NOUNS
)
_VERB = re.compile(
    rb"(?<![a-z])(?:call(?:s|ed|ing)?|ring|rang|dial(?:led|ed|ing)?|text(?:s|ed|ing)?|answer(?:ed|ing|s)?|"
    rb"messag(?:es?|ed|ing)|sms|reach(?:ed|able)?|contact(?:ed|ing)?|phon(?:ed|ing)|ruf(?:en|e)?|erreichbar|appele[rz]|"
    rb"ll\xc0mame|ligue)(?![a-z])[^0-9.;!?\n]{0,24}"
    rb"(?: (?:at|on|to|via|from|number|unter|au|al|is|was|registered)|[:#=])[ \"'`*]{0,2}\Z"
)
_BEHIND = re.compile(
    rb"[ \-,]{0,2}[(\[]?(?:office|fax|mobile|cell|home|work|direct|desk|phone|tel|landline|switchboard|mobil|b\xc0ro)"
    rb"(?![a-z0-9\xc0]| [a-z0-9])",
    re.I,
)
_LONGEST_BEHIND = 16

# What stands at the end of an unfinished text: a number, or one and the beginning of a word behind it.
_DIGITS = rb"\d(?:[%b]{0,2}\d)" % SEPARATORS
_TAIL = re.compile(
    rb"(?<![0-9A-Za-z_])(?:[+(][ (+]{0,2})?(?:%b{0,%d}[%b]{0,3}|%b{6,%d}[ \-,]{0,2}[(\[]?[A-Za-z\xc0]{0,12} ?)?\Z"
    % (_DIGITS, MAX_DIGITS - 1, SEPARATORS, _DIGITS, MAX_DIGITS - 1)
)
_TAIL_BYTES = NUMBER_TAIL_BYTES + b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz,[\xc0"
_LONGEST_TAIL = 3 + 1 + 3 * (MAX_DIGITS - 1) + _LONGEST_BEHIND

# fmt: off
_ZERO_REGIONS = (
    "GB", "DE", "FR", "NL", "BE", "IT", "CH", "AT", "SE", "AU", "NZ", "JP", "IN", "ZA", "IE", "BR",
)
_REGIONS = ("US", "ES", "PT", "NO", "DK", "PL", "MX", "CN", "SG", "HK", *_ZERO_REGIONS)
# fmt: on


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
    number = digits_of(written.replace(b"(0)", b"").decode("ascii"))
    return 7 <= len(number) <= 15 and length_fits(number)


def _with_00(written: bytes) -> bool:
    number = digits_of(written.replace(b"(0)", b"").decode("ascii"))[2:]
    if not 7 <= len(number) <= 15:
        return False
    return length_fits(number) if _HYPHENATED_00.match(written) else exists_abroad(number)


def _with_zero(folded: bytes, start: int, end: int) -> bool:
    written = folded[start:end]
    groups = _GROUP.findall(written)
    number = b"".join(groups).decode("ascii")
    if not 9 <= len(number) <= 12 or len(groups) < 2 or len(groups[0]) < 2:
        return False
    # An issue of a journal (016132 (2001)), an American ZIP code.
    if written.count(b"/") > 1 or b"(" in written[1:] or _ZIP.fullmatch(written) or _with_year(groups):
        return False
    if _THOUSANDS.fullmatch(written) and folded[start - 1 : start] == b" " and folded[start - 2 : start - 1].isdigit():
        return False  # 1 098 765 432
    if _PAIRS.match(written) and (
        _MORE_PAIRS.match(folded, end) or _PAIRS.search(folded[max(0, start - 3) : start + 2])
    ):
        return False  # 00 01 02 03 04 05 06
    return exists_in(number, _ZERO_REGIONS)


def _with_year(groups: list[bytes]) -> bool:
    return len(groups) == 2 and any(_YEAR.fullmatch(group) for group in groups)


def _in_groups(written: bytes) -> bool:
    """7 to 13 digits in two groups or more that look like neither years nor an amount."""
    groups = _GROUP.findall(written)
    if not 7 <= sum(map(len, groups)) <= 13 or len(groups) < 2:
        return False
    if len(groups) > 2:
        return max(map(len, groups)) > 2 or len(groups) <= 5
    return not _with_year(groups) and not (b"." in written and len(groups[1]) < 3)


def _after_a_word(written: bytes) -> bool:
    number = digits_of(written.decode("ascii"))
    if not 7 <= len(number) <= 15:
        return False
    groups = _GROUP.findall(written)
    if (len(groups) == 1 and len(number) < 9) or _with_year(groups):
        return False
    grouped_zero = written.lstrip(b"(").startswith(b"0") and len(groups) > 1
    if _LOCAL.fullmatch(written) or (grouped_zero and 9 <= len(number) <= 12):
        return True
    return exists_in(number, _REGIONS)


def _behind(folded: bytes, start: int, end: int) -> bool:
    if not _BEHIND.match(folded, end, end + _LONGEST_BEHIND):
        return False
    written = folded[start:end]
    return _in_groups(written) and (_THOUSANDS.fullmatch(written) is None or _after_a_word(written))


def _labelled(folded: bytes, start: int, ends: list[int]) -> int | None:
    """A number that exists if one begins here, else whatever can be dialled."""
    likely = [end for end in ends if 7 <= len(digits_of(folded[start:end].decode("ascii"))) <= 15]
    for end in likely:
        if exists_in(digits_of(folded[start:end].decode("ascii")), _REGIONS):
            return end
    return likely[0] if likely else None


def _end(folded: bytes, start: int) -> int | None:
    ends = _ends(folded, start)
    first = folded[start : start + 2]
    if first.startswith(b"+") or first == b"(+":
        if ends and _SUM.match(folded, start, ends[0]):
            return None
        return next((end for end in ends if _international(folded[start:end])), None)
    if not ends or _DATE.match(folded, start):
        return None
    before = folded[max(0, start - CONTEXT) : start].lower()
    otherwise = called_other_than_phone(before)
    shape = _NORTH_AMERICAN.match(folded, start)
    named = not otherwise and _WORDS.search(before) is not None
    if shape and shape.end() in ends and not _GOES_ON.match(folded, shape.end()):
        written = shape.group()
        odd = shape["separator"] == b" " or (shape["separator"] == b"-" and written[-5:-4] != b"-")
        if not odd or named or exists_in(digits_of(written.decode("ascii")), ("US",)):
            return shape.end()
    if first.startswith(b"0") and _PATH_OR_TIME.search(folded, max(0, start - 2), start):
        return None
    if first == b"00":
        return next((end for end in ends if _with_00(folded[start:end])), None)
    if _LABEL.search(before):
        return _labelled(folded, start, ends)
    if otherwise:
        return None
    if first.startswith(b"0") or first == b"(0":
        zero = next((end for end in ends if _with_zero(folded, start, end)), None)
        if zero is not None:
            return zero
    if _VERB.search(before):
        grouped = next((end for end in ends if _in_groups(folded[start:end]) or _after_a_word(folded[start:end])), None)
        if grouped is not None:
            return grouped
    if _behind(folded, start, ends[0]):
        return ends[0]
    return next((end for end in ends if _after_a_word(folded[start:end])), None) if named else None


PHONE = Detector(
    kind="PHONE",
    gate=NUMBER_GATE,
    starts=starts_of_numbers(_START, 3 * MAX_DIGITS),
    end=_end,
    tail=_TAIL,
    tail_bytes=_TAIL_BYTES,
    longest_tail=_LONGEST_TAIL,
    canonical=digits_of,
)
