"""What one configuration makes, and the change from one to the next while requests are under way.

A request takes the line once, when it begins, and keeps it to its end. A line that was replaced is closed when the last
request has left it; what the new one has in common with it stays open.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

import structlog

from billing.ledger import Ledger
from billing.pricebook import PriceBook
from gateway.admission.admission import Admission
from gateway.admission.seeding import Seeder
from gateway.admission.stores.base import LimitStore
from gateway.config import Config
from gateway.moderation import moderation_candidate
from gateway.parts.cache import hold_cache
from gateway.parts.guards import prepare_guards
from gateway.parts.limits import open_admission
from gateway.parts.models import open_models, price_book
from gateway.parts.shared import Shared
from gateway.parts.states import Standing, standings, watch_targets
from gateway.pipeline.pipeline import Pipeline
from gateway.pipeline.recorder import Recorder
from gateway.pipeline.settlement import Settlement
from gateway.routing.catalogue import Catalogue
from gateway.routing.difficulty import build_difficulty_routers
from gateway.routing.prices import PriceWatch
from gateway.routing.router import Router
from gateway.routing.state import TargetState
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import Tracer
from guards.resources import Resources
from guards.runner import GuardRunner

if TYPE_CHECKING:
    from engine.chat import LocalModel

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Base:
    """What every line stands on, and which outlives them."""

    engines: Mapping[str, LocalModel]
    ledger: Ledger
    limits: LimitStore
    seeder: Seeder
    prices: PriceWatch
    metrics: Metrics
    tracer: Tracer
    rng: random.Random
    guard_resources: Resources
    shared: Shared = field(default_factory=Shared)


@dataclass(eq=False, slots=True)
class Line:
    """The parts that a configuration makes. As a context manager: one request, on its pipeline."""

    config: Config
    guards: GuardRunner
    known: Mapping[str, Standing]
    book: PriceBook
    router: Router
    admission: Admission
    pipeline: Pipeline
    resources: AsyncExitStack
    watching: AsyncExitStack = field(default_factory=AsyncExitStack)
    requests: int = 0
    left: Callable[[], None] | None = None  # once it was replaced: what to do when no request is on it

    def __enter__(self) -> Pipeline:
        self.requests += 1
        return self.pipeline

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.requests -= 1
        if self.left is not None and not self.requests:
            self.left()

    async def close(self) -> None:
        await self.watching.aclose()
        await self.resources.aclose()


async def open_line(config: Config, guards: GuardRunner, base: Base, before: Line | None = None) -> Line:
    """A line in which nothing runs yet. It shares with `before` what both have. Raises StartupError, ConfigError."""
    async with AsyncExitStack() as stack:
        stack.push_async_callback(guards.close)
        await prepare_guards(config, guards)
        catalogue = Catalogue(config, {name: model.info.context for name, model in base.engines.items()})
        book = await asyncio.to_thread(price_book, catalogue)
        known = standings(config, before.known if before else {})
        models = await open_models(config, catalogue, base.engines, known, base.shared, stack)
        router = Router(models, book.price, base.rng)
        passed = base.metrics.threshold_passed
        admission = await open_admission(config, base.limits, base.seeder, passed, base.shared, stack)
        pipeline = Pipeline(
            router=router,
            guards=guards,
            admission=admission,
            settlement=Settlement(base.ledger, withhold=config.storage.on_outage != "continue"),
            rng=base.rng,
            cache=await hold_cache(config, base.shared, stack),
            difficulty=await asyncio.to_thread(build_difficulty_routers, config),
            recorder=Recorder(base.metrics, base.tracer),
            moderation=moderation_candidate(guards),
        )
        return Line(config, guards, known, book, router, admission, pipeline, stack.pop_all())


class Lines:
    """The line in force, and those before it that still have requests."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._current: Line | None = None
        self._replaced: set[Line] = set()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def current(self) -> Line:
        if self._current is None:
            raise RuntimeError("no line has been put in force yet")
        return self._current

    async def put(self, line: Line) -> None:
        """Put a line in force: requests that begin from now on take it."""
        old = self._current
        if old is not None:
            await old.watching.aclose()  # both would act on the same states
        line.watching = await watch_targets(line.config, line.known)
        self._base.prices.replace(line.book)
        self._tell(line)
        self._current = line
        if old is not None:
            self._retire(old)

    async def close(self) -> None:
        """Close all lines, whatever is on them."""
        if self._current is not None:
            await self._current.close()
        for line in list(self._replaced):
            self._leave(line)
        await asyncio.gather(*self._closing)

    def _tell(self, line: Line) -> None:
        providers = line.config.target_providers()
        self._base.metrics.learn(
            [model.name for model in line.config.models],
            providers,
            line.guards.names,
            {name: _is_open(one.state) for name, one in line.known.items()},
        )
        self._base.tracer.configure(providers, line.config.telemetry.traces_per_second)

    def _retire(self, line: Line) -> None:
        self._replaced.add(line)
        if line.requests:
            line.left = lambda: self._leave(line)
        else:
            self._leave(line)

    def _leave(self, line: Line) -> None:
        line.left = None
        self._replaced.discard(line)
        task = asyncio.create_task(_close(line), name="old-configuration")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _close(line: Line) -> None:
    try:
        await line.close()
    except Exception as error:
        log.error("a replaced configuration was not closed cleanly", error=repr(error))


def _is_open(state: TargetState) -> Callable[[], bool]:
    return lambda: state.is_open
