"""US social security numbers, and the taxpayer numbers written the same way (areas 900 to 999).

`123-45-6789` is one by its shape; written with spaces, points or nothing it needs a word that says so
before it. Never issued are area 000 and 666, group 00, serial 0000 (SSA, POMS RM 10201.035).
"""

from __future__ import annotations

import re

from guards.pii.detectors.numbers import LONGEST_NUMBER_TAIL, NUMBER_TAIL, NUMBER_TAIL_BYTES
from guards.spans.detector import Detector, digits_of, starts_of, word_before

_NUMBER = rb"(\d{3})([\- .]?)(\d{2})\2(\d{4})"
_SHAPE = re.compile(_NUMBER + rb"(?![0-9A-Za-z_])(?![\-.]\d)")
_START = re.compile(rb"(?<![0-9A-Za-z_])(?<!\d[\-.])(?=" + _NUMBER + rb")")
# A placeholder is no such word.
_CONTEXT = re.compile(rb"(?<![a-z])(?:ssns?|itin|social (?:security|sec)|tax(?:payer)? id)(?![a-z]|_\d)")


def _end(folded: bytes, start: int) -> int | None:
    match = _SHAPE.match(folded, start)
    if match is None:
        return None
    area, separator, group, serial = match.groups()
    if area in (b"000", b"666") or group == b"00" or serial == b"0000":
        return None
    if separator != b"-" and not word_before(folded, start, _CONTEXT):
        return None
    return match.end()


US_SSN = Detector(
    kind="US_SSN",
    gate=rb"[0-9]{3}[\- .]?[0-9]{2}[\- .]?[0-9]{4}",
    starts=starts_of(_START),
    end=_end,
    tail=NUMBER_TAIL,
    tail_bytes=NUMBER_TAIL_BYTES,
    longest_tail=LONGEST_NUMBER_TAIL,
    canonical=digits_of,
)
