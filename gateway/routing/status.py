"""How every target stands, for those who watch: health, breaker, load, latency, price."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from billing.prices import Price
from gateway.routing.latency import Latency, percentile
from gateway.routing.router import Router, Target

Health = Literal["ok", "failing", "unknown"]

HEALTH: dict[bool | None, Health] = {None: "unknown", True: "ok", False: "failing"}


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Seconds over the last measures of this process; None without any."""

    measures: int
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """`health`: "ok", "failing", or "unknown" where nothing probes. `breaker`: a state's name, or "off".

    `opens_in` are the seconds until an open breaker lets a request through. `price` None: not known.
    """

    name: str
    health: Health
    breaker: Literal["closed", "open", "half_open", "off"]
    opens_in: float
    in_flight: int
    first_token: Percentiles
    whole: Percentiles
    price: Price | None


@dataclass(frozen=True, slots=True)
class ModelStatus:
    name: str
    routing: str
    targets: tuple[TargetStatus, ...]


def status(router: Router, at: datetime) -> list[ModelStatus]:
    """All models and their targets in the order of the configuration; prices as of `at` (aware)."""
    return [
        ModelStatus(
            model.name,
            model.routing.value,
            tuple(_target(target, router.price(target.name, at)) for target in model.targets),
        )
        for model in router.models
    ]


def _target(target: Target, price: Price | None) -> TargetStatus:
    state = target.state
    return TargetStatus(
        name=target.name,
        health=HEALTH[state.healthy],
        breaker="off" if state.breaker is None else state.breaker.state.value,
        opens_in=state.opens_in,
        in_flight=state.in_flight,
        first_token=_percentiles(state.first_token),
        whole=_percentiles(state.whole),
        price=price,
    )


def _percentiles(latency: Latency) -> Percentiles:
    measures = latency.recent()
    return Percentiles(len(measures), percentile(measures, 0.5), percentile(measures, 0.95))
