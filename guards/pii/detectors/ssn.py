"""US social security numbers, and the taxpayer numbers (ITIN) written the same way.

`123-45-6789` is one by its shape; written with spaces, points or nothing it needs a word that says so
before it. Never issued are area 000 and 666, group 00, serial 0000 (SSA, POMS RM 10201.035). Of areas 900 to 999,
groups 50 to 65, 70 to 88, 90 to 92 and 94 to 99 are ITINs (IRS, IRM 3.21.263); the others are taken for social
security numbers, which is what they are mistyped from.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from stdnum.us import itin

from guards.pii.detectors.numbers import (
    LONGEST_NUMBER_TAIL,
    NUMBER_GATE,
    NUMBER_TAIL,
    NUMBER_TAIL_BYTES,
    starts_of_numbers,
)
from guards.pii.detectors.words import near
from guards.spans.detector import Detector, digits_of

_NUMBER = rb"(\d{3})([\- .]?)(\d{2})\2(\d{4})"
_SHAPE = re.compile(_NUMBER + rb"(?![0-9A-Za-z_])(?![\-.]\d)")
_START = re.compile(rb"(?<![0-9A-Za-z_])(?<!\d[\-.])(?=" + _NUMBER + rb")")
_NAMED = near(
    "ssn|itin|itin number|social security|social sec|soc sec|tax id|taxpayer id|taxpayer identification|us_ssn"
)


def _end(taxpayer: bool) -> Callable[[bytes, int], int | None]:
    def end(folded: bytes, start: int) -> int | None:
        match = _SHAPE.match(folded, start)
        if match is None:
            return None
        area, separator, group, serial = match.groups()
        if area in (b"000", b"666") or group == b"00" or serial == b"0000":
            return None
        if itin.is_valid((area + group + serial).decode("ascii")) != taxpayer:
            return None
        if separator != b"-" and not _NAMED(folded, start):
            return None
        return match.end()

    return end


def _detector(kind: str, taxpayer: bool) -> Detector:
    return Detector(
        kind=kind,
        gate=NUMBER_GATE,
        starts=starts_of_numbers(_START, 12),
        end=_end(taxpayer),
        tail=NUMBER_TAIL,
        tail_bytes=NUMBER_TAIL_BYTES,
        longest_tail=LONGEST_NUMBER_TAIL,
        canonical=digits_of,
    )


US_SSN = _detector("US_SSN", False)
US_ITIN = _detector("US_ITIN", True)
