"""The section `cache` of the file, and the cache it makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.cache.exact import Policy
from gateway.cache.memory import MemoryStore
from gateway.cache.open import StoreConfigError, open_cache
from gateway.cache.valkey import ValkeyStore
from gateway.config import Config, ConfigError, load_config

MODELS = "models: [{name: a, targets: [{provider: openai, model: m, base_url: 'http://localhost:1/v1', api_key: k}]}]\n"


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def load(text: str) -> Config:
        path = tmp_path / "file.yaml"
        path.write_text(MODELS + text)
        return load_config(path, {})

    return load


@pytest.mark.parametrize("text", ["", "cache:\n", "cache: {}\n", "cache: {exact: null}\n"])
def test_there_is_no_cache_unless_it_is_asked_for(load: Any, text: str) -> None:
    assert open_cache(load(text)) is None


def test_a_cache_has_defaults(load: Any) -> None:
    cache = open_cache(load("cache: {exact: {}}"))
    assert cache is not None
    assert isinstance(cache.store, MemoryStore)
    assert cache.policy == Policy(ttl=600.0, max_entry=2**20, stale_if_error=0.0)


def test_a_cache_is_as_configured(load: Any) -> None:
    cache = open_cache(load("cache: {exact: {ttl: 2m, max_bytes: 2MiB, max_entry: 1KiB, stale_if_error: 1h}}"))
    assert cache is not None
    assert cache.policy == Policy(ttl=120.0, max_entry=1024, stale_if_error=3600.0)


@pytest.mark.parametrize(
    ("state", "url", "kind"),
    [
        ("memory://", None, MemoryStore),
        ("redis://localhost", None, ValkeyStore),
        ("redis://localhost", "memory://", MemoryStore),
        ("memory://", "valkey://other:7000/1", ValkeyStore),
    ],
)
async def test_entries_lie_where_limits_are_counted_or_where_the_section_says(
    load: Any, state: str, url: str | None, kind: type
) -> None:
    own = f", url: '{url}'" if url else ""
    cache = open_cache(load(f"shared_state: {{url: '{state}'}}\ncache: {{exact: {{ttl: 10m{own}}}}}"))
    assert cache is not None
    assert type(cache.store) is kind


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("ttl: soon", "2: cache.exact.ttl: must be a duration"),
        ("ttl: 0", "2: cache.exact.ttl: must be more than 0"),
        ("max_entry: 2MiB, max_bytes: 1MiB", "2: cache.exact: max_entry is more than max_bytes"),
        ("url: 'file:///tmp'", '2: cache.exact.url: must be "memory://"'),
        ("size: 3", "2: cache.exact.size: "),
    ],
)
def test_a_fault_is_told_with_its_line(load: Any, text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f"cache: {{exact: {{{text}}}}}")
    assert f"file.yaml:{fault}" in str(caught.value)


def test_an_address_that_cannot_be_used_is_a_fault_of_the_start(load: Any) -> None:
    with pytest.raises(StoreConfigError):
        open_cache(load("cache: {exact: {url: 'redis://'}}"))
