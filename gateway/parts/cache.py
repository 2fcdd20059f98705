"""From the configuration to the response cache, whose entries outlive a reload."""

from __future__ import annotations

from contextlib import AsyncExitStack

from gateway.cache.exact import ExactCache
from gateway.cache.open import StoreConfigError, open_cache, renewed
from gateway.config import Config
from gateway.parts.shared import Shared
from gateway.startup import StartupError


async def hold_cache(config: Config, shared: Shared, stack: AsyncExitStack) -> ExactCache | None:
    """The cache on a store that is held until `stack` is closed; None if none is configured. Raises StartupError."""
    asked = config.cache.exact
    if asked is None:
        return None

    async def make() -> ExactCache:
        try:
            cache = open_cache(config)
        except StoreConfigError as error:
            raise StartupError(str(error)) from None
        assert cache is not None
        await cache.start()
        return cache

    url = (asked.url or config.shared_state.url).get_secret_value()
    held = await shared.hold(("cache", url, asked.max_bytes, asked.max_entry), make, stack)
    return renewed(held, config)
