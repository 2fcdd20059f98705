"""From who calls and what they ask to the counters that need room: every limit and budget that binds the call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import Enum

import msgspec

from billing.budgets import Budget, Span
from billing.usage import Usage
from gateway.admission.limits import Binding, Rates
from gateway.admission.stores.base import Claim, Kind


class Measure(Enum):
    """What a claim counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    INPUT = "input tokens"
    OUTPUT = "output tokens"
    CONCURRENCY = "concurrent requests"
    COST = "budget"


class Demand(msgspec.Struct, frozen=True):
    """What a call may come to at most. `output_tokens` may be less in the end where the caller set no limit."""

    at: datetime
    models: tuple[str, ...]  # the one that was asked for, and the one that serves where that is another
    input_tokens: int
    output_tokens: int
    bounded: bool  # the caller set the limit on output
    cost_pico: int


class Need(msgspec.Struct, frozen=True):
    """One claim with what it means: whose limit it is, and for a budget which."""

    claim: Claim
    measure: Measure
    binding: Binding
    model: str | None = None  # a limit on one model only
    budget: Budget | None = None
    span: Span | None = None

    def used(self, usage: Usage, cost_pico: int) -> int:
        """What the claim came to in the end."""
        match self.measure:
            case Measure.REQUESTS | Measure.CONCURRENCY:
                return 1
            case Measure.INPUT:
                return usage.input_tokens
            case Measure.OUTPUT:
                return usage.output_tokens
            case Measure.TOKENS:
                return usage.input_tokens + usage.output_tokens
            case Measure.COST:
                return cost_pico


def needs(bindings: Iterable[Binding], demand: Demand) -> list[Need]:
    """Every counter this call needs room in."""
    found: list[Need] = []
    for binding in bindings:
        limits = binding.limits
        _rates(found, binding, limits, None, demand)
        for model in demand.models if limits.models else ():
            if (rates := limits.models.get(model)) is not None:
                _rates(found, binding, rates, model, demand)
        found += [_budget(binding, budget, demand) for budget in _lowest(binding.budgets)]
    return found


def _lowest(budgets: Sequence[Budget]) -> Iterable[Budget]:
    """Of budgets with the same window and zone, which would share a counter, the one that can refuse."""
    if len(budgets) < 2:
        return budgets
    by_window = sorted(budgets, key=lambda budget: budget.limit, reverse=True)
    return {(budget.window, budget.timezone): budget for budget in by_window}.values()


def has_budget(bindings: Sequence[Binding]) -> bool:
    return any(binding.budgets for binding in bindings)


def _rates(found: list[Need], binding: Binding, rates: Rates, model: str | None, demand: Demand) -> None:
    scope = f"{binding.kind}:{binding.id}" if model is None else f"{binding.kind}:{binding.id}:{model}"
    output = demand.output_tokens
    # Whoever sets no limit on the answer gets what room there is; settling gives the rest back.
    least_output = output if demand.bounded else min(1, output)

    def need(measure: Measure, limit: int, amount: int, least: int, kind: Kind = Kind.RATE) -> None:
        claim = Claim(kind, f"{scope}:{measure.name.lower()}", limit, amount, least)
        found.append(Need(claim, measure, binding, model))

    if rates.concurrent_requests is not None:
        need(Measure.CONCURRENCY, rates.concurrent_requests, 1, 1, Kind.CONCURRENT)
    if rates.requests_per_minute is not None:
        need(Measure.REQUESTS, rates.requests_per_minute, 1, 1)
    if rates.tokens_per_minute is not None:
        both = demand.input_tokens + output
        need(Measure.TOKENS, rates.tokens_per_minute, both, demand.input_tokens + least_output)
    if rates.input_tokens_per_minute is not None:
        need(Measure.INPUT, rates.input_tokens_per_minute, demand.input_tokens, demand.input_tokens)
    if rates.output_tokens_per_minute is not None:
        need(Measure.OUTPUT, rates.output_tokens_per_minute, output, least_output)


def _budget(binding: Binding, budget: Budget, demand: Demand) -> Need:
    span = budget.span(demand.at)
    # The zone is a part of the name: two budgets of one window in two zones are two counters.
    counter = f"{binding.kind}:{binding.id}:{budget.window}:{budget.timezone}:{int(span.start.timestamp())}"
    expires = 0 if span.end is None else int(span.end.timestamp())
    claim = Claim(Kind.BUDGET, counter, budget.limit_pico, demand.cost_pico, expires=expires)
    return Need(claim, Measure.COST, binding, None, budget, span)
