"""The orders in which a model's targets are tried. Pure: all that an order goes by is passed in."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from billing.cost import cost
from billing.prices import Price
from billing.usage import Usage
from gateway.pipeline.call import Call

if TYPE_CHECKING:
    from gateway.routing.router import Target

EXPECTED_OUTPUT = 500  # tokens of an answer whose caller set no limit, when prices are compared


class Routing(StrEnum):
    """`weighted` draws the first in proportion to weight. The others prefer the target that has the least.

    That is: requests in flight here; peak-EWMA latency times those; price of the call. A tie is drawn by weight, but a
    tie in price goes by the order of the configuration, which then says what is preferred.
    """

    ORDERED = "ordered"
    WEIGHTED = "weighted"
    LEAST_BUSY = "least_busy"
    LOWEST_LATENCY = "lowest_latency"
    LOWEST_COST = "lowest_cost"
    DIFFICULTY = "difficulty"  # its tiers have targets, not the model itself: see `gateway.routing.difficulty`


def ordered(
    routing: Routing,
    targets: Sequence[Target],
    call: Call,
    price: Callable[[str], Price | None],
    rng: random.Random,
) -> list[Target]:
    """All `targets`, the first to try first."""
    if routing in (Routing.ORDERED, Routing.DIFFICULTY) or len(targets) == 1:
        return list(targets)
    if routing is Routing.LOWEST_COST:
        return sorted(targets, key=lambda target: expected_cost(call, target.output_cap.tokens, price(target.name)))
    if routing is Routing.WEIGHTED:
        return sorted(targets, key=lambda target: _draw(target, rng))
    if routing is Routing.LEAST_BUSY:
        return sorted(targets, key=lambda target: (target.state.in_flight, _draw(target, rng)))
    return sorted(targets, key=lambda target: (_waiting(target, call), _draw(target, rng)))


def expected_cost(call: Call, output_cap: int, price: Price | None) -> Decimal:
    """What the call may be expected to cost, in USD; infinite where no price is known."""
    if price is None:
        return Decimal("Infinity")
    output = call.max_output_tokens
    if output is None:
        output = min(EXPECTED_OUTPUT, output_cap) * call.choices
    return cost(Usage(input_tokens=call.input_estimate, output_tokens=output, requests=1), price)


def _waiting(target: Target, call: Call) -> float:
    return target.state.latency(stream=call.stream).cost(target.state.in_flight)


def _draw(target: Target, rng: random.Random) -> float:
    # Exponential keys: sorting by Exp(1)/weight draws without replacement in proportion to weight
    # (Efraimidis and Spirakis, 2006).
    return rng.expovariate(1.0) / target.weight
