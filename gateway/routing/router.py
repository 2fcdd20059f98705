"""From an asked name to the targets that may answer it, in the order they are tried.

Ordered: as configured. Weighted: each call draws an order, the first place in proportion to weight. After a model's
own targets come its fallback models', depth first.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from billing.prices import Price
from gateway.errors import ModelNotFound, NotPermitted
from gateway.tokens import TokenCounter
from gateway.upstreams.base import ASSUMED_CAP, OutputCap, Upstream

PriceOf = Callable[[str, datetime], Price | None]


class Routing(StrEnum):
    ORDERED = "ordered"
    WEIGHTED = "weighted"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `first_token` and `idle` bind streams; `total` binds the whole request, over all its attempts."""

    connect: float = 2.0
    first_token: float = 20.0
    idle: float = 30.0
    total: float = 300.0


@dataclass(frozen=True, slots=True)
class Target:
    """One upstream that serves a model, with how long it is waited for and how much it may say."""

    name: str  # "openai/gpt-4o-mini", "engine/smollm2-135m": in headers, metrics and the ledger
    upstream: Upstream
    output_cap: OutputCap = ASSUMED_CAP
    tokens: TokenCounter = field(default_factory=TokenCounter)  # for answers whose usage it does not tell
    weight: float = 1.0
    retries: int = 2
    timeouts: Timeouts = Timeouts()


@dataclass(frozen=True, slots=True)
class Model:
    """What clients put in "model"."""

    name: str
    targets: tuple[Target, ...]
    routing: Routing = Routing.ORDERED
    fallbacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A target that may serve a call, and what it costs at the time of the call. None: no price is known."""

    model: Model
    target: Target
    price: Price | None = None


class Router:
    """The configured models. `prices` tells what a target costs at a time; `rng` draws the weighted orders."""

    def __init__(self, models: Iterable[Model], prices: PriceOf, rng: random.Random) -> None:
        self._models = {model.name: model for model in models}
        self._prices = prices
        self._rng = rng

    @property
    def models(self) -> tuple[Model, ...]:
        return tuple(self._models.values())

    def find(self, name: str, may_use: Callable[[str], bool] | None) -> Model:
        """The model of that name. Raises ModelNotFound, and NotPermitted where `may_use` says no."""
        model = self._models.get(name)
        if model is None:
            raise ModelNotFound(f"The model {name[:100]!r} does not exist.", param="model")
        if may_use is not None and not may_use(name):
            raise NotPermitted(f"This key may not use the model {name!r}.", param="model")
        return model

    def candidates(self, model: Model, at: datetime) -> list[Candidate]:
        """Every target that may answer, once each, in the order to try, priced as of `at` (aware)."""
        return list(self._walk(model, at, set()))

    def _walk(self, model: Model, at: datetime, seen: set[str]) -> Iterator[Candidate]:
        seen.add(model.name)
        for target in self._ordered(model):
            yield Candidate(model, target, self._prices(target.name, at))
        for name in model.fallbacks:
            if name not in seen:
                yield from self._walk(self._models[name], at, seen)

    def _ordered(self, model: Model) -> list[Target]:
        if model.routing is Routing.ORDERED or len(model.targets) == 1:
            return list(model.targets)
        # Exponential keys: sorting by Exp(1)/weight draws without replacement in proportion to weight
        # (Efraimidis and Spirakis, 2006).
        return sorted(model.targets, key=lambda target: self._rng.expovariate(1.0) / target.weight)
