"""From the configured URL to a store. Opens no connection: `start` does."""

from __future__ import annotations

from typing import Literal

from gateway.admission.stores.address import StoreConfigError
from gateway.admission.stores.base import LimitStore
from gateway.admission.stores.fallback import FallbackStore
from gateway.admission.stores.memory import MemoryStore
from gateway.admission.stores.valkey import ValkeyStore

__all__ = ["StoreConfigError", "open_store"]

MEMORY = "memory://"


def open_store(url: str, on_store_error: Literal["refuse", "local"]) -> LimitStore:
    """The store that `memory://`, `redis://...`, `rediss://...` or `valkey://...` names. Raises StoreConfigError."""
    if url == MEMORY:
        return MemoryStore()
    primary = ValkeyStore(url)
    return FallbackStore(primary, MemoryStore()) if on_store_error == "local" else primary
