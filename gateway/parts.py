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

from billing.journal import Journal, JournalError
from billing.ledger import Ledger
from gateway.admission import admin_key
from gateway.admission.admission import Admission
from gateway.admission.authenticate import Authenticator
from gateway.config import Config, ConfigError, schema
from gateway.pipeline.pipeline import Pipeline
from gateway.pipeline.recorder import Recorder
from gateway.pipeline.settlement import Settlement
from gateway.routing.router import Model, Router, Routing, Target, Timeouts
from gateway.storage.database import DatabaseConfigError, migrate, open_database
from gateway.storage.keys import KeyRepository
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import open_tracer
from gateway.upstreams.base import Upstream
from guards.build import install
from guards.runner import GuardRunner, Installed
from guards.types import GuardConfigError

if TYPE_CHECKING:
    from engine.chat import LocalModel
    from engine.types import EngineStats


class StartupError(Exception):
    """The gate cannot start; the message is one line for the operator."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that lives as long as the gate does."""

    config: Config
    database: AsyncEngine
    keys: KeyRepository
    authenticator: Authenticator
    admin_key_file: Path | None  # None when the operator configured the key
    engines: Mapping[str, LocalModel]
    router: Router
    guards: GuardRunner
    admission: Admission
    ledger: Ledger
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
        admin_secret, key_file = _admin_secret(config)
        engines = await _start_engines(config, stack)
        router = Router(await _models(config, engines, stack), rng)
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
        keys = KeyRepository(database)
        admission = Admission()
        yield Parts(
            config=config,
            database=database,
            keys=keys,
            authenticator=Authenticator(keys, admin_secret),
            admin_key_file=key_file,
            engines=engines,
            router=router,
            guards=guards,
            admission=admission,
            ledger=ledger,
            metrics=metrics,
            recorder=Recorder(metrics, tracer),
            pipeline=Pipeline(
                router=router, guards=guards, admission=admission, settlement=Settlement(ledger), rng=rng
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


async def _models(config: Config, engines: Mapping[str, LocalModel], stack: AsyncExitStack) -> list[Model]:
    upstreams: dict[str, Upstream] = {}
    models = []
    for model in config.models:
        targets = []
        for target in model.targets:
            upstream = upstreams.get(target.name)
            if upstream is None:
                upstream = upstreams[target.name] = _upstream(target, engines)
                stack.push_async_callback(upstream.close)
            targets.append(_target(target, upstream))
        models.append(Model(model.name, tuple(targets), Routing(model.routing), model.fallbacks))
    return models


def _upstream(target: schema.Target, engines: Mapping[str, LocalModel]) -> Upstream:
    if target.engine is not None:
        from gateway.upstreams.engine import EngineUpstream

        return EngineUpstream(engines[target.engine])
    from gateway.upstreams.openai_compatible import OpenAICompatible

    return OpenAICompatible(
        base_url=target.base_url.get_secret_value() if target.base_url else "",
        model=target.model or "",
        api_key=target.api_key.get_secret_value() if target.api_key else None,
        connect_timeout=target.timeouts.connect,
    )


def _target(target: schema.Target, upstream: Upstream) -> Target:
    timeouts = target.timeouts
    return Target(
        name=target.name,
        upstream=upstream,
        price=target.price.to_price() if target.price else None,
        weight=target.weight,
        retries=target.retries,
        timeouts=Timeouts(timeouts.connect, timeouts.first_token, timeouts.idle, timeouts.total),
    )


def _stats_of(model: LocalModel) -> Callable[[], EngineStats]:
    return lambda: model.stats
