"""What a caller under limits is told: the error of a refusal, and OpenAI's headers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billing.budgets import Budget, Window
from gateway.admission.claims import Demand, needs
from gateway.admission.limits import Binding, Limits, Rates
from gateway.admission.refusals import duration, rate_status, refusal
from gateway.admission.stores.base import Level, Refused
from gateway.errors import BudgetExceeded, GateError, RateLimited
from gateway.http import retry_headers

AT = datetime(2026, 3, 1, 22, 30, tzinfo=UTC)
DEMAND = Demand(AT, ("assistant",), input_tokens=100, output_tokens=50, bounded=True, cost_pico=8 * 10**9)


def refused(binding: Binding, retry_after: float | None, used: int = 0) -> GateError:
    (need,) = needs([binding], DEMAND)
    return refusal(need, Refused(0, retry_after, [Level(used)]), None, AT)


@pytest.mark.parametrize(
    ("limits", "limit", "says"),
    [
        (Limits(requests_per_minute=5), "requests", "limit of 5 requests a minute"),
        (Limits(tokens_per_minute=900), "tokens", "limit of 900 tokens a minute; this request needs 150"),
        (Limits(input_tokens_per_minute=900), "tokens", "900 input tokens"),
        (Limits(concurrent_requests=2), "concurrency", "2 requests under way"),
        (Limits(models={"assistant": Rates(requests_per_minute=3)}), "requests", "for the model 'assistant'"),
    ],
)
def test_a_full_rate_limit_says_which_and_when_there_is_room(limits: Limits, limit: str, says: str) -> None:
    error = refused(Binding(kind="key", id="k1", limits=limits), 7.2)
    assert isinstance(error, RateLimited) and error.limit == limit
    assert error.body()["error"] == {
        "message": error.message, "type": "rate_limit_error", "param": None, "code": "rate_limit_exceeded",
    }  # fmt: skip
    assert error.message.startswith("This key") and says in error.message
    assert retry_headers(error) == [(b"retry-after", b"1" if limit == "concurrency" else b"8")]


def test_a_request_above_the_whole_limit_is_told_to_be_smaller() -> None:
    error = refused(Binding(kind="team", id="search", limits=Limits(tokens_per_minute=140)), None)
    assert "The team 'search' may use 140 tokens a minute, and this request may use 150" in error.message
    assert "max_tokens" in error.message
    assert retry_headers(error) == [(b"retry-after", b"60")]


def test_a_spent_budget_says_all_amounts_and_when_its_window_ends() -> None:
    budget = Budget(limit=Decimal("5.00"), window=Window.DAY)
    error = refused(Binding(kind="user", id="ann", budgets=(budget,)), None, used=4_999_123_456_789)
    assert isinstance(error, BudgetExceeded)
    assert error.message == (
        "The user 'ann' has a budget of 5 USD each day; 4.999123456789 USD are spent or held for requests under way, "
        "and this request may cost 0.008 USD."
    )
    assert error.body()["error"]["code"] == "budget_exceeded" and error.body()["error"]["type"] == "insufficient_quota"
    assert retry_headers(error) == [(b"retry-after", b"5400"), (b"x-should-retry", b"false")]


def test_a_budget_that_is_only_held_for_others_may_be_tried_again_soon() -> None:
    error = refused(Binding(kind="key", id="k", budgets=(Budget(limit=Decimal(5), window=Window.DAY),)), 1.0)
    assert retry_headers(error) == [(b"retry-after", b"1"), (b"x-should-retry", b"true")]


def test_a_total_budget_never_ends() -> None:
    error = refused(Binding(kind="key", id="k", budgets=(Budget(limit=Decimal(5), window=Window.TOTAL),)), None)
    assert "5 USD in all" in error.message
    assert dict(retry_headers(error))[b"retry-after"] == b"86400"


def test_headers_tell_the_limits_with_the_least_left() -> None:
    bindings = [
        Binding(
            kind="key", id="k", limits=Limits(requests_per_minute=10, tokens_per_minute=10_000, concurrent_requests=5)
        ),
        Binding(kind="team", id="t", limits=Limits(requests_per_minute=100, input_tokens_per_minute=500)),
    ]
    levels = [Level(1), Level(4, 1, 60.0), Level(150, 150, 60.0), Level(98, 1, 59.2), Level(600, 100, 61.0)]
    status = rate_status(needs(bindings, DEMAND), levels)
    assert status is not None
    assert {name.decode(): value.decode() for name, value in status.headers} == {
        "x-ratelimit-limit-requests": "100",
        "x-ratelimit-remaining-requests": "2",
        "x-ratelimit-reset-requests": "1m0s",
        "x-ratelimit-limit-tokens": "500",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "1m1s",
    }


def test_no_rate_no_headers() -> None:
    binding = Binding(kind="key", id="k", limits=Limits(concurrent_requests=5))
    assert rate_status(needs([binding], DEMAND), [Level(1)]) is None


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (0.2, "1s"), (59.5, "1m0s"), (360, "6m0s"), (61, "1m1s")])
def test_durations_are_written_as_openai_does(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_window_that_is_over_in_a_moment_is_told_as_a_second() -> None:
    (need,) = needs([Binding(kind="key", id="k", budgets=(Budget(limit=Decimal(1), window=Window.HOUR),))], DEMAND)
    assert need.span is not None and need.span.end is not None
    error = refusal(need, Refused(0, None, [Level(0)]), None, need.span.end - timedelta(milliseconds=5))
    assert dict(retry_headers(error))[b"retry-after"] == b"1"
