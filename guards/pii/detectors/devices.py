"""Numbers of things that belong to somebody: network cards, phones, SIM cards, vehicles."""

from __future__ import annotations

import re

from stdnum import luhn

from guards.pii.detectors import checks
from guards.pii.detectors.identifiers import Identifier, canonical, detector
from guards.spans.detector import Detector, starts_of

_MAC = (
    rb"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}|(?:[0-9A-Fa-f]{2}-){5}[0-9A-Fa-f]{2}|(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}"
)
_AROUND = rb"(?<![0-9A-Za-z_\xc0])(?<![0-9A-Fa-f][:.\-])"
_MAC_WHOLE = re.compile(rb"(?:%b)(?![0-9A-Za-z_\xc0]|[:.\-][0-9A-Fa-f])" % _MAC)
_MAC_START = re.compile(_AROUND + rb"(?=%b)" % _MAC)
_MAC_TAIL = re.compile(_AROUND + rb"[0-9A-Fa-f]{1,4}(?:[:.\-][0-9A-Fa-f]{1,4}){0,5}[:.\-]?\Z")


def _mac_end(folded: bytes, start: int) -> int | None:
    match = _MAC_WHOLE.match(folded, start)
    if match is None:
        return None
    address = re.sub(rb"[:.\-]", b"", match.group()).lower()
    # Addresses of nobody (all ones, all zeros), and figures in pairs: 12-05-21-10-30-00.
    if len(set(address)) == 1 or (b"-" in match.group() and address.isdigit()) or _points(match.group()):
        return None
    return match.end()


def _points(written: bytes) -> bool:
    """Figures with points (`1234.5678.9012`) are as likely an amount as an address."""
    return b"." in written and written.replace(b".", b"").isdigit()


MAC = Detector(
    kind="MAC",
    gate=rb"(?:^|[^0-9A-Za-z_])(?:(?:[0-9A-Fa-f]{2}[:\-]){4}|(?:[0-9A-Fa-f]{4}\.){2})[0-9A-Fa-f]{2}",
    starts=starts_of(_MAC_START),
    end=_mac_end,
    tail=_MAC_TAIL,
    tail_bytes=b"0123456789abcdefABCDEF:.-",
    longest_tail=31,
    canonical=canonical,
)


def _iccid(number: str) -> bool:
    return luhn.is_valid(number) or len(number) == 20


TABLE = (
    Identifier(
        "IMEI", ("99 9{6} 9{6} 9", "9{6} 99 9{6} 9"), luhn.is_valid, "imei|imeis|imei number|equipment identity"
    ),
    Identifier(
        "ICCID", ("89[0-9]{16,18}", "89[0-9]{2} 9999 9999 9999 9{3,4}"), _iccid, "iccid|sim card|sim number|sim no|sim"
    ),
    Identifier(
        "VIN",
        ("[A-HJ-NPR-Z0-9]{17}",),
        checks.vin,
        "vin|chassis|vehicle identification|fahrgestellnummer|fin|num\xc0ro de s\xc0rie|bastidor|telaio",
    ),
)

DETECTORS = (MAC, *map(detector, TABLE))
