"""Single rows: every one once, in order, exact, and harmless in a spreadsheet."""

from __future__ import annotations

import csv
import io
from datetime import UTC, timedelta, timezone
from typing import Any

import pytest
from billkit import NOON, entry
from sqlalchemy.ext.asyncio import AsyncEngine

from billing import records
from billing.records import to_csv
from billing.store import UsageStore


async def test_pages_hold_every_row_once_and_in_order(db: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "PAGE_ROWS", 3)
    # Several at one instant: the id decides.
    made = [entry(number, at=NOON + timedelta(microseconds=number // 4)) for number in range(20)]
    await UsageStore(db).write(reversed(made))  # type: ignore[arg-type]
    since, until = NOON + timedelta(microseconds=1), NOON + timedelta(microseconds=4)
    pages, after = [], None
    while page := await records.page(db, since, until, after=after, limit=3):
        pages.append(page)
        after = page[-1]["at"], page[-1]["id"]
    found = [row["id"] for page in pages for row in page]
    assert found == [one.id for one in made[4:16]]
    assert [row["id"] async for page in records.every(db, since, until) for row in page] == found


async def test_a_row_is_told_exactly(db: AsyncEngine) -> None:
    await UsageStore(db).write([entry(1)])
    (row,) = await records.page(db, NOON, NOON + timedelta(seconds=1))
    assert list(row) == records.COLUMNS
    assert (row["cost_usd"], row["at"], row["tags"]) == ("0.0004125", NOON, {"feature": "search"})
    assert row["price"]["input"] == "1.25"
    assert "cost_pico" not in row


@pytest.mark.parametrize("value", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(value: str) -> None:
    (row,) = list(csv.reader(io.StringIO(to_csv(["a"], [{"a": value}], header=False), newline="")))
    assert row == ["'" + value]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("a,b", "a,b"),
        ('say "hi"\nthere', 'say "hi"\nthere'),
        ("it's = fine", "it's = fine"),
        (-1, "-1"),
        (None, ""),
        (True, "True"),
        ({"feature": "=1"}, '{"feature":"=1"}'),
        (NOON.astimezone(timezone(timedelta(hours=1))), "2026-11-24T13:00:00+01:00"),
        (NOON.astimezone(UTC), "2026-11-24T12:00:00+00:00"),
    ],
)
def test_what_is_no_formula_is_written_as_it_is(value: Any, cell: str) -> None:
    found = list(csv.reader(io.StringIO(to_csv(["a", "="], [{"a": value}]), newline="")))
    assert found == [["a", "'="], [cell, ""]]
