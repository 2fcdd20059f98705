"""The bytes of a journal file: framed, checksummed records, and how to read what a crash or a disk left of them.

A record is a marker, the payload's length, a CRC-32 of length and payload, and the payload. Payloads are UTF-8,
and the marker's first byte occurs in no UTF-8 text: a payload cannot imitate a record, so a reader that lost
its way finds the next true one by its marker.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from zlib import crc32

_MARKER = b"\xf5SL1"
_LENGTH = struct.Struct("<I")
_HEAD = struct.Struct("<4sII")  # marker, length, crc


@dataclass(frozen=True, slots=True)
class Scan:
    """What a file holds. `torn` bytes at the end are a record that was never finished, and no loss; `damaged`
    bytes were once written whole and cannot be read any more."""

    payloads: list[bytes]
    torn: int = 0
    damaged: int = 0


def pack(payload: bytes) -> bytes:
    """One record, ready to be appended."""
    return _HEAD.pack(_MARKER, len(payload), _checksum(payload)) + payload


def scan(data: bytes) -> Scan:
    """Every intact record of a file in order. Never fails."""
    payloads: list[bytes] = []
    damaged = 0
    position = 0
    while position < len(data):
        payload = _read(data, position)
        if payload is not None:
            payloads.append(payload)
            position += _HEAD.size + len(payload)
            continue
        following = _next_intact(data, position + 1)
        if following is None:
            rest = data[position:]
            if _is_unfinished(rest):
                return Scan(payloads, torn=len(rest), damaged=damaged)
            return Scan(payloads, damaged=damaged + len(rest))
        damaged += following - position
        position = following
    return Scan(payloads, damaged=damaged)


def _checksum(payload: bytes) -> int:
    return crc32(payload, crc32(_LENGTH.pack(len(payload))))


def _read(data: bytes, position: int) -> bytes | None:
    """The payload of the record that begins at `position`, or None if no intact record does."""
    if position + _HEAD.size > len(data):
        return None
    marker, length, checksum = _HEAD.unpack_from(data, position)
    start = position + _HEAD.size
    if marker != _MARKER or length == 0 or start + length > len(data):
        return None
    payload = data[start : start + length]
    return payload if _checksum(payload) == checksum else None


def _next_intact(data: bytes, position: int) -> int | None:
    position = data.find(_MARKER, position)
    while position != -1:
        if _read(data, position) is not None:
            return position
        position = data.find(_MARKER, position + 1)
    return None


def _is_unfinished(rest: bytes) -> bool:
    """Whether `rest` is the beginning of one record, or space a file system gave and never filled."""
    if len(rest) < _HEAD.size:
        return rest.startswith(_MARKER) or _MARKER.startswith(rest) or not any(rest)
    marker, length, _ = _HEAD.unpack_from(rest)
    return (marker == _MARKER and _HEAD.size + length > len(rest)) or not any(rest)
