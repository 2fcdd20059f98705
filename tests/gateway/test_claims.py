"""Which counters a call needs room in, and what each counts in the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from billing.budgets import Budget, Window
from billing.usage import Usage
from gateway.admission.claims import Demand, Measure, needs
from gateway.admission.limits import Binding, Limits, Rates
from gateway.admission.stores.base import Claim, Kind

AT = datetime(2026, 3, 29, 12, tzinfo=UTC)
USAGE = Usage(input_tokens=70, output_tokens=20)


def demand(*, bounded: bool = True, model: str = "assistant") -> Demand:
    return Demand(AT, (model,), input_tokens=100, output_tokens=50, bounded=bounded, cost_pico=7_000_000)


def claims(binding: Binding, asked: Demand | None = None) -> list[Claim]:
    return [need.claim for need in needs([binding], asked or demand())]


@pytest.mark.parametrize(
    ("limits", "claim", "used"),
    [
        (Limits(requests_per_minute=5), Claim(Kind.RATE, "key:k1:requests", 5, 1, 1), 1),
        (Limits(tokens_per_minute=900), Claim(Kind.RATE, "key:k1:tokens", 900, 150, 150), 90),
        (Limits(input_tokens_per_minute=900), Claim(Kind.RATE, "key:k1:input", 900, 100, 100), 70),
        (Limits(output_tokens_per_minute=900), Claim(Kind.RATE, "key:k1:output", 900, 50, 50), 20),
        (Limits(concurrent_requests=2), Claim(Kind.CONCURRENT, "key:k1:concurrency", 2, 1, 1), 1),
    ],
)
def test_each_limit_has_its_counter(limits: Limits, claim: Claim, used: int) -> None:
    (need,) = needs([Binding(kind="key", id="k1", limits=limits)], demand())
    assert need.claim == claim
    assert need.used(USAGE, 123) == used


def test_an_answer_without_a_limit_takes_what_room_there_is() -> None:
    limits = Limits(tokens_per_minute=900, output_tokens_per_minute=900)
    tokens, output = claims(Binding(kind="key", id="k1", limits=limits), demand(bounded=False))
    assert (tokens.amount, tokens.least) == (150, 101)
    assert (output.amount, output.least) == (50, 1)


def test_a_limit_on_one_model_binds_that_model_beside_the_limits_on_all() -> None:
    limits = Limits(requests_per_minute=9, models={"assistant": Rates(requests_per_minute=3)})
    binding = Binding(kind="team", id="search", limits=limits)
    assert [(claim.counter, claim.limit) for claim in claims(binding)] == [
        ("team:search:requests", 9),
        ("team:search:assistant:requests", 3),
    ]
    assert [claim.counter for claim in claims(binding, demand(model="other"))] == ["team:search:requests"]


def test_a_budget_holds_the_worst_case_in_the_window_of_the_request() -> None:
    day = Budget(limit=Decimal("5.00"), window=Window.DAY, timezone="Europe/Berlin")
    total = Budget(limit=Decimal("50"), window=Window.TOTAL)
    found = needs([Binding(kind="user", id="ann", budgets=(total, day))], demand())
    found.sort(key=lambda need: need.claim.counter)
    starts, ends = (
        int(datetime(2026, 3, 28, 23, tzinfo=UTC).timestamp()),
        int(datetime(2026, 3, 29, 22, tzinfo=UTC).timestamp()),
    )
    assert [need.claim for need in found] == [
        Claim(Kind.BUDGET, f"user:ann:day:Europe/Berlin:{starts}", 5 * 10**12, 7_000_000, expires=ends),
        Claim(Kind.BUDGET, "user:ann:total:UTC:0", 50 * 10**12, 7_000_000),
    ]
    assert [need.used(USAGE, 123) for need in found] == [123, 123]
    assert found[0].measure is Measure.COST and found[0].span == day.span(AT)


def test_of_two_budgets_with_one_window_the_lower_binds_and_is_held_once() -> None:
    budgets = tuple(Budget(limit=Decimal(limit), window=Window.DAY) for limit in ("9", "2", "5"))
    (claim,) = claims(Binding(kind="key", id="k1", budgets=budgets))
    assert claim.limit == 2 * 10**12


def test_owners_of_one_name_have_counters_of_their_own() -> None:
    bindings = [
        Binding(kind=kind, id="x", limits=Limits(requests_per_minute=1)) for kind in ("key", "user", "team", "model")
    ]
    counters = [need.claim.counter for need in needs(bindings, demand())]
    assert len(set(counters)) == 4


def test_a_budget_asked_again_in_its_next_window_has_another_counter() -> None:
    budget = Budget(limit=Decimal(1), window=Window.DAY)
    binding = Binding(kind="key", id="k1", budgets=(budget,))
    days = [AT, AT + timedelta(hours=11, minutes=59), AT + timedelta(hours=12), AT]
    found = [needs([binding], msgspec.structs.replace(demand(), at=at))[0] for at in days]
    assert [need.span for need in found] == [budget.span(at) for at in days]
    counters = [need.claim.counter for need in found]
    assert counters[0] == counters[1] == counters[3] != counters[2]
    assert found[2].claim.expires == found[0].claim.expires + 86_400
