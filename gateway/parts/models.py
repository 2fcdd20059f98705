"""From the configured models to what serves them: local engines, upstreams, targets, prices."""

from __future__ import annotations

import asyncio
import importlib
import ssl
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.bundled import PriceListError
from billing.pricebook import PriceBook
from gateway.config import Config, schema
from gateway.config.providers import NATIVE, PROVIDERS
from gateway.parts.shared import Shared
from gateway.parts.states import UPSTREAM, Standing
from gateway.pipeline.call import Operation
from gateway.routing.catalogue import Catalogue
from gateway.routing.prices import PriceWatch
from gateway.routing.router import Hedge, Model, Routing, Target, Timeouts
from gateway.routing.state import TargetState
from gateway.startup import StartupError
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


async def open_prices(database: AsyncEngine, stack: AsyncExitStack) -> PriceWatch:
    """What keeps a price book up to date, with a book of no target until it is given one."""
    watch = PriceWatch(PriceRepository(database), PriceBook({}, {}, {}))
    await watch.start()
    stack.push_async_callback(watch.close)
    return watch


def price_book(catalogue: Catalogue) -> PriceBook:
    """The configured and the listed prices. Reads the price list. Raises StartupError."""
    try:
        return catalogue.price_book()
    except PriceListError as error:
        raise StartupError(f"the price list cannot be read: {error}") from None


async def open_models(
    config: Config,
    catalogue: Catalogue,
    engines: Mapping[str, LocalModel],
    known: Mapping[str, Standing],
    shared: Shared,
    stack: AsyncExitStack,
) -> list[Model]:
    """The configured models on upstreams that are held until `stack` is closed. Raises StartupError."""
    models = []
    for model in config.models:
        targets = []
        for target in model.targets:
            key = ("upstream", target.name, *(getattr(target, name) for name in UPSTREAM))
            key = (*key, target.timeouts.connect, catalogue.output_cap(target))
            upstream = await shared.hold(key, partial(_upstream, target, catalogue, engines), stack)
            targets.append(_target(target, catalogue, upstream, known[target.name].state))
        models.append(_model(model, tuple(targets)))
    return models


async def _upstream(target: schema.Target, catalogue: Catalogue, engines: Mapping[str, LocalModel]) -> Upstream:
    if target.engine is not None:
        from gateway.upstreams.engine import EngineUpstream

        return EngineUpstream(engines[target.engine])
    if target.provider not in (None, NATIVE):
        return await _translated_upstream(target, catalogue)
    from gateway.upstreams.openai_compatible import OpenAICompatible

    return OpenAICompatible(
        base_url=target.base_url.get_secret_value() if target.base_url else "",
        model=target.model or "",
        api_key=target.api_key.get_secret_value() if target.api_key else None,
        connect_timeout=target.timeouts.connect,
        output_cap=catalogue.output_cap(target),
        proxy=target.proxy.get_secret_value() if target.proxy else None,
        tls=_trusting(target.ca_file) if target.ca_file else None,
    )


def _trusting(ca_file: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise StartupError(f"{ca_file} holds no certificates: {error.strerror or error}") from None


async def _translated_upstream(target: schema.Target, catalogue: Catalogue) -> Upstream:
    """An upstream through the litellm SDK. Raises StartupError if something it needs is not installed."""
    provider = PROVIDERS[target.provider or NATIVE]
    options = target.options.model_dump(exclude_none=True)
    settings = {provider.options[name]: _revealed(value) for name, value in options.items()}
    if target.api_key is not None:
        settings["api_key"] = target.api_key.get_secret_value()
    if target.base_url is not None:
        settings["api_base"] = target.base_url.get_secret_value().rstrip("/")
    can = {Operation.CHAT: provider.chat, Operation.EMBEDDINGS: provider.embeddings}
    try:
        from gateway.upstreams.litellm.upstream import LiteLLMUpstream

        if provider.module is not None:
            await asyncio.to_thread(importlib.import_module, provider.module)
        return await LiteLLMUpstream.open(
            provider=target.provider or NATIVE,
            model=target.model or "",
            settings=settings,
            operations=frozenset(operation for operation, able in can.items() if able),
            connect_timeout=target.timeouts.connect,
            output_cap=catalogue.output_cap(target),
        )
    except ModuleNotFoundError as error:
        raise StartupError(
            f"the provider \"{target.provider}\" needs the extra: pip install 'sluicegate[providers]' ({error.name})"
        ) from None


def _revealed(value: object) -> object:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _model(model: schema.Model, targets: tuple[Target, ...]) -> Model:
    after = model.hedge.after if model.hedge else None
    return Model(
        name=model.name,
        targets=targets,
        routing=Routing(model.routing),
        fallbacks=model.fallbacks,
        context_window_fallbacks=model.context_window_fallbacks,
        content_filter_fallbacks=model.content_filter_fallbacks,
        hedge=Hedge(None if after == "p95" else after) if model.hedge else None,
        last_resort=model.last_resort.message if model.last_resort else None,
    )


def _target(target: schema.Target, catalogue: Catalogue, upstream: Upstream, state: TargetState) -> Target:
    timeouts = target.timeouts
    return Target(
        name=target.name,
        upstream=upstream,
        output_cap=catalogue.output_cap(target),
        tokens=TokenCounter(catalogue.tokenizer(target)),
        weight=target.weight,
        retries=target.retries,
        timeouts=Timeouts(timeouts.connect, timeouts.first_token, timeouts.idle, timeouts.total),
        context=catalogue.context(target),
        state=state,
    )
