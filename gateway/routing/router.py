"""From an asked name to the targets that may answer it, in the order they are tried.

Ordered: as configured. Weighted: each call draws an order, the first place in proportion to weight. After a model's
own targets come its fallback models', depth first.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from billing.prices import Price
from gateway.errors import ModelNotFound, NotPermitted
from gateway.upstreams.base import Upstream


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
    """One upstream that serves a model, with what it costs and how long it is waited for."""

    name: str  # "openai/gpt-4o-mini", "engine/smollm2-135m": in headers, metrics and the ledger
    upstream: Upstream
    price: Price | None
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
    model: Model
    target: Target


class Router:
    """The configured models. `rng` draws the weighted orders."""

    def __init__(self, models: Iterable[Model], rng: random.Random) -> None:
        self._models = {model.name: model for model in models}
        self._rng = rng

    @property
    def models(self) -> tuple[Model, ...]:
        return tuple(self._models.values())

    def find(self, name: str, allowed: Iterable[str] | None) -> Model:
        """The model of that name. Raises ModelNotFound, and NotPermitted where `allowed` lacks it."""
        model = self._models.get(name)
        if model is None:
            raise ModelNotFound(f"The model {name[:100]!r} does not exist.", param="model")
        if allowed is not None and name not in allowed:
            raise NotPermitted(f"This key may not use the model {name!r}.", param="model")
        return model

    def candidates(self, model: Model) -> list[Candidate]:
        """Every target that may answer, once each, in the order to try."""
        return list(self._walk(model, set()))

    def _walk(self, model: Model, seen: set[str]) -> Iterator[Candidate]:
        seen.add(model.name)
        for target in self._ordered(model):
            yield Candidate(model, target)
        for name in model.fallbacks:
            if name not in seen:
                yield from self._walk(self._models[name], seen)

    def _ordered(self, model: Model) -> list[Target]:
        if model.routing is Routing.ORDERED or len(model.targets) == 1:
            return list(model.targets)
        # Exponential keys: sorting by Exp(1)/weight draws without replacement in proportion to weight
        # (Efraimidis and Spirakis, 2006).
        return sorted(model.targets, key=lambda target: self._rng.expovariate(1.0) / target.weight)
