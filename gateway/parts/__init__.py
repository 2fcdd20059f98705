"""The parts of a running gate, made from its configuration, opened and closed in order. The only place that wires.

A part is built here and handed to those that need it; nothing looks anything up in a global. What lives as long as the
process is `Parts`; what the configuration makes of it, and a changed one makes anew, is a `Line`.
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
from gateway.admission.authenticate import Authenticator
from gateway.admission.stores.base import LimitStore
from gateway.config import Config
from gateway.parts.guards import build_guards
from gateway.parts.limits import open_limits, open_seeder
from gateway.parts.line import Base, Lines, open_line
from gateway.parts.models import open_prices, start_engines
from gateway.parts.reload import Reloader
from gateway.pipeline.recorder import Recorder
from gateway.routing.prices import PriceWatch
from gateway.startup import StartupError
from gateway.storage.credentials import Credentials
from gateway.storage.database import DatabaseConfigError, migrate, open_database
from gateway.telemetry.logs import flush_lines
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import Tracer, open_tracer
from gateway.telemetry.worker_metrics import REFRESH_SECONDS
from guards.pool import WorkerPool
from guards.resources import Resources

if TYPE_CHECKING:
    from engine.chat import LocalModel
    from engine.types import EngineStats

__all__ = ["Parts", "open_parts"]

STALE_SECONDS = 3600.0  # how long a key goes on while the database is away, where the configuration allows it


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that lives as long as the gate does. `config` is the one it was started with.

    Of that only what a reload cannot change may be read here; the rest is in `lines.current`.
    """

    config: Config
    database: AsyncEngine
    authenticator: Authenticator
    admin_key_file: Path | None  # None when the operator configured the key
    engines: Mapping[str, LocalModel]
    limits: LimitStore
    ledger: Ledger
    prices: PriceWatch
    metrics: Metrics
    recorder: Recorder
    lines: Lines
    reloader: Reloader


@asynccontextmanager
async def open_parts(
    config: Config,
    read: Callable[[], Config] | None = None,
    *,
    applied: Callable[[], None] = lambda: None,
    worker_metrics: Path | None = None,
) -> AsyncIterator[Parts]:
    """Open all parts; on leaving, close them in the reverse order: requests first, then what they write to.

    `read` gives the configuration anew for a reload; without it, it stays as it is. `applied` is called after a reload
    that other workers have yet to hear of; `worker_metrics` is where they keep their metrics together.
    Raises StartupError, ConfigError.
    """
    async with AsyncExitStack() as stack:
        stack.callback(flush_lines)
        resources = Resources(pool=WorkerPool(config.server.guard_workers))
        stack.push_async_callback(resources.close)
        guards = build_guards(config, resources)
        database = await _open_storage(config, stack)
        ledger = await _open_ledger(config, database, stack)
        serves_on = config.storage.on_outage == "continue"
        admin_secret, key_file = _admin_secret(config)
        engines = await start_engines(config, stack)
        prices = await open_prices(database, stack)
        metrics = await _open_metrics(engines, ledger, worker_metrics, stack)
        tracer = _open_tracer(config, stack)
        limits = await open_limits(config, stack)
        seeder = await open_seeder(limits, database, ledger, stack)
        base = Base(engines, ledger, limits, seeder, prices, metrics, tracer, random.SystemRandom(), resources)
        lines = Lines(base)
        stack.push_async_callback(lines.close)
        await lines.put(await open_line(config, guards, base))
        yield Parts(
            config=config,
            database=database,
            authenticator=Authenticator(
                Credentials(database), admin_secret, stale_seconds=STALE_SECONDS if serves_on else 0.0
            ),
            admin_key_file=key_file,
            engines=engines,
            limits=limits,
            ledger=ledger,
            prices=prices,
            metrics=metrics,
            recorder=Recorder(metrics, tracer),
            lines=lines,
            reloader=Reloader(read or (lambda: config), base, lines, database, applied),
        )


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


async def _open_metrics(
    engines: Mapping[str, LocalModel], ledger: Ledger, shared: Path | None, stack: AsyncExitStack
) -> Metrics:
    """Without a name that the configuration gives: those are learnt from each line."""
    metrics = Metrics(
        [],
        {},
        [],
        engines={name: _stats_of(model) for name, model in engines.items()},
        ledger_lag=lambda: ledger.lag_seconds,
        ledger_rejected=lambda: ledger.rejected,
        shared=shared,
    )
    if shared is not None:
        refreshing = asyncio.create_task(_refresh(metrics), name="metrics-refresh")
        stack.callback(refreshing.cancel)
    return metrics


async def _refresh(metrics: Metrics) -> None:
    """Another worker may show this one's metrics at any time."""
    while True:
        metrics.refresh()
        await asyncio.sleep(REFRESH_SECONDS)


def _open_tracer(config: Config, stack: AsyncExitStack) -> Tracer:
    telemetry = config.telemetry
    endpoint = telemetry.otlp_endpoint.get_secret_value() if telemetry.otlp_endpoint else None
    tracer = open_tracer(endpoint, telemetry.service_name, {}, telemetry.traces_per_second)
    stack.push_async_callback(asyncio.to_thread, tracer.close)
    return tracer


def _stats_of(model: LocalModel) -> Callable[[], EngineStats]:
    return lambda: model.stats
