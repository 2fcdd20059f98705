"""What a caller is told of its limits: the error of a refusal, and where it stands on every answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

import msgspec

from billing.money import display, from_pico
from gateway.admission.claims import Measure, Need
from gateway.admission.stores.base import RATE_SECONDS, Kind, Level, Refused
from gateway.errors import BudgetExceeded, GateError, RateLimited
from gateway.http import Headers
from gateway.routing.router import Candidate

NEVER = 86_400  # seconds to wait that are told where waiting does not help: `retry-after` is on every 429
_TOKENS = (Measure.TOKENS, Measure.INPUT, Measure.OUTPUT)
_RATE, _REQUESTS = Kind.RATE, Measure.REQUESTS
_NAMES = {
    what: tuple(f"x-ratelimit-{name}-{what}".encode() for name in ("limit", "remaining", "reset"))
    for what in ("requests", "tokens")
}


class Rate(msgspec.Struct, frozen=True):
    limit: int
    remaining: int
    reset: float  # seconds until all of the limit is there again


class RateStatus(msgspec.Struct, frozen=True):
    """The tightest limits of a call by requests and by tokens: those with the least left."""

    requests: Rate | None = None
    tokens: Rate | None = None
    headers: Headers = []


def rate_status(needs: Sequence[Need], levels: Sequence[Level]) -> RateStatus | None:
    """None where no rate binds the call."""
    requests: Rate | None = None
    tokens: Rate | None = None
    for need, level in zip(needs, levels, strict=True):
        claim = need.claim
        if claim.kind is not _RATE:
            continue
        rate = Rate(claim.limit, max(0, claim.limit - level.used), level.reset)
        if need.measure is _REQUESTS:
            requests = _tighter(requests, rate)
        else:
            tokens = _tighter(tokens, rate)
    if requests is None and tokens is None:
        return None
    headers: Headers = []
    if requests is not None:
        headers += _headers("requests", requests)
    if tokens is not None:
        headers += _headers("tokens", tokens)
    return RateStatus(requests, tokens, headers)


def refusal(need: Need, answer: Refused, rates: RateStatus | None, at: datetime) -> GateError:
    """The error for a claim without room, with the headers that tell where the caller stands."""
    error = _budget_exceeded(need, answer, at) if need.measure is Measure.COST else _rate_limited(need, answer)
    error.headers = rates.headers if rates else []
    return error


def unpriced(candidate: Candidate) -> BudgetExceeded:
    """For a call under a budget that a target without a price might serve."""
    return BudgetExceeded(
        f"The model {candidate.model.name!r} has no price at its target {candidate.target.name!r}, so its cost cannot "
        "be held under a budget. Set a price, or allow it with 'budgets: {unpriced: allow}'.",
        retry_after=NEVER,
    )


def _tighter(one: Rate | None, other: Rate) -> Rate:
    return other if one is None or other.remaining < one.remaining else one


def _headers(what: str, rate: Rate) -> Headers:
    limit, remaining, reset = _NAMES[what]
    return [
        (limit, b"%d" % rate.limit),
        (remaining, b"%d" % rate.remaining),
        (reset, _reset(math.ceil(rate.reset))),
    ]


@lru_cache(maxsize=128)
def _reset(seconds: int) -> bytes:
    return duration(seconds).encode()


def duration(seconds: float) -> str:
    """As OpenAI writes it: "1s", "6m0s"; "0s" for nothing. Whole seconds, rounded up."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _rate_limited(need: Need, answer: Refused) -> RateLimited:
    claim, whose = need.claim, _whose(need)
    if need.measure is Measure.CONCURRENCY:
        message = f"{whose} has {claim.limit} requests under way, which is its limit."
        return RateLimited(message, retry_after=1.0, limit="concurrency")
    if answer.retry_after is None:
        message = (
            f"{whose} may use {claim.limit} {need.measure.value} a minute, and this request may use {claim.amount}. "
            "Send a shorter prompt or a smaller 'max_tokens'."
        )
    else:
        message = (
            f"{whose} has used up its limit of {claim.limit} {need.measure.value} a minute; "
            f"this request needs {max(claim.least, 0) or claim.amount}."
        )
    retry_after = RATE_SECONDS if answer.retry_after is None else answer.retry_after
    return RateLimited(message, retry_after=retry_after, limit="tokens" if need.measure in _TOKENS else "requests")


def _budget_exceeded(need: Need, answer: Refused, at: datetime) -> BudgetExceeded:
    budget, span = need.budget, need.span
    assert budget is not None and span is not None
    used = answer.levels[answer.index].used
    each = "in all" if span.end is None else f"each {budget.window}"
    message = (
        f"{_whose(need)} has a budget of {display(budget.limit)} USD {each}; {display(from_pico(used))} USD are spent "
        f"or held for requests under way, and this request may cost {display(from_pico(need.claim.amount))} USD."
    )
    if answer.retry_after is not None:
        return BudgetExceeded(message, retry_after=answer.retry_after, should_retry=True)
    wait = NEVER if span.end is None else (span.end - at).total_seconds()
    return BudgetExceeded(message, retry_after=max(1.0, wait))


def _whose(need: Need) -> str:
    binding = need.binding
    if binding.kind == "model":
        return f"The model {binding.id!r}"
    whose = "This key" if binding.kind == "key" else f"The {binding.kind} {binding.id!r}"
    return whose if need.model is None else f"{whose} for the model {need.model!r}"
