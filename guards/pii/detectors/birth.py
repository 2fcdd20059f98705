"""Dates of birth: a full date with a word before it that says so. Dates without one are no personal data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from guards.pii.detectors.words import gate, near, windows
from guards.spans.detector import Detector

_WORDS = (
    "dob|d.o.b|date of birth|birth date|birthday|b day|born|geboren|geb|geburtsdatum|geburtstag|n\xc0e? le|"
    "date de naissance|naissance|nacid[oa]|nacimiento|nat[oa] il|nascita|nascid[oa]|nascimento|geboorte datum|"
    "f\xc0dd|f\xc0dselsdato|f\xc0delsedag|urodz\\w*"
)
_MONTHS = (
    rb"jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mai|okt|dez|m\xc0r|f\xc0v|avr|jui|ao\xc0|d\xc0c|ene|abr|ago|set|"
    rb"out|gen|mag|giu|lug|ott|dic|mei|maa|mrt|fev|des"
)
_MONTH = rb"(?:%b)[a-z\xc0]{0,7}\.?" % _MONTHS
_YEAR = rb"(?:19|20)[0-9]{2}"
_DAY = rb"[0-3]?[0-9](?:st|nd|rd|th|\xc0|\.|er)?"
_DATE = (
    rb"(?P<first>[0-9]{1,2})(?P<mark>[./\-])(?P<second>[0-9]{1,2})(?P=mark)(?P<year>%b|[0-9]{2})"
    rb"|(?P<year_first>%b)(?P<mark_too>[./\-]?)(?P<month>[01][0-9]|(?<=[./\-])[1-9])(?P=mark_too)(?P<day>[0-3]?[0-9])"
    rb"|%b[ \-](?:of |de )?%b,?[ \-](?:de )?%b"
    rb"|%b[ \-]%b(?:,? |-)%b" % (_YEAR, _YEAR, _DAY, _MONTH, _YEAR, _MONTH, _DAY, _YEAR)
)
_AFTER = rb"(?![0-9A-Za-z_\xc0]|[.\-/][0-9])"
_WHOLE = re.compile(rb"(?:%b)%b" % (_DATE, _AFTER), re.I)
_BEFORE = rb"(?<![0-9A-Za-z_\xc0])(?<![0-9][.\-/])"
_START = re.compile(rb"%b(?=%b)" % (_BEFORE, rb"[0-9]|%b" % _MONTHS), re.I)

_A_MONTH = rb"(?:%b)[a-z\xc0]{0,7}\.?|[a-z\xc0]{1,2}" % _MONTHS  # maybe not written out yet
_TAIL = re.compile(
    rb"%b(?:[0-9]{1,8}(?:[./\-][0-9]{0,4}){0,2}[./\-]?"
    rb"|[0-9]{1,2}(?:[a-z\xc0]{1,2}|\.)?(?:[ \-](?:(?:of|de) ?)?(?:(?:%b)(?:,?[ \-](?:de? ?)?[0-9]{0,4})?,?)?)?"
    rb"|(?:%b)(?:[ \-](?:%b)?,?[ \-]?[0-9]{0,4})?)[.\-/]?\Z"
    % (_BEFORE, _A_MONTH, _A_MONTH, rb"[0-3]?[0-9](?:[a-z\xc0]{1,2}|\.)?"),
    re.I,
)
_LONGEST = 32

_named = near(_WORDS)
_windows = windows(_WORDS, rb"[0-9][^0-9].{0,14}[0-9]{2}|[0-9]{8}")


def _starts(folded: bytes, begin: int) -> Iterator[int]:
    for low, high in _windows(folded, begin):
        for match in _START.finditer(folded, low, high + 4):
            yield match.start()


def _end(folded: bytes, start: int) -> int | None:
    match = _WHOLE.match(folded, start)
    if match is None or not _named(folded, start):
        return None
    if match["year_first"] and not (1 <= int(match["month"]) <= 12 and 1 <= int(match["day"]) <= 31):
        return None
    if match["first"]:
        first, second = int(match["first"]), int(match["second"])
        if not (1 <= min(first, second) <= 12 and max(first, second) <= 31):
            return None
    year = re.search(_YEAR, match.group())
    if year and int(year.group()) > date.today().year:
        return None
    return match.end()


DATE_OF_BIRTH = Detector(
    kind="DATE_OF_BIRTH",
    gate=gate(_WORDS),
    starts=_starts,
    end=_end,
    tail=_TAIL,
    tail_bytes=b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .,/-\xc0",
    longest_tail=_LONGEST,
    canonical=lambda value: " ".join(value.casefold().split()),
)
