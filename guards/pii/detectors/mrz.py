"""Lines of machine readable zones of passports, visas and identity cards (ICAO 9303, parts 3 to 7).

Each line is a value by itself. Lines with figures must have right check digits; lines of names, which have none, are
known by their filling (`P<UTOERIKSSON<<ANNA<<<...`).
"""

from __future__ import annotations

import re

from guards.pii.detectors.checks import icao
from guards.spans.detector import Detector, starts_of

_LONGEST = 44
_LINE = re.compile(rb"[0-9A-Z<]{30,%d}(?![0-9A-Za-z_<\xc0])" % _LONGEST)
# In JSON a line may follow upon a written `\n`.
_START = re.compile(rb"(?:(?<![0-9A-Za-z_<\xc0])|(?<=\\n))(?=[0-9A-Z<]{30,%d}(?![0-9A-Za-z_<\xc0]))" % _LONGEST)
_NAMES = re.compile(r"[A-Z<]+<<[A-Z<]*<")
_PAPER = re.compile(r"[PVACI][A-Z<][A-Z<]{3}")
_NUMBERED = re.compile(r"[0-9A-Z<]{9}[0-9][A-Z<]{3}[0-9]{7}[MFX<][0-9]{7}[0-9A-Z<]{8,16}")
_CARD_FRONT = re.compile(r"[ACI][0-9A-Z<][A-Z<]{3}[0-9A-Z<]{9}[0-9<][0-9A-Z<]{15}")
_CARD_DATES = re.compile(r"[0-9]{7}[MFX<][0-9]{7}[A-Z<]{3}[0-9A-Z<]{11}[0-9]")


def _right(line: str, *parts: tuple[int, int]) -> bool:
    """Whether each part, of which the last character is its check digit, is right; the filler counts 0."""
    plain = line.replace("<", "0")
    return all(icao(plain[start:end]) for start, end in parts)


def _is_line(line: str) -> bool:
    if len(line) == 30:
        if _CARD_FRONT.fullmatch(line):
            return line[14] != "<" and _right(line, (5, 15))
        if _CARD_DATES.fullmatch(line):
            return _right(line, (0, 7), (8, 15))
        return line[0] != "<" and _NAMES.fullmatch(line) is not None
    if len(line) not in (36, 44):
        return False
    if _NUMBERED.fullmatch(line):
        return _right(line, (0, 10), (13, 20), (21, 28))
    return _PAPER.match(line) is not None and _NAMES.fullmatch(line) is not None


def _end(folded: bytes, start: int) -> int | None:
    match = _LINE.match(folded, start)
    return match.end() if match and _is_line(match.group().decode("ascii")) else None


MRZ = Detector(
    kind="MRZ",
    gate=rb"<<|[0-9]{7}[MFX<][0-9]{7}|(?:^|[^0-9A-Za-z_<]|\\n)[ACI][0-9A-Z<][A-Z<]{3}[0-9A-Z<]{10}",
    starts=starts_of(_START),
    end=_end,
    tail=re.compile(rb"(?:(?<![0-9A-Za-z_<\xc0])|(?<=\\n))[0-9A-Z<]{1,%d}\Z" % _LONGEST),
    tail_bytes=b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789<",
    longest_tail=_LONGEST,
    canonical=str,
)
