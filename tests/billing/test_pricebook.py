"""Which of a target's prices holds: by source, by name, by time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from billing.bundled import ModelFacts
from billing.pricebook import Override, PriceBook, Source
from billing.prices import Price

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
TARGETS = {"openai/a": ("assistant", "cheap"), "openai/b": ("assistant",), "engine/c": ("local",), "openai/d": ()}


def price(dollars: int) -> Price:
    return Price(input=Decimal(dollars), output=Decimal(dollars))


def facts(price: Price | None, reason: str | None = None) -> ModelFacts:
    return ModelFacts(name="m", price=price, reason=reason, mode="chat", max_input_tokens=None, max_output_tokens=None)


def override(name: str, hours: float, dollars: int) -> Override:
    return Override(name=name, effective_at=NOON + timedelta(hours=hours), price=price(dollars))


def book(*overrides: Override) -> PriceBook:
    listed = {"openai/a": facts(price(100)), "openai/b": facts(price(101)), "openai/d": facts(None, "by the page")}
    return PriceBook({"openai/a": price(1)}, TARGETS, listed, overrides)


def test_a_configured_price_goes_before_the_list_and_no_price_is_none() -> None:
    prices = book()
    assert (prices.price("openai/a", NOON), prices.source("openai/a", NOON)) == (price(1), Source.CONFIGURED)
    assert (prices.price("openai/b", NOON), prices.source("openai/b", NOON)) == (price(101), Source.LISTED)
    assert (prices.price("engine/c", NOON), prices.source("engine/c", NOON)) == (None, None)
    assert (prices.price("openai/d", NOON), prices.reason("openai/d")) == (None, "by the page")
    assert prices.price("unknown", NOON) is None


def test_an_override_holds_from_its_instant_on_until_the_next() -> None:
    prices = book(override("openai/a", 2, 30), override("openai/a", 0, 20))
    before, later = NOON - timedelta(microseconds=1), NOON + timedelta(hours=2)
    assert prices.price("openai/a", before) == price(1)
    assert prices.price("openai/a", NOON) == price(20)
    assert prices.price("openai/a", later - timedelta(microseconds=1)) == price(20)
    assert prices.price("openai/a", later) == price(30)
    assert prices.source("openai/a", later) is Source.OVERRIDE


def test_an_override_of_a_model_holds_for_all_its_targets() -> None:
    prices = book(override("assistant", 0, 20))
    assert [prices.price(target, NOON) for target in ("openai/a", "openai/b")] == [price(20), price(20)]
    assert prices.price("engine/c", NOON) is None


def test_a_targets_own_override_goes_before_a_later_one_of_its_model() -> None:
    prices = book(override("openai/a", 0, 20), override("assistant", 1, 30))
    after = NOON + timedelta(hours=2)
    assert prices.price("openai/a", after) == price(20)
    assert prices.price("openai/b", after) == price(30)


def test_of_two_models_the_later_override_holds() -> None:
    prices = book(override("cheap", 1, 30), override("assistant", 0, 20))
    assert prices.price("openai/a", NOON + timedelta(hours=2)) == price(30)


def test_a_quote_says_which_override_holds() -> None:
    set_price = override("assistant", 0, 20)
    quote = book(set_price).quote("openai/b", NOON)
    assert quote is not None
    assert (quote.price, quote.source, quote.override) == (price(20), Source.OVERRIDE, set_price)


def test_upcoming_overrides_are_those_that_will_change_the_price() -> None:
    mine, soon, never = override("openai/a", 2, 30), override("assistant", 1, 20), override("assistant", 3, 40)
    prices = book(mine, soon, never)
    assert prices.upcoming("openai/a", NOON) == [soon, mine]
    assert prices.upcoming("openai/b", NOON) == [soon, never]
    assert prices.upcoming("openai/a", NOON + timedelta(hours=2)) == []
    assert prices.upcoming("engine/c", NOON) == []


def test_new_overrides_take_the_place_of_all_before() -> None:
    prices = book(override("openai/a", 0, 20))
    prices.replace_overrides([override("openai/b", 0, 30), override("a name of the past", 0, 9)])
    assert prices.price("openai/a", NOON) == price(1)
    assert prices.price("openai/b", NOON) == price(30)
    assert prices.targets_of("a name of the past") == []


def test_a_name_may_be_a_targets_and_a_models() -> None:
    prices = PriceBook({}, {"assistant": ("assistant",), "other": ("assistant",)}, {}, [override("assistant", 0, 5)])
    assert prices.targets_of("assistant") == ["assistant", "other"]
    assert [prices.price(target, NOON) for target in prices.targets] == [price(5), price(5)]


@given(
    st.lists(
        st.tuples(st.sampled_from(["openai/a", "assistant", "cheap", "local"]), st.integers(-5, 5)),
        unique=True,
        max_size=12,
    ),
    st.sampled_from(list(TARGETS)),
    st.integers(-6, 6),
)
def test_the_price_is_that_of_the_rule_read_word_by_word(named: list[tuple[str, int]], target: str, hours: int) -> None:
    overrides = [override(name, at, 1000 + number) for number, (name, at) in enumerate(named)]
    prices, at = book(*overrides), NOON + timedelta(hours=hours)
    due = [found for found in overrides if found.effective_at <= at]
    expected: set[Price | None] = {book().price(target, at)}
    for names in ((target,), TARGETS[target]):
        found = [override for override in due if override.name in names]
        if found:
            last = max(override.effective_at for override in found)
            expected = {override.price for override in found if override.effective_at == last}
            break
    assert prices.price(target, at) in expected
