"""International bank account numbers (ISO 13616): country, length, structure and check digits must all be
right.

In capitals it may be cut by single spaces or hyphens; in small letters it must stand in one piece. The
lengths come from the SWIFT registry that python-stdnum carries.
"""

from __future__ import annotations

import re

from stdnum import iban, numdb

from guards.spans.detector import Detector, starts_of


def _lengths() -> dict[bytes, int]:
    """Characters in all, by country code."""
    return {
        code.encode("ascii"): 4 + sum(int(size) for size in re.findall(r"(\d+)!", properties["bban"]))
        for _, code, _, properties, _ in numdb.get("iban").prefixes
    }


_LENGTHS = _lengths()
_LONGEST = max(_LENGTHS.values())
_COUNTRY = b"|".join(sorted(_LENGTHS))
_REST = _LONGEST - 4

_CAPITALS = re.compile(rb"[A-Z]{2}\d\d(?:[ \-]?[0-9A-Z]){11,%d}" % _REST)
_ONE_WORD = re.compile(rb"[A-Za-z]{2}\d\d[0-9A-Za-z]{11,%d}" % _REST)
_START = re.compile(rb"(?<![0-9A-Za-z_\xc0])(?=(?i:%b)\d\d[ \-]?[0-9A-Za-z])" % _COUNTRY)
_CHARACTER = re.compile(rb"[0-9A-Za-z]")


def _end(folded: bytes, start: int) -> int | None:
    length = _LENGTHS[folded[start : start + 2].upper()]
    for pattern in (_CAPITALS, _ONE_WORD):
        run = pattern.match(folded, start)
        if run is None:
            continue
        ends = [match.end() for match in _CHARACTER.finditer(folded, start, run.end())]
        if len(ends) < length or _CHARACTER.match(folded, ends[length - 1]):
            continue
        if iban.is_valid(folded[start : ends[length - 1]].decode("ascii"), check_country=False):
            return ends[length - 1]
    return None


IBAN = Detector(
    kind="IBAN",
    gate=rb"(?:^|[^0-9A-Za-z_])[A-Za-z]{2}[0-9]{2}[ \-]?[0-9A-Za-z]",
    starts=starts_of(_START),
    end=_end,
    tail=re.compile(
        rb"(?<![0-9A-Za-z_\xc0])(?:[A-Za-z]{1,2}\d?|(?:%b)\d\d(?:[ \-]?[0-9A-Z]){0,%d}[ \-]?"
        rb"|(?i:%b)\d\d[0-9A-Za-z]{0,%d})\Z" % (_COUNTRY, _REST, _COUNTRY, _REST)
    ),
    tail_bytes=b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 -",
    longest_tail=4 + 2 * _REST + 1,
    canonical=lambda value: re.sub(r"[\W_]", "", value).upper(),
)
