"""Payment card numbers: 12 to 19 digits with a right check digit (Luhn), plain or in groups.

Groups are those printed on cards: fours, or 4-6-5 and 4-6-4. The first digits must be those of a known issuer, or a
word before it must say that it is a card: issuers are added faster than lists of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from stdnum import luhn

from guards.pii.detectors.numbers import (
    LONGEST_NUMBER_TAIL,
    NUMBER_GATE,
    NUMBER_TAIL,
    NUMBER_TAIL_BYTES,
    latin1,
    starts_of_numbers,
)
from guards.pii.detectors.words import called_otherwise, near
from guards.spans.detector import Detector, digits_of

_RUN = re.compile(rb"\d{4}(?:[ .\-]?\d){8,15}")
_START = re.compile(rb"(?<![0-9A-Za-z_])(?=\d{4}(?:[ .\-]?\d){8,15})")
_DECIMALS = re.compile(rb"(?<![0-9])[0-9]{1,15}\.\Z")
_CENTS = re.compile(rb"\.[0-9]{1,2}(?![0-9])")
_GROUP = re.compile(rb"\d+")
_FOURS_OR_AMEX = re.compile(r"\d{12,19}|\d{4}(?: \d{4}){3}(?: \d{1,3})?|\d{4} \d{6} \d{4,5}")
_NAMED = near(
    "card|cc|ccn|visa|mastercard|maestro|amex|american express|discover|jcb|diners|"
    "unionpay|karte|kreditkarte|kredit karte|kartennummer|carte|tarjeta|carta di credito|cart\xc0o|kaart|"
    "karta|karty|kortnummer"
)
_WORD_BYTE = re.compile(rb"[0-9A-Za-z_]")

# First digits (a range, both ends included) and lengths, as the issuers state them (ISO/IEC 7812 registry). Of lengths
# only those in common use: a rare one needs a word.
_ISSUERS: tuple[tuple[int, int, range], ...] = (
    (4, 4, range(13, 20, 3)),  # Visa
    (51, 55, range(16, 17)),  # Mastercard
    (2221, 2720, range(16, 17)),
    (34, 34, range(15, 16)),  # American Express
    (37, 37, range(15, 16)),
    (300, 305, range(14, 17, 2)),  # Diners Club
    (309, 309, range(14, 17, 2)),
    (36, 36, range(14, 17, 2)),
    (38, 39, range(14, 17, 2)),
    (3528, 3589, range(16, 20, 3)),  # JCB
    (1800, 1800, range(15, 16)),
    (2131, 2131, range(15, 16)),
    (60, 60, range(16, 20, 3)),  # Discover, RuPay, Hipercard
    (644, 659, range(16, 20, 3)),
    (62, 62, range(16, 20, 3)),  # UnionPay
    (81, 82, range(16, 20, 3)),
    (2200, 2204, range(16, 20, 3)),  # Mir
    (9792, 9792, range(16, 17)),  # Troy
    (50, 50, range(16, 20, 3)),  # Maestro, Dankort, Elo, Verve
    (56, 58, range(16, 20, 3)),
    (63, 63, range(16, 20, 3)),
    (67, 67, range(16, 20, 3)),
)


def _issued(number: str) -> bool:
    return any(
        len(number) in lengths and low <= int(number[: len(str(low))]) <= high for low, high, lengths in _ISSUERS
    )


_is_there = latin1(rb"[0-9]{4}(?:[ .\-]?[0-9]){8}").search
_everywhere = starts_of_numbers(_START, 40)


def _starts(folded: bytes, begin: int) -> Iterator[int]:
    return _everywhere(folded, begin) if _is_there(folded, begin) else iter(())


def _end(folded: bytes, start: int) -> int | None:
    run = _RUN.match(folded, start)
    if run is None:
        return None
    ends = [group.end() for group in _GROUP.finditer(folded, start, run.end())]
    if _WORD_BYTE.match(folded, run.end()):
        ends.pop()  # the last group goes on after the run
    if _DECIMALS.search(folded, max(0, start - 17), start):
        return None
    for end in reversed(ends):
        written = re.sub(r"[.\-]", " ", folded[start:end].decode("ascii"))
        number = written.replace(" ", "")
        if len(number) < 12:
            return None
        if len(number) <= 16 and _CENTS.match(folded, end):
            continue
        if not _FOURS_OR_AMEX.fullmatch(written) or not luhn.is_valid(number):
            continue
        if _issued(number) or (any(map(int, number)) and _is_called_card(folded, start)):
            return end
    return None


def _is_called_card(folded: bytes, start: int) -> bool:
    return _NAMED(folded, start) and not called_otherwise(folded, start)


CARD = Detector(
    kind="CARD",
    gate=NUMBER_GATE,
    starts=_starts,
    end=_end,
    tail=NUMBER_TAIL,
    tail_bytes=NUMBER_TAIL_BYTES,
    longest_tail=LONGEST_NUMBER_TAIL,
    canonical=digits_of,
)
