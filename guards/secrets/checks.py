"""What tells a secret from what only looks like one: checksums, what a value decodes to, disorder, known stand-ins."""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib

_BASE62 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECK_CHARACTERS = 6

_SEPARATORS = re.compile(rb"[_\-.:/+=~]+")
_HUMPS = re.compile(rb"[A-Z]?[a-z]{3,}|[A-Z]{4,}")
_CLASSES = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
    b"A" * 26 + b"a" * 26 + b"0" * 10,
)
_TURN = re.compile(rb"(?=A[a0]|a[A0]|0[Aa])")
_ISLAND = re.compile(rb"[A-Za-z][0-9]{1,4}(?=[A-Za-z])")
_HEX = re.compile(rb"[0-9a-f]{24,}|[0-9A-F]{24,}")
_UUID = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

# Words that people write where a secret will stand, and characters that they fill the place with.
_STAND_IN = re.compile(
    rb"x{4,}|\*{3,}|\.{3}|chang(?:e|ing)[_\-]?(?:me|it|this)|replace[_\-]?(?:me|this|with)"
    rb"|^(?:your|my|the|some|any|an?)[_\-].*(?:key|token|secret|password|pass|here)|your[_\-]?(?:key|token|secret|password|api|own)"
    rb"|here$|place[_\-]?holder|example|sample|dummy|fake|redacted|masked|omitted|insert|todo|fixme|lorem|not[_\-]?(?:set|real)"
    rb"|^(?:undefined|none|null|nil|true|false|default|empty|foo|bar|baz|foobar|tests?|testing)[_\-]?\d{0,3}$"
    rb"|^(?:my|the|your|test|super|top|user|admin|db|root|some|new|old|current|wrong|bad|good|in|valid|invalid|correct)?[_\-]?"
    rb"(?:pass(?:w(?:or)?d|phrase|code|wort)?|pwd?|secret|token|key|credentials?)s?[_\-]?\d?$"
)
_RUN = re.compile(rb"0{8}|123456789|abcdef(?:g|$)|deadbeef|([a-z0-9])\1{5}")


def base62_checksum(body: bytes) -> bool:
    """Whether the last six characters are the CRC-32 of those before, in base 62.

    Source: GitHub, "Behind GitHub's new authentication token formats" (2021); npm does the same.
    """
    text, check = body[:-_CHECK_CHARACTERS], body[-_CHECK_CHARACTERS:]
    rest, digits = zlib.crc32(text), bytearray()
    for _ in range(_CHECK_CHARACTERS):
        rest, digit = divmod(rest, 62)
        digits.append(_BASE62[digit])
    return bytes(reversed(digits)) == check


def varied(value: bytes, least: int = 6) -> bool:
    """Whether it holds that many different characters: `ghp_xxxx...` does not."""
    return len(set(value)) >= least


def random_looking(value: bytes, most_words: float = 0.62, least_turns: float = 0.38) -> bool:
    """Whether a machine drew it: no name, path, sentence or run. Made for 16 characters and more.

    A drawn text changes between capitals, small letters and digits at about every other character (base 62: 62 %,
    hexadecimal: 47 %, base 36: 40 %), with digits between letters in many places; names change between words only.
    Where it is told by its changes: `least_turns` of all places, and `most_words`, the share of it that may look like
    words.
    """
    if _UUID.fullmatch(value):
        return True
    plain = _SEPARATORS.sub(b"", value)
    if len(plain) < 12 or not varied(plain, 8):
        return False
    digits = sum(48 <= byte <= 57 for byte in plain)
    if _HEX.fullmatch(plain):
        return 3 <= digits < len(plain)
    islands = len(_ISLAND.findall(value))
    if islands >= 3:
        return True
    turns = len(_TURN.findall(plain.translate(_CLASSES))) / (len(plain) - 1)
    if islands == 2 and turns >= 0.25 and digits / len(plain) >= 0.12:
        return True
    words = sum(len(hump) for piece in _SEPARATORS.split(value) for hump in _HUMPS.findall(piece)) / len(plain)
    return (digits > 0 or len(plain) >= 20) and digits < len(plain) and turns >= least_turns and words <= most_words


def stand_in(value: bytes) -> bool:
    """Whether it only says that a secret belongs there."""
    return _STAND_IN.search(value.lower()) is not None


def run_of_stand_in(value: bytes) -> bool:
    """Whether it holds a run that nobody draws: only in what is said to be drawn."""
    return _RUN.search(value.lower()) is not None


def decoded(value: bytes) -> bytes:
    """From base64 of either alphabet, padded or not; empty if it is none."""
    plain = value.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except binascii.Error:
        return b""


def jose_header(segment: bytes) -> bool:
    """Whether it is the header of a signed or encrypted token (RFC 7515, RFC 7516)."""
    try:
        header = json.loads(decoded(segment))
    except ValueError:
        return False
    return isinstance(header, dict) and bool({"alg", "enc", "typ", "kid"} & header.keys())


def user_and_password(value: bytes) -> bool:
    """Whether it is `user:password` in base64 (RFC 7617)."""
    try:
        text = decoded(value).decode("utf-8")
    except UnicodeDecodeError:
        return False
    user, _, password = text.partition(":")
    return bool(user and password) and text.isprintable()
