"""Internet addresses, version 4 and 6, that may lead to somebody.

Not reported: addresses that name no host (unspecified, loopback, netmasks), the numbers of versions and
sections, and IPv6 outside the ranges in use, which in practice is code (`ab::c1`) and not an address.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from guards.pii.detectors.numbers import LONGEST_NUMBER_TAIL, NUMBER_TAIL, NUMBER_TAIL_BYTES
from guards.spans.detector import Detector, starts_of, word_before

_V4 = re.compile(rb"\d{1,3}(?:\.\d{1,3}){3}(?![0-9A-Za-z_])(?!\.\d)(?!\-[A-Za-z])")
_V4_START = re.compile(rb"(?<![0-9A-Za-z_])(?<!\d\.)(?=\d{1,3}(?:\.\d{1,3}){3})")
_NOT_AN_ADDRESS = re.compile(
    rb"(?<![a-z])(?:v|ver|versions?|releases?|build|firmware|rev|revision|sections?|chapter|clause|article|figure)"
    rb"(?:[ \"':=.#*`_\-]{0,4}(?:is|to|from|number))?[ \"':=.#*`_\-]{0,4}\Z|(?:[=<>~!]=|~>|\^) ?\Z"
    rb"|(?:oid|object ?identifier)s?[ \"':=(.]{0,4}\Z"
)
_OID = re.compile(rb"2\.5\.(?:4|8|29)\.|1\.3\.6\.1(?![0-9])")  # object identifiers of X.500 and of SNMP
_PRODUCT = re.compile(rb"[a-z0-9]/\Z")  # Chrome/120.0.0.0

_V6_RUN = re.compile(rb"[0-9A-Fa-f:.]{3,45}")
_V6_START = re.compile(rb"(?<![0-9A-Za-z_:.])(?=[0-9A-Fa-f:]{0,4}:[0-9A-Fa-f:])")
_WORD_BYTE = re.compile(rb"[0-9A-Za-z_:]")
_IN_USE = tuple(
    IPv6Network(network)
    for network in ("2000::/3", "fc00::/7", "fe80::/10", "ff00::/8", "64:ff9b::/96", "::ffff:0:0/96")
)
_LONGEST_V6 = 45


def _v4_end(folded: bytes, start: int) -> int | None:
    match = _V4.match(folded, start)
    if match is None or _OID.match(folded, start) or word_before(folded, start, _NOT_AN_ADDRESS):
        return None
    try:
        address = IPv4Address(match.group().decode("ascii"))
    except ValueError:
        return None
    if address.is_loopback or address.packed[0] in (0, 255):
        return None
    if match.group().endswith(b".0.0.0") and word_before(folded, start, _PRODUCT):
        return None
    return match.end()


def _v6_end(folded: bytes, start: int) -> int | None:
    run = _V6_RUN.match(folded, start)
    if run is None or _WORD_BYTE.match(folded, run.end()):
        return None
    written = run.group().rstrip(b".")
    if written.endswith(b":") and not written.endswith(b"::"):
        written = written[:-1]
    if written.count(b":") < 2 or (b"::" not in written and written.count(b":") < 6):
        return None
    try:
        address = IPv6Address(written.decode("ascii"))
    except ValueError:
        return None
    return start + len(written) if any(address in network for network in _IN_USE) else None


def _canonical(value: str) -> str:
    try:
        return str(ip_address(value))
    except ValueError:  # written with digits of another script
        return value


IPV4 = Detector(
    kind="IP",
    gate=rb"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]",
    starts=starts_of(_V4_START),
    end=_v4_end,
    tail=NUMBER_TAIL,
    tail_bytes=NUMBER_TAIL_BYTES,
    longest_tail=LONGEST_NUMBER_TAIL,
    canonical=_canonical,
)

IPV6 = Detector(
    kind="IP",
    gate=rb"::|(?:^|[^0-9A-Za-z:])(?:[0-9A-Fa-f]{1,4}:){4}",
    starts=starts_of(_V6_START),
    end=_v6_end,
    tail=re.compile(rb"(?<![0-9A-Za-z_:.])[0-9A-Fa-f:][0-9A-Fa-f:.]{0,%d}\Z" % (_LONGEST_V6 - 1)),
    tail_bytes=b"0123456789abcdefABCDEF:.",
    longest_tail=_LONGEST_V6,
    canonical=_canonical,
)
