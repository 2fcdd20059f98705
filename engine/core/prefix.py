"""Keys under which full blocks of the KV cache are found again.

A key names everything the block's contents depend on: all tokens up to its end (through the parent's key),
whose they are (`salt`) and how they are stored. It is not a security token: it never leaves the process.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator, Sequence

_ROOT = b""


def block_key(parent: bytes, tokens: Sequence[int], *, salt: str, kv_dtype: str) -> bytes:
    """The key of a block that holds `tokens` after the block named `parent` (empty for the first).

    Every field carries its tag and length, so no two different sets of fields give the same bytes to hash.
    """
    digest = hashlib.sha256()
    for tag, field in (
        (b"parent", parent),
        (b"salt", salt.encode("utf-8", "surrogatepass")),
        (b"kv", kv_dtype.encode()),
        (b"tokens", array("q", tokens).tobytes()),
    ):
        digest.update(b"%b:%d:" % (tag, len(field)))
        digest.update(field)
    return digest.digest()


class KeyChain:
    """The keys of one sequence's full blocks, computed once each, as far as somebody asks."""

    def __init__(self, tokens: Sequence[int], block_size: int, *, salt: str, kv_dtype: str) -> None:
        """`tokens` may grow later but must never change in front."""
        self._tokens = tokens
        self._block_size = block_size
        self._salt = salt
        self._kv_dtype = kv_dtype
        self._keys: list[bytes] = []

    def key(self, index: int) -> bytes:
        """The key of block `index`, which must be full."""
        while len(self._keys) <= index:
            start = len(self._keys) * self._block_size
            tokens = self._tokens[start : start + self._block_size]
            if len(tokens) < self._block_size:
                raise IndexError(f"block {index} is not full")
            parent = self._keys[-1] if self._keys else _ROOT
            self._keys.append(block_key(parent, tokens, salt=self._salt, kv_dtype=self._kv_dtype))
        return self._keys[index]

    def keys(self, count: int) -> Iterator[bytes]:
        """The keys of the first `count` blocks, each computed only when it is reached."""
        return (self.key(index) for index in range(count))
