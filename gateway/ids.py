"""Unique ids: 128 random bits in hex, asked of the kernel many at a time: each call lets other threads go first."""

from __future__ import annotations

import os

_AT_ONCE = 256
_waiting: list[str] = []


def new_id() -> str:
    """Unique, but no secret: use `secrets` for what must not be guessed."""
    if not _waiting:
        pool = os.urandom(16 * _AT_ONCE).hex()
        _waiting.extend(pool[at : at + 32] for at in range(0, len(pool), 32))
    return _waiting.pop()
