"""Names and passwords inside of addresses: the `user:password` of `https://user:password@host`.

What stands in angle or curly brackets or behind a dollar sign is the place for one, not one.
"""

from __future__ import annotations

import re

from guards.spans.detector import Detector, starts_of

_LONGEST_PART = 128
_IN_URL = rb"0-9A-Za-z_\xc0\xc1.~!$&'()*+,;=%^\-"
_USER = rb"[%b]{0,%d}" % (_IN_URL, 64)
_PASSWORD = rb"[%b:@]{1,%d}" % (_IN_URL, _LONGEST_PART)  # up to the last `@`: some write theirs unescaped
_HOST = rb"(?=@[0-9A-Za-z\[\xc0\xc1])"

_WHOLE = re.compile(rb"(%b):(%b)%b" % (_USER, _PASSWORD, _HOST))
_START = re.compile(rb"(?<=://)(?=%b:%b%b)" % (_USER, _PASSWORD, _HOST))
_A_PLACE = re.compile(rb"\$|\*\*|\A[xX]{3,}\Z|\A\.+\Z")


def _end(folded: bytes, start: int) -> int | None:
    match = _WHOLE.match(folded, start)
    if match is None or _A_PLACE.search(match[2]):
        return None
    return match.end()


URL_CREDENTIALS = Detector(
    kind="URL_CREDENTIALS",
    gate=rb"://[%b]*:[%b:]+@" % (_IN_URL, _IN_URL),
    starts=starts_of(_START),
    end=_end,
    tail=re.compile(rb"(?<=://)%b(?::[%b:@]{0,%d})?\Z" % (_USER, _IN_URL, _LONGEST_PART + 2)),
    tail_bytes=bytes(sorted({byte for byte in range(256) if re.match(rb"[%b:@/]" % _IN_URL, bytes([byte]))})),
    longest_tail=64 + 1 + _LONGEST_PART + 2,
    canonical=str,
)
