"""From the configuration to the cache. Opens no connection: `ExactCache.start` does."""

from __future__ import annotations

from gateway.admission.stores.address import StoreConfigError
from gateway.admission.stores.open import MEMORY
from gateway.cache.base import Counts, Store
from gateway.cache.exact import ExactCache, Policy
from gateway.cache.memory import MemoryStore
from gateway.cache.revision import revisions
from gateway.cache.valkey import ValkeyStore
from gateway.config import Config, schema

__all__ = ["StoreConfigError", "open_cache", "renewed"]


def open_cache(config: Config) -> ExactCache | None:
    """The configured cache; None if there is none. Raises StoreConfigError."""
    asked = config.cache.exact
    if asked is None:
        return None
    counts = Counts()
    url = (asked.url or config.shared_state.url).get_secret_value()
    store: Store
    if url == MEMORY:
        store = MemoryStore(asked.max_bytes, counts)
    else:
        store = ValkeyStore(url, counts, max_entry=asked.max_entry)
    return ExactCache(store, _policy(asked), revisions(config), counts)


def renewed(cache: ExactCache, config: Config) -> ExactCache:
    """A cache on the same entries under another configuration, which has one too."""
    assert config.cache.exact is not None
    return ExactCache(cache.store, _policy(config.cache.exact), revisions(config), cache.counts)


def _policy(asked: schema.ExactCache) -> Policy:
    return Policy(ttl=asked.ttl, max_entry=asked.max_entry, stale_if_error=asked.stale_if_error or 0.0)
