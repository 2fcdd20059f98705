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


_TOKENS, _INPUT, _OUTPUT, _COST = Measure.TOKENS, Measure.INPUT, Measure.OUTPUT, Measure.COST
_RATE, _BUDGET = Kind.RATE, Kind.BUDGET


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
        return used((self,), usage, cost_pico)[0]


def used(needs: Iterable[Need], usage: Usage, cost_pico: int) -> list[int]:
    """What each claim came to in the end."""
    found = []
    for need in needs:
        measure = need.measure
        if measure is _COST:
            found.append(cost_pico)
        elif measure is _TOKENS:
            found.append(usage.input_tokens + usage.output_tokens)
        elif measure is _INPUT:
            found.append(usage.input_tokens)
        elif measure is _OUTPUT:
            found.append(usage.output_tokens)
        else:
            found.append(1)
    return found


def needs(bindings: Iterable[Binding], demand: Demand) -> list[Need]:
    """Every counter this call needs room in."""
    found: list[Need] = []
    for binding in bindings:
        plan: _Plan | None = binding.__dict__.get("plan")
        if plan is None:
            plan = binding.__dict__["plan"] = _Plan(binding)
        found += plan.fixed
        for sized in plan.sized:
            found.append(sized.need(demand))
        if plan.limits_models:
            for model in demand.models:
                fixed, by_size = plan.of_model(model)
                found += fixed
                found += [sized.need(demand) for sized in by_size]
        for budget in plan.budgets:
            found.append(budget.need(demand))
    return found


def has_budget(bindings: Sequence[Binding]) -> bool:
    return any([binding.budgets for binding in bindings])  # noqa: C419  # a list is quicker than a generator


class _Plan:
    """What one binding says of every call: worked out once, for a call has little of its own to add."""

    __slots__ = ("_binding", "_models", "budgets", "fixed", "limits_models", "sized")

    def __init__(self, binding: Binding) -> None:
        self._binding = binding
        self._models: dict[str, tuple[list[Need], list[_Sized]]] = {}
        self.fixed, self.sized = _rates(binding, binding.limits, None)
        self.limits_models = bool(binding.limits.models)
        self.budgets = [_Held(binding, budget) for budget in _lowest(binding.budgets)]

    def of_model(self, model: str) -> tuple[list[Need], list[_Sized]]:
        """The limits on that model beside those on all."""
        rates = self._binding.limits.models.get(model)
        if rates is None:
            return [], []
        known = self._models.get(model)
        if known is None:
            known = self._models[model] = _rates(self._binding, rates, model)
        return known


class _Sized:
    """A limit whose claim goes by the size of the call."""

    __slots__ = ("_binding", "_counter", "_input", "_limit", "_measure", "_model", "_output")

    def __init__(self, binding: Binding, model: str | None, measure: Measure, counter: str, limit: int) -> None:
        self._binding, self._model, self._measure = binding, model, measure
        self._counter, self._limit = counter, limit
        self._input, self._output = measure is not _OUTPUT, measure is not _INPUT

    def need(self, demand: Demand) -> Need:
        amount = least = demand.input_tokens if self._input else 0
        if self._output:
            output = demand.output_tokens
            amount += output
            # Whoever sets no limit on the answer gets what room there is; settling gives the rest back.
            least += output if demand.bounded else min(1, output)
        claim = Claim(_RATE, self._counter, self._limit, amount, least)
        return Need(claim, self._measure, self._binding, self._model)


class _Held:
    """A budget, and its counter in the window that nearly every call lies in."""

    __slots__ = ("_binding", "_budget", "_counter", "_expires", "_limit", "_span")

    def __init__(self, binding: Binding, budget: Budget) -> None:
        self._binding, self._budget, self._limit = binding, budget, budget.limit_pico
        self._span: Span | None = None

    def need(self, demand: Demand) -> Need:
        span = self._span
        if span is None or demand.at < span.start or (span.end is not None and demand.at >= span.end):
            span = self._enter(demand.at)
        claim = Claim(_BUDGET, self._counter, self._limit, demand.cost_pico, -1, self._expires)
        return Need(claim, _COST, self._binding, None, self._budget, span)

    def _enter(self, at: datetime) -> Span:
        budget, binding = self._budget, self._binding
        self._span = span = budget.span(at)
        # The zone is a part of the name: two budgets of one window in two zones are two counters.
        start = int(span.start.timestamp())
        self._counter = f"{binding.kind}:{binding.id}:{budget.window}:{budget.timezone}:{start}"
        self._expires = 0 if span.end is None else int(span.end.timestamp())
        return span


def _rates(binding: Binding, rates: Rates, model: str | None) -> tuple[list[Need], list[_Sized]]:
    """The limits that every call claims alike, and those that go by its size."""
    scope = f"{binding.kind}:{binding.id}" if model is None else f"{binding.kind}:{binding.id}:{model}"
    fixed, sized = [], []
    for measure, kind, limit in (
        (Measure.CONCURRENCY, Kind.CONCURRENT, rates.concurrent_requests),
        (Measure.REQUESTS, Kind.RATE, rates.requests_per_minute),
    ):
        if limit is not None:
            claim = Claim(kind, f"{scope}:{measure.name.lower()}", limit, 1, 1)
            fixed.append(Need(claim, measure, binding, model))
    for measure, limit in (
        (Measure.TOKENS, rates.tokens_per_minute),
        (Measure.INPUT, rates.input_tokens_per_minute),
        (Measure.OUTPUT, rates.output_tokens_per_minute),
    ):
        if limit is not None:
            sized.append(_Sized(binding, model, measure, f"{scope}:{measure.name.lower()}", limit))
    return fixed, sized


def _lowest(budgets: Sequence[Budget]) -> Iterable[Budget]:
    """Of budgets with the same window and zone, which would share a counter, the one that can refuse."""
    if len(budgets) < 2:
        return budgets
    by_window = sorted(budgets, key=lambda budget: budget.limit, reverse=True)
    return {(budget.window, budget.timezone): budget for budget in by_window}.values()
