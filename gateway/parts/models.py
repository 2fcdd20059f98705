"""From the configured models to what serves them: local engines, upstreams, targets, prices."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncEngine

from billing.bundled import PriceListError
from gateway.config import Config, schema
from gateway.parts.startup import StartupError
from gateway.routing.catalogue import Catalogue
from gateway.routing.prices import PriceWatch
from gateway.routing.router import Model, Routing, Target, Timeouts
from gateway.storage.prices import PriceRepository
from gateway.tokens import TokenCounter
from gateway.upstreams.base import Upstream

if TYPE_CHECKING:
    from engine.chat import LocalModel


async def start_engines(config: Config, stack: AsyncExitStack) -> dict[str, LocalModel]:
    """Start every local model, all at once: each is a process of its own."""
    configs = config.engine_configs()
    if not configs:
        return {}
    try:
        from engine.chat import LocalModel
    except ModuleNotFoundError as error:
        raise StartupError(f"local models need the extra: pip install 'sluicegate[engine]' ({error.name})") from None
    from engine.errors import EngineError

    models = {name: LocalModel(engine_config) for name, engine_config in configs.items()}
    for model in models.values():
        stack.push_async_callback(model.close)
    try:
        async with asyncio.TaskGroup() as group:
            for model in models.values():
                group.create_task(model.start())
    except* EngineError as errors:
        raise StartupError(f"the engine cannot start: {errors.exceptions[0]}") from None
    return models


async def open_prices(catalogue: Catalogue, database: AsyncEngine, stack: AsyncExitStack) -> PriceWatch:
    try:
        book = catalogue.price_book()
    except PriceListError as error:
        raise StartupError(f"the price list cannot be read: {error}") from None
    watch = PriceWatch(PriceRepository(database), book)
    await watch.start()
    stack.push_async_callback(watch.close)
    return watch


async def open_models(
    config: Config, catalogue: Catalogue, engines: Mapping[str, LocalModel], stack: AsyncExitStack
) -> list[Model]:
    upstreams: dict[str, Upstream] = {}
    models = []
    for model in config.models:
        targets = []
        for target in model.targets:
            upstream = upstreams.get(target.name)
            if upstream is None:
                upstream = upstreams[target.name] = _upstream(target, catalogue, engines)
                stack.push_async_callback(upstream.close)
            targets.append(_target(target, catalogue, upstream))
        models.append(Model(model.name, tuple(targets), Routing(model.routing), model.fallbacks))
    return models


def _upstream(target: schema.Target, catalogue: Catalogue, engines: Mapping[str, LocalModel]) -> Upstream:
    if target.engine is not None:
        from gateway.upstreams.engine import EngineUpstream

        return EngineUpstream(engines[target.engine])
    from gateway.upstreams.openai_compatible import OpenAICompatible

    return OpenAICompatible(
        base_url=target.base_url.get_secret_value() if target.base_url else "",
        model=target.model or "",
        api_key=target.api_key.get_secret_value() if target.api_key else None,
        connect_timeout=target.timeouts.connect,
        output_cap=catalogue.output_cap(target),
    )


def _target(target: schema.Target, catalogue: Catalogue, upstream: Upstream) -> Target:
    timeouts = target.timeouts
    return Target(
        name=target.name,
        upstream=upstream,
        output_cap=catalogue.output_cap(target),
        tokens=TokenCounter(catalogue.tokenizer(target)),
        weight=target.weight,
        retries=target.retries,
        timeouts=Timeouts(timeouts.connect, timeouts.first_token, timeouts.idle, timeouts.total),
    )
