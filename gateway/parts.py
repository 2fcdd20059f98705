"""The parts of a running gate, made from its configuration, opened and closed in order. The only place that wires.

A part is built here and handed to those that need it; nothing looks anything up in a global.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncEngine

from billing.budgets import Budget
from billing.bundled import PriceListError
from billing.journal import Journal, JournalError
from billing.ledger import Ledger
from gateway.admission import admin_key
from gateway.admission.admission import Admission, Scopes
from gateway.admission.alerts import Alerts, Webhook
from gateway.admission.authenticate import Authenticator
from gateway.admission.limits import Binding, Limits
from gateway.admission.seeding import Seeder
from gateway.admission.stores.base import LimitStore
from gateway.admission.stores.open import StoreConfigError, open_store
from gateway.config import Config, ConfigError, schema
from gateway.pipeline.pipeline import Pipeline
from gateway.pipeline.recorder import Recorder
from gateway.pipeline.settlement import Settlement
from gateway.routing.catalogue import Catalogue
from gateway.routing.prices import PriceWatch
from gateway.routing.router import Model, Router, Routing, Target, Timeouts
from gateway.storage.credentials import Credentials
from gateway.storage.database import DatabaseConfigError, migrate, open_database
from gateway.storage.prices import PriceRepository
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import open_tracer
from gateway.tokens import TokenCounter
from gateway.upstreams.base import Upstream
from guards.build import install
from guards.runner import GuardRunner, Installed
from guards.types import GuardConfigError

if TYPE_CHECKING:
    from engine.chat import LocalModel
    from engine.types import EngineStats


STALE_SECONDS = 3600.0  # how long a key goes on while the database is away, where the configuration allows it


class StartupError(Exception):
    """The gate cannot start; the message is one line for the operator."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that lives as long as the gate does."""

    config: Config
    database: AsyncEngine
    authenticator: Authenticator
    admin_key_file: Path | None  # None when the operator configured the key
    engines: Mapping[str, LocalModel]
    router: Router
    guards: GuardRunner
    limits: LimitStore
    admission: Admission
    ledger: Ledger
    prices: PriceWatch
    metrics: Metrics
    recorder: Recorder
    pipeline: Pipeline


@asynccontextmanager
async def open_parts(config: Config) -> AsyncIterator[Parts]:
    """Open all parts; on leaving, close them in the reverse order: requests first, then what they write to.

    Raises StartupError.
    """
    async with AsyncExitStack() as stack:
        rng = random.SystemRandom()
        guards = build_guards(config)
        database = await _open_storage(config, stack)
        ledger = await _open_ledger(config, database, stack)
        serves_on = config.storage.on_outage == "continue"
        admin_secret, key_file = _admin_secret(config)
        engines = await _start_engines(config, stack)
        catalogue = Catalogue(config, {name: model.info.context for name, model in engines.items()})
        prices = await _open_prices(catalogue, database, stack)
        router = Router(await _models(config, catalogue, engines, stack), prices.book.price, rng)
        metrics = Metrics(
            [model.name for model in config.models],
            config.target_providers(),
            guards.names,
            engines={name: _stats_of(model) for name, model in engines.items()},
            ledger_lag=lambda: ledger.lag_seconds,
        )
        telemetry = config.telemetry
        endpoint = telemetry.otlp_endpoint.get_secret_value() if telemetry.otlp_endpoint else None
        tracer = open_tracer(endpoint, telemetry.service_name, config.target_providers())
        stack.push_async_callback(asyncio.to_thread, tracer.close)
        limits = await _open_limits(config, stack)
        admission = await _open_admission(config, limits, database, ledger, metrics, stack)
        yield Parts(
            config=config,
            database=database,
            authenticator=Authenticator(
                Credentials(database), admin_secret, stale_seconds=STALE_SECONDS if serves_on else 0.0
            ),
            admin_key_file=key_file,
            engines=engines,
            router=router,
            guards=guards,
            limits=limits,
            admission=admission,
            ledger=ledger,
            prices=prices,
            metrics=metrics,
            recorder=Recorder(metrics, tracer),
            pipeline=Pipeline(
                router=router,
                guards=guards,
                admission=admission,
                settlement=Settlement(ledger, withhold=not serves_on),
                rng=rng,
            ),
        )


