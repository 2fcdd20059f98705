"""Payment card numbers: 12 to 19 digits of a known issuer with a right check digit (Luhn), plain or in
groups.

Groups are those printed on cards: fours, or 4-6-5 and 4-6-4.
"""

from __future__ import annotations

import re

from stdnum import luhn

from guards.pii.detectors.numbers import LONGEST_NUMBER_TAIL, NUMBER_TAIL, NUMBER_TAIL_BYTES
from guards.spans.detector import Detector, digits_of, starts_of

_RUN = re.compile(rb"[1-9]\d{3}(?:[ .\-]?\d){8,15}")
# After a single digit and a point stand decimals, not a card.
_START = re.compile(rb"(?<![0-9A-Za-z_])(?<!\A\d\.)(?<!\D\d\.)(?=[1-9]\d{3}(?:[ .\-]?\d){8,15})")
_GROUP = re.compile(rb"\d+")
_FOURS_OR_AMEX = re.compile(r"\d{12,19}|\d{4}(?: \d{4}){3}(?: \d{1,3})?|\d{4} \d{6} \d{4,5}")
_WORD_BYTE = re.compile(rb"[0-9A-Za-z_]")

# First digits (a range, both ends included) and lengths, as the issuers state them (ISO/IEC 7812 registry).
_ISSUERS: tuple[tuple[int, int, range], ...] = (
    (4, 4, range(13, 20, 3)),  # Visa
    (51, 55, range(16, 17)),  # Mastercard
    (2221, 2720, range(16, 17)),
    (34, 34, range(15, 16)),  # American Express
    (37, 37, range(15, 16)),
    (300, 305, range(14, 20)),  # Diners Club
    (309, 309, range(14, 20)),
    (36, 36, range(14, 20)),
    (38, 39, range(14, 20)),
    (3528, 3589, range(16, 20)),  # JCB
    (1800, 1800, range(15, 16)),
    (2131, 2131, range(15, 16)),
    (60, 60, range(16, 20)),  # Discover, RuPay, Hipercard
    (644, 659, range(16, 20)),
    (62, 62, range(16, 20)),  # UnionPay
    (81, 82, range(16, 20)),
    (2200, 2204, range(16, 20)),  # Mir
    (9792, 9792, range(16, 17)),  # Troy
    (50, 50, range(12, 20)),  # Maestro, Dankort, Elo, Verve
    (56, 58, range(12, 20)),
    (63, 63, range(12, 20)),
    (67, 67, range(12, 20)),
)


def _issued(number: str) -> bool:
    return any(
        len(number) in lengths and low <= int(number[: len(str(low))]) <= high for low, high, lengths in _ISSUERS
    )


def _end(folded: bytes, start: int) -> int | None:
    run = _RUN.match(folded, start)
    if run is None:
        return None
    ends = [group.end() for group in _GROUP.finditer(folded, start, run.end())]
    if _WORD_BYTE.match(folded, run.end()):
        ends.pop()  # the last group goes on after the run
    for end in reversed(ends):
        written = re.sub(r"[.\-]", " ", folded[start:end].decode("ascii"))
        number = written.replace(" ", "")
        if len(number) < 12:
            return None
        if _FOURS_OR_AMEX.fullmatch(written) and _issued(number) and luhn.is_valid(number):
            return end
    return None


CARD = Detector(
    kind="CARD",
    gate=rb"[1-9][0-9]{3}(?:[ .\-]?[0-9]){8}",
    starts=starts_of(_START),
    end=_end,
    tail=NUMBER_TAIL,
    tail_bytes=NUMBER_TAIL_BYTES,
    longest_tail=LONGEST_NUMBER_TAIL,
    canonical=digits_of,
)
