"""Private keys in text armour: PEM and OpenSSH (RFC 7468), PGP (RFC 9580), SSH2 (RFC 4716), PuTTY.

From the first hyphen of the header to the end of the footer; without a footer, to the end of the last full line of
base64. Line breaks may be written as escapes, and lines may be quoted, indented or parts of a program. What is said
about such headers is no key: right after one base64 has to follow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from guards.spans.detector import Detector

LONGEST_KEY = 16_384  # bytes, header and footer included; what a longer one has beyond is not taken for it

_GAP_UNIT = rb"(?:[ \t\r\n>#|,;*]|\\{1,4}(?:[nrt]|\r?\n)|[\"'] ?\+?)"
_MAYBE_GAP = _GAP_UNIT + rb"{0,80}+"
_HEADER = rb"-{4}[\- ]BEGIN (?:[A-Z0-9]{1,12} ){0,4}PRIVATE KEY(?: BLOCK)?[\- ]-{4}|Private-Lines: \d{1,4}"
_FIELDS = rb"(?:[A-Z][A-Za-z\-]{2,24}: ?[\t -\[\]-~]{1,200}(?:\r?\n|\\{1,4}n)%b){0,8}+" % _MAYBE_GAP
_LINES = rb"(?:[A-Za-z0-9+/=]{16,}+%b){0,}+" % _MAYBE_GAP
_SHORT = rb"(?:(?!Private-)[A-Za-z0-9+/=]{1,15}+%b){0,3}+" % _MAYBE_GAP
_FOOTER = rb"(?:-{4}[\- ]END [A-Z0-9 ]{0,60}PRIVATE KEY(?: BLOCK)?[\- ]-{4}|Private-MAC: [0-9a-f]{40,64})"

_START = re.compile(rb"-{4}[\- ]BEGIN (?=[A-Z0-9 ]{0,60}PRIVATE KEY)|(?<![A-Za-z])Private-Lines: (?=\d)")
_KEY = re.compile(
    rb"(?:%b)%b%b(?P<body>(?=[A-Za-z0-9+/=]{16})%b)%b(?P<footer>%b)?"
    % (_HEADER, _MAYBE_GAP, _FIELDS, _LINES, _SHORT, _FOOTER)
)
_TRAILING_GAP = re.compile(_GAP_UNIT + rb"+\Z")
_MIXED = re.compile(rb"(?=[A-Za-z0-9+/=]*[A-Z])(?=[A-Za-z0-9+/=]*[a-z])[A-Za-z0-9+/=]{16}")


def _starting(text: bytes) -> bytes:
    """A pattern of every beginning of `text`, itself included."""
    pattern = b""
    for byte in reversed(text):
        pattern = b"%b(?:%b)?" % (re.escape(bytes([byte])), pattern) if pattern else re.escape(bytes([byte]))
    return pattern


_HEADER_BEGUN = rb"-{4}(?:[\- ](?:%b|BEGIN [A-Z0-9 ]{0,64}(?:[\- ]-{0,4})?)?)?|-{1,3}|(?<![A-Za-z])(?:%b\d{0,4}|%b)" % (
    _starting(b"BEGIN "),
    b"Private-Lines: ",
    _starting(b"Private-Lines:"),
)
_FOOTER_BEGUN = rb"-{1,4}|-{4}[\- ](?:%b|END [A-Z0-9 ]{0,80}[\- ]?-{0,4})?|%b|Private-MAC: [0-9a-f]{0,64}" % (
    _starting(b"END "),
    _starting(b"Private-MAC: "),
)
_FIELD_BEGUN = rb"[A-Z][A-Za-z\-]{0,24}(?:: ?[\t -\[\]-~]{0,200}(?:\r|\\{1,4}r?)?)?"
_GAP_BEGUN = rb"(?:\\{1,4}\r?)?"
_TAIL = re.compile(
    rb"(?:(?:%b)\Z|(?:%b)%b(?:%b\Z|%b(?:%b\Z|%b\Z|%b%b(?:%b\Z|(?:%b)\Z))))"
    % (
        _HEADER_BEGUN,
        _HEADER,
        _MAYBE_GAP,
        _GAP_BEGUN,
        _FIELDS,
        _FIELD_BEGUN,
        _GAP_BEGUN,
        _LINES,
        _SHORT,
        _GAP_BEGUN,
        _FOOTER_BEGUN,
    )
)


def _starts(folded: bytes, begin: int) -> Iterator[int]:
    return (match.start() for match in _START.finditer(folded, begin))


def _end(folded: bytes, start: int) -> int | None:
    match = _KEY.match(folded, start, start + LONGEST_KEY)
    if match is None or not _MIXED.match(folded, match.start("body"), match.end("body")):
        return None
    if match["footer"] is not None:
        return match.end()
    gap = _TRAILING_GAP.search(folded, match.start("body"), match.end("body"))
    return gap.start() if gap else match.end("body")


PRIVATE_KEY = Detector(
    kind="PRIVATE_KEY",
    gate=rb"-{4}[\- ]BEGIN [A-Z0-9 ]*PRIVATE KEY|Private-Lines: [0-9]",
    starts=_starts,
    end=_end,
    tail=_TAIL,
    tail_bytes=bytes(byte for byte in range(256) if byte < 0x7F),
    longest_tail=LONGEST_KEY,
    canonical=lambda value: re.sub(r"\\+[nrt]|[^A-Za-z0-9+/=]", "", value),
)
