"""How many tokens a text has, without a tokenizer: rather too many than too few."""

from __future__ import annotations

from string import ascii_letters

_WORDS = (ascii_letters + " ").encode()


def estimate(text: str) -> int:
    """Four letters or spaces make a token; every digit and sign is one, and every two bytes beyond ASCII."""
    raw = text.encode("utf-8", "replace")
    others = raw.translate(None, _WORDS)
    foreign = 0 if text.isascii() else sum(byte >= 0x80 for byte in others)
    return (len(raw) - len(others)) // 4 + (len(others) - foreign) + (foreign + 1) // 2 + 1
