"""Past requests priced anew: exact, as often as one likes, and whatever cuts it off."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from billkit import NOON, entry
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.cost import cost
from billing.entry import UsageEntry
from billing.money import display, to_pico
from billing.prices import Price
from billing.reports import usage
from billing.reprice import PriceOf, RepriceError, Selection, reprice
from billing.store import UsageStore
from billing.tables import usage_records
from billing.usage import Usage

BEGIN, END = NOON - timedelta(days=2), NOON + timedelta(days=2)
OLD = Price(input=Decimal("1.25"), cached_input=Decimal("0.625"), output=Decimal("10"))
NEW = Price(input=Decimal("1"), cached_input=Decimal("0.5"), output=Decimal("12.000001"))
EVERYTHING = Selection(since=BEGIN, until=END)


def always(price: Price | None) -> PriceOf:
    return lambda target, at: price


def sample(count: int = 40) -> list[UsageEntry]:
    dice = random.Random(7)

    def one(number: int) -> UsageEntry:
        used = Usage(input_tokens=dice.randrange(9_999), cached_input_tokens=0, output_tokens=dice.randrange(999))
        return entry(
            number,
            at=NOON + timedelta(minutes=number * 31 - 600),
            usage=used,
            cost=cost(used, OLD),
            price=OLD,
            model=dice.choice(["m1", "m2"]),
            target=dice.choice(["t1", "t2"]),
            key_id=dice.choice(["k1", "k2"]),
        )

    return [one(number) for number in range(count)]


async def rows(db: AsyncEngine) -> dict[str, Any]:
    async with db.connect() as connection:
        return {row.id: row for row in await connection.execute(select(usage_records))}


async def check_sums(db: AsyncEngine) -> None:
    """Sums and rows tell the same: whole hours come from the one, cut hours from the other."""
    found = (await rows(db)).values()
    for group in ("key", "model", "target", "tag:feature"):
        report = await usage(db, [group], BEGIN, END)
        total = display(Decimal(sum(row.cost_pico for row in found)).scaleb(-12))
        assert report.total["cost_usd"] == total
        assert report.total["requests"] == len(found)


async def test_every_row_gets_the_cost_and_the_price_of_now(db: AsyncEngine) -> None:
    made = sample()
    await UsageStore(db).write(made)
    done = await reprice(db, EVERYTHING, always(NEW), apply=True, page_rows=7)
    found = await rows(db)
    for one in made:
        row = found[one.id]
        assert row.cost_pico == to_pico(cost(one.usage, NEW))
        assert Price.parse(json.loads(row.price)) == NEW
    before, after = (sum((cost(one.usage, price) for one in made), Decimal(0)) for price in (OLD, NEW))
    shown = done.shown()
    assert (shown["rows"], shown["changed"], shown["unpriced"]) == (40, 40, 0)
    assert (shown["before_usd"], shown["after_usd"]) == (display(before), display(after))
    assert [model["model"] for model in shown["models"]] == ["m1", "m2"]
    assert sum(model["rows"] for model in shown["models"]) == 40
    await check_sums(db)


async def test_a_dry_run_tells_the_same_and_changes_nothing(db: AsyncEngine) -> None:
    await UsageStore(db).write(sample())
    before = await rows(db)
    dry = await reprice(db, EVERYTHING, always(NEW), apply=False, page_rows=7)
    assert await rows(db) == before
    assert dry.shown() == (await reprice(db, EVERYTHING, always(NEW), apply=True)).shown()


async def test_doing_it_again_changes_nothing(db: AsyncEngine) -> None:
    await UsageStore(db).write(sample())
    await reprice(db, EVERYTHING, always(NEW), apply=True)
    once = await rows(db)
    again = await reprice(db, EVERYTHING, always(NEW), apply=True)
    assert again.total.changed == 0
    assert await rows(db) == once
    await check_sums(db)


async def test_cut_off_anywhere_it_leaves_rows_and_sums_agreed_and_can_be_done_again(db: AsyncEngine) -> None:
    made = sample()
    await UsageStore(db).write(made)
    asked = 0

    def fail_midway(target: str, at: datetime) -> Price:
        nonlocal asked
        asked += 1
        if asked == 25:
            raise ConnectionError
        return NEW

    with pytest.raises(ConnectionError):
        await reprice(db, EVERYTHING, fail_midway, apply=True, page_rows=10)
    found = await rows(db)
    changed = [one for one in made if found[one.id].cost_pico == to_pico(cost(one.usage, NEW))]
    assert len(changed) == 20  # two pages whole, nothing of the third
    await check_sums(db)
    done = await reprice(db, EVERYTHING, always(NEW), apply=True, page_rows=10)
    assert done.total.changed == 20
    await check_sums(db)


async def test_two_at_once_count_every_change_once(db: AsyncEngine) -> None:
    await UsageStore(db).write(sample())
    both = await asyncio.gather(*(reprice(db, EVERYTHING, always(NEW), apply=True, page_rows=5) for _ in range(2)))
    assert sum(one.total.changed for one in both) == 40
    await check_sums(db)


@pytest.mark.parametrize(
    "chosen",
    [{"model": "m1"}, {"target": "t2"}, {"key": "k1"}, {"since": NOON, "until": NOON + timedelta(hours=3)}],
)
async def test_only_what_is_chosen_changes(db: AsyncEngine, chosen: dict[str, Any]) -> None:
    made = sample()
    await UsageStore(db).write(made)
    selection = Selection(**({"since": BEGIN, "until": END} | chosen))
    await reprice(db, selection, always(NEW), apply=True)
    found = await rows(db)
    for one in made:
        meant = selection.since <= one.at < selection.until
        meant = meant and selection.model in (None, one.model) and selection.target in (None, one.target)
        meant = meant and selection.key in (None, one.key_id)
        assert found[one.id].cost_pico == to_pico(cost(one.usage, NEW if meant else OLD))
    await check_sums(db)


async def test_the_price_is_that_of_the_target_at_the_time(db: AsyncEngine) -> None:
    await UsageStore(db).write(sample())
    asked: set[tuple[str, datetime]] = set()

    def note(target: str, at: datetime) -> Price:
        asked.add((target, at))
        return NEW

    await reprice(db, EVERYTHING, note, apply=False)
    assert asked == {(row.target, row.at) for row in (await rows(db)).values()}


async def test_what_has_no_price_stays_as_it_is(db: AsyncEngine) -> None:
    await UsageStore(db).write([entry(1), entry(2, target=None)])
    before = await rows(db)
    done = await reprice(db, EVERYTHING, lambda target, at: None, apply=True)
    assert (done.total.unpriced, done.total.changed) == (2, 0)
    assert done.total.before_pico == done.total.after_pico > 0
    assert await rows(db) == before
    only_one = await reprice(db, EVERYTHING, always(NEW), apply=True)
    assert (only_one.total.unpriced, only_one.total.changed) == (1, 1)


async def test_a_cost_that_no_row_can_hold_is_said_and_changes_nothing(db: AsyncEngine) -> None:
    await UsageStore(db).write([entry(1, usage=Usage(input_tokens=10**12), cost=Decimal(0))])
    before = await rows(db)
    with pytest.raises(RepriceError, match=f"{1:032d}"):
        await reprice(db, EVERYTHING, always(Price(input=Decimal(1_000_000))), apply=True)
    assert await rows(db) == before


@pytest.mark.parametrize(
    ("since", "until"),
    [(NOON, NOON), (END, BEGIN), (NOON.replace(tzinfo=None), END), (BEGIN, NOON.replace(tzinfo=None))],
)
def test_a_period_that_is_none_is_refused(since: datetime, until: datetime) -> None:
    with pytest.raises(RepriceError, match="since"):
        Selection(since=since, until=until)
