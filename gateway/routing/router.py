"""From an asked name to the targets that may answer it, in the order they are tried.

A model's own targets come in the order its routing says (`balance`), then those of its fallback models, depth first.
Which of them are tried is decided by how each fails: see `gateway.pipeline.chain`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from billing.prices import Price
from gateway.errors import ModelNotFound, NotPermitted
from gateway.pipeline.call import Call, Operation
from gateway.routing.balance import Routing, ordered
from gateway.routing.state import TargetState
from gateway.tokens import TokenCounter
from gateway.upstreams.base import ASSUMED_CAP, OutputCap, Upstream

__all__ = ["Candidate", "Hedge", "Model", "Reason", "Router", "Routing", "Target", "Timeouts", "most_billed"]

PriceOf = Callable[[str, datetime], Price | None]


class Reason(StrEnum):
    """Why a candidate may be tried: as the asked model's own, or because a model before it failed in this way."""

    PRIMARY = "primary"
    ERROR = "error"
    CONTEXT_WINDOW = "context_window"
    CONTENT_FILTER = "content_filter"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `first_token` and `idle` bind streams; `total` binds the whole request, over all its attempts."""

    connect: float = 2.0
    first_token: float = 20.0
    idle: float = 30.0
    total: float = 300.0


@dataclass(frozen=True, slots=True)
class Hedge:
    """When a second target is asked as well: after so many seconds, or (None) the first one's own 95th percentile."""

    after: float | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """One upstream that serves a model, with how long it is waited for and how much it may say.

    `context` is how many tokens it can hold, None where that is not known.
    """

    name: str  # "openai/gpt-4o-mini", "engine/smollm2-135m": in headers, metrics and the ledger
    upstream: Upstream
    output_cap: OutputCap = ASSUMED_CAP
    tokens: TokenCounter = field(default_factory=TokenCounter)  # for answers whose usage it does not tell
    weight: float = 1.0
    retries: int = 2
    timeouts: Timeouts = Timeouts()
    context: int | None = None
    state: TargetState = field(default_factory=TargetState)


@dataclass(frozen=True, slots=True)
class Model:
    """What clients put in "model". `last_resort` is the text of the answer when nobody has one."""

    name: str
    targets: tuple[Target, ...]
    routing: Routing = Routing.ORDERED
    fallbacks: tuple[str, ...] = ()
    context_window_fallbacks: tuple[str, ...] = ()
    content_filter_fallbacks: tuple[str, ...] = ()
    hedge: Hedge | None = None
    last_resort: str | None = None

    def fallbacks_for(self, reason: Reason) -> tuple[str, ...]:
        """The models that come next when this one failed in that way."""
        match reason:
            case Reason.CONTEXT_WINDOW:
                return self.context_window_fallbacks
            case Reason.CONTENT_FILTER:
                return self.content_filter_fallbacks
            case _:
                return self.fallbacks


@dataclass(frozen=True, slots=True)
class Candidate:
    """A target that may serve a call, and what it costs at the time of the call. None: no price is known."""

    model: Model
    target: Target
    price: Price | None = None
    reason: Reason = Reason.PRIMARY


class Router:
    """The configured models. `prices` tells what a target costs at a time; `rng` draws orders."""

    def __init__(self, models: Iterable[Model], prices: PriceOf, rng: random.Random) -> None:
        self._models = {model.name: model for model in models}
        self._prices = prices
        self._rng = rng

    @property
    def models(self) -> tuple[Model, ...]:
        return tuple(self._models.values())

    def price(self, target: str, at: datetime) -> Price | None:
        """What a target costs at that time (aware)."""
        return self._prices(target, at)

    def find(self, name: str, may_use: Callable[[str], bool] | None) -> Model:
        """The model of that name. Raises ModelNotFound, and NotPermitted where `may_use` says no."""
        model = self._models.get(name)
        if model is None:
            raise ModelNotFound(f"The model {name[:100]!r} does not exist.", param="model")
        if may_use is not None and not may_use(name):
            raise NotPermitted(f"This key may not use the model {name!r}.", param="model")
        return model

    def serves(self, name: str, operation: Operation) -> bool:
        """Whether there is a model of that name with a target of its own for the operation."""
        model = self._models.get(name)
        return model is not None and any(operation in target.upstream.operations for target in model.targets)

    def candidates(self, model: Model, at: datetime, call: Call) -> list[Candidate]:
        """Every target that may answer, however those before it fail; priced as of `at` (aware).

        The asked model's come first. No model is in it twice.
        """
        return list(self._walk(model, Reason.PRIMARY, at, call, set()))

    def _walk(self, model: Model, reason: Reason, at: datetime, call: Call, seen: set[str]) -> Iterator[Candidate]:
        seen.add(model.name)

        def price(target: str) -> Price | None:
            return self._prices(target, at)

        for target in ordered(model.routing, model.targets, call, price, self._rng):
            yield Candidate(model, target, price(target.name), reason)
        for why in (Reason.ERROR, Reason.CONTEXT_WINDOW, Reason.CONTENT_FILTER):
            for name in model.fallbacks_for(why):
                if name not in seen:
                    yield from self._walk(self._models[name], why, at, call, seen)


def most_billed(candidates: Iterable[Candidate]) -> int:
    """How many of the candidates one call may have to pay at most, so that a hold can cover the dearest of them.

    The one that answers; the loser of a hedge; one of each model whose filtered replies go to another, as they are paid
    all the same.
    """
    models = {candidate.model.name: candidate for candidate in candidates}
    hedged = any(candidate.model.hedge is not None for candidate in models.values())
    filtered = sum(bool(candidate.model.content_filter_fallbacks) for candidate in models.values())
    return 1 + hedged + filtered