def build_guards(config: Config) -> GuardRunner:
    """The configured guards. Raises ConfigError with the line of each that cannot be built."""
    installed: list[Installed] = []
    faults = []
    for index, spec in enumerate(config.guard_specs()):
        try:
            installed.append(install(spec))
        except GuardConfigError as error:
            faults.append(config.fault(("guards", index), str(error)))
    if faults:
        raise ConfigError("configuration", faults)
    return GuardRunner(installed)


async def _open_storage(config: Config, stack: AsyncExitStack) -> AsyncEngine:
    try:
        database = open_database(config.storage.url.get_secret_value())
        stack.push_async_callback(database.dispose)
        await migrate(database)
    except DatabaseConfigError as error:
        raise StartupError(str(error)) from None
    except Exception as error:
        raise StartupError(f"the database cannot be used: {type(error).__name__}: {error}") from error
    return database


async def _open_ledger(config: Config, database: AsyncEngine, stack: AsyncExitStack) -> Ledger:
    try:
        journal = Journal(config.server.state_dir / "journal", config.storage.journal.fsync)
        ledger = Ledger(journal, database)
        await ledger.start()
    except (JournalError, OSError) as error:
        raise StartupError(f"the ledger's journal cannot be used: {error}") from error
    stack.push_async_callback(ledger.close)
    return ledger


async def _open_prices(catalogue: Catalogue, database: AsyncEngine, stack: AsyncExitStack) -> PriceWatch:
    try:
        book = catalogue.price_book()
    except PriceListError as error:
        raise StartupError(f"the price list cannot be read: {error}") from None
    watch = PriceWatch(PriceRepository(database), book)
    await watch.start()
    stack.push_async_callback(watch.close)
    return watch


async def _open_limits(config: Config, stack: AsyncExitStack) -> LimitStore:
    try:
        store = open_store(config.shared_state.url.get_secret_value(), config.shared_state.on_store_error)
    except StoreConfigError as error:
        raise StartupError(str(error)) from None
    await store.start()
    stack.push_async_callback(store.close)
    return store


async def _open_admission(
    config: Config, store: LimitStore, database: AsyncEngine, ledger: Ledger, metrics: Metrics, stack: AsyncExitStack
) -> Admission:
    webhook = None
    if (told := config.budgets.webhook) is not None:
        webhook = Webhook(told.url.get_secret_value(), told.secret.get_secret_value() if told.secret else None)
        await webhook.start()
        stack.push_async_callback(webhook.close)
    seeder = Seeder(database, ledger, store)
    await seeder.start()
    stack.push_async_callback(seeder.close)
    alerts = Alerts(config.budgets.thresholds, metrics.threshold_passed, webhook)
    return Admission(store, seeder, alerts, _scopes(config))


def _scopes(config: Config) -> Scopes:
    """What the configuration itself binds."""
    models = {}
    for model in config.models:
        if (limits := model.limits.to_limits()) != Limits():
            models[model.name] = Binding(kind="model", id=model.name, limits=limits)
    by_tag: dict[str, list[Budget]] = {}
    for budget in config.budgets.tags:
        by_tag.setdefault(budget.tag, []).append(budget.to_budget())
    tags = {}
    for tag, budgets in by_tag.items():
        name, _, value = tag.partition("=")
        tags[name, value] = Binding(kind="tag", id=tag, budgets=tuple(budgets))
    return Scopes(models, tags, allow_unpriced=config.budgets.unpriced == "allow")


def _admin_secret(config: Config) -> tuple[str, Path | None]:
    if config.admin_key is not None:
        return config.admin_key.get_secret_value(), None
    try:
        return admin_key.load_or_make(config.server.state_dir)
    except OSError as error:
        raise StartupError(f"the admin key cannot be kept in {config.server.state_dir}: {error}") from error


async def _start_engines(config: Config, stack: AsyncExitStack) -> dict[str, LocalModel]:
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


async def _models(
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


def _stats_of(model: LocalModel) -> Callable[[], EngineStats]:
    return lambda: model.stats
