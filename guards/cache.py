"""Remembers what looking at a text came to, so that the old turns of a chat are not looked at again.

Only for what depends on the text and the guard's configuration alone. Kept are results, never texts or values; a text
is known by a keyed hash (BLAKE2b, RFC 7693) under a key of its tenant that dies with the process, so nobody can ask
whether another tenant sent a text, and nothing can be read from a copy of the memory but which texts were equal.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from typing import Any, Generic, TypeVar

_Result = TypeVar("_Result")

_ENTRY_BYTES = 250  # of a key and its place in the dictionary
DEFAULT_BYTES = 16 * 2**20


class ScanCache:
    """All guards' memory in one process: the results used last, `max_bytes` of them by their own estimate."""

    def __init__(self, max_bytes: int = DEFAULT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[bytes, tuple[Any, int]] = OrderedDict()
        self._secret = secrets.token_bytes(32)
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> Any | None:
        entry = self._entries.get(key)
        if entry is None:
            self.misses += 1
            return None
        self.hits += 1
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: bytes, result: Any, size: int) -> None:
        """`size`: bytes the result takes, roughly."""
        size += _ENTRY_BYTES
        if size > self._max_bytes:
            return
        if (known := self._entries.pop(key, None)) is not None:
            self._bytes -= known[1]
        self._entries[key] = result, size
        self._bytes += size
        while self._bytes > self._max_bytes:
            _, (_, oldest) = self._entries.popitem(last=False)
            self._bytes -= oldest

    def salt(self, policy: bytes, tenant: str) -> bytes:
        """The key that hashes a tenant's texts for one guard."""
        message = len(policy).to_bytes(4, "big") + policy + tenant.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(message, key=self._secret, digest_size=32).digest()


class Remembered(Generic[_Result]):
    """One guard's results for one tenant's texts. `policy`: all of its configuration that a result depends on."""

    __slots__ = ("_cache", "_policy", "_salt", "_tenant")

    def __init__(self, cache: ScanCache, policy: bytes, tenant: str) -> None:
        self._cache = cache
        self._policy = policy
        self._tenant = tenant
        self._salt: bytes | None = None  # not made for requests that have only texts too short to remember

    def key(self, text: str) -> bytes:
        if self._salt is None:
            self._salt = self._cache.salt(self._policy, self._tenant)
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=self._salt, digest_size=16).digest()

    def get(self, key: bytes) -> _Result | None:
        return self._cache.get(key)

    def put(self, key: bytes, result: _Result, size: int = 100) -> None:
        self._cache.put(key, result, size)
