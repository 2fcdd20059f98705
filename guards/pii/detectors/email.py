"""E-mail addresses as people write them: no quoted local parts, a domain with a top level of two letters or
more.

The local part may be of any script with spaces between words, the domain of any script. Sizes are those of
RFC 5321: 64 and 253. Of a longer local part the last 64 characters count, so a long run in front hides
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from guards.spans.detector import Detector

_MAX_LOCAL = 64
_MAX_DOMAIN = 253

_WORD = rb"A-Za-z0-9_\xc0"
_ATOM = _WORD + rb".%+'\-"
_ALNUM = rb"A-Za-z0-9\xc0\xc1"

_LOCAL_AT = re.compile(rb"[%b][%b]{0,%d}@" % (_WORD, _ATOM, _MAX_LOCAL - 1))
_START = re.compile(rb"(?<![%b])(?=[%b][%b]{0,%d}@)" % (_WORD, _WORD, _ATOM, _MAX_LOCAL - 1))
_FULL_LOCAL = re.compile(rb"[%b][%b]{%d}@" % (_WORD, _ATOM, _MAX_LOCAL - 1))
_DOMAIN = re.compile(
    rb"(?:[%b][%b\-]{0,62}\.)+(?:xn--[A-Za-z0-9\-]{1,59}|[A-Za-z]{2,63}|[\xc0\xc1]{1,63})" % (_ALNUM, _ALNUM)
)


def _starts(folded: bytes, begin: int) -> Iterator[int]:
    at = folded.find(b"@", begin)
    while at >= 0:
        full = at - _MAX_LOCAL
        if full >= begin and _FULL_LOCAL.match(folded, full, at + 1):
            yield full
        for match in _START.finditer(folded, max(begin, full), at + 1):
            yield match.start()
        begin, at = at + 1, folded.find(b"@", at + 1)


def _end(folded: bytes, start: int) -> int | None:
    local = _LOCAL_AT.match(folded, start)
    if local is None:
        return None
    domain = _DOMAIN.match(folded, local.end(), min(len(folded), local.end() + _MAX_DOMAIN))
    return domain.end() if domain else None


EMAIL = Detector(
    kind="EMAIL",
    gate=rb"[%b]@[%b]" % (_ATOM, _ALNUM),
    starts=_starts,
    end=_end,
    tail=re.compile(rb"[%b][%b]{0,%d}(?:@[%b.\-]{0,%d})?\Z" % (_WORD, _ATOM, _MAX_LOCAL - 1, _ALNUM, _MAX_DOMAIN - 1)),
    tail_bytes=bytes(sorted({*b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.%+'-@", 0xC0, 0xC1})),
    longest_tail=_MAX_LOCAL + 1 + _MAX_DOMAIN - 1,
    canonical=str.casefold,
)
