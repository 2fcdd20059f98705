"""The form of an entry outside this process: packed if large, and with a checksum, so that damage is seen."""

from __future__ import annotations

import hashlib
import zlib

PLAIN, PACKED = b"\x01", b"\x02"  # the first byte; a form that comes later takes another
PACK_FROM = 4096  # bytes
_SUM = 16


def seal(key: bytes, payload: bytes) -> bytes:
    form, data = PLAIN, payload
    if len(payload) > PACK_FROM:
        form, data = PACKED, zlib.compress(payload, 1)
    return form + _checksum(key, form, data) + data


def unseal(key: bytes, sealed: bytes, limit: int) -> bytes | None:
    """The payload; None if it is damaged, was kept under another key, has another form, or is larger than `limit`."""
    form, checksum, data = sealed[:1], sealed[1 : 1 + _SUM], sealed[1 + _SUM :]
    if form not in (PLAIN, PACKED) or checksum != _checksum(key, form, data):
        return None
    if form == PACKED:
        unpacker = zlib.decompressobj()
        try:
            data = unpacker.decompress(data, limit + 1)
        except zlib.error:
            return None
    return data if len(data) <= limit else None


def _checksum(key: bytes, form: bytes, data: bytes) -> bytes:
    return hashlib.sha256(b"".join((key, form, data))).digest()[:_SUM]
