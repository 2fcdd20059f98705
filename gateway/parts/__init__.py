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
from gateway.admission.stores.base import LimitStore
from gateway.config import Config, ConfigError
from gateway.parts.limits import open_admission, open_limits
from gateway.parts.models import open_models, open_prices, start_engines
from gateway.parts.startup import StartupError
from gateway.pipeline.pipeline import Pipeline
from gateway.pipeline.recorder import Recorder
from gateway.pipeline.settlement import Settlement
from gateway.routing.catalogue import Catalogue
from gateway.routing.prices import PriceWatch
from gateway.routing.router import Router
from gateway.storage.credentials import Credentials
from gateway.storage.database import DatabaseConfigError, migrate, open_database
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import open_tracer
from guards.build import install
from guards.runner import GuardRunner, Installed
from guards.types import GuardConfigError

if TYPE_CHECKING:
    from engine.chat import LocalModel
    from engine.types import EngineStats


STALE_SECONDS = 3600.0  # how long a key goes on while the database is away, where the configuration allows it


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
        engines = await start_engines(config, stack)
        catalogue = Catalogue(config, {name: model.info.context for name, model in engines.items()})
        prices = await open_prices(catalogue, database, stack)
        router = Router(await open_models(config, catalogue, engines, stack), prices.book.price, rng)
        metrics = Metrics(
            [model.name for model in config.models],
            config.target_providers(),
            guards.names,
            engines={name: _stats_of(model) for name, model in engines.items()},
            ledger_lag=lambda: ledger.lag_seconds,
            ledger_rejected=lambda: ledger.rejected,
        )
        telemetry = config.telemetry
        endpoint = telemetry.otlp_endpoint.get_secret_value() if telemetry.otlp_endpoint else None
        tracer = open_tracer(endpoint, telemetry.service_name, config.target_providers())
        stack.push_async_callback(asyncio.to_thread, tracer.close)
        limits = await open_limits(config, stack)
        admission = await open_admission(config, limits, database, ledger, metrics.threshold_passed, stack)
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


def _admin_secret(config: Config) -> tuple[str, Path | None]:
    if config.admin_key is not None:
        return config.admin_key.get_secret_value(), None
    try:
        return admin_key.load_or_make(config.server.state_dir)
    except OSError as error:
        raise StartupError(f"the admin key cannot be kept in {config.server.state_dir}: {error}") from error


def _stats_of(model: LocalModel) -> Callable[[], EngineStats]:
    return lambda: model.stats
