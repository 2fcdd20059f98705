"""Reports equal exact arithmetic over the rows, on both databases alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from billkit import NOON, entry
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.entry import UsageEntry
from billing.money import MAX_PICO, display, from_pico, to_pico
from billing.reports import ReportError, spent, usage
from billing.store import UsageStore
from billing.tables import usage_records, usage_sums
from billing.usage import MAX_TOKENS, Usage

BEGIN, END = NOON - timedelta(days=2), NOON + timedelta(days=2)
TAG_NAMES = ["feature", "a b", "x.y", "$", "a'b", "[0]", "über", "#-1", "tag:tag", "%s", ":x"]


def near(at: datetime) -> st.SearchStrategy[datetime]:
    """Instants at, just before and just behind `at`."""
    return st.integers(-2, 2).map(lambda micros: at + timedelta(microseconds=micros))


hours = st.integers(0, 95).map(lambda hour: BEGIN + timedelta(hours=hour))
names = st.none() | st.sampled_from(["a", "b", "B", "é", "it's", ""])
instants = hours.flatmap(near) | st.datetimes(BEGIN.replace(tzinfo=None), END.replace(tzinfo=None)).map(
    lambda at: at.replace(tzinfo=UTC)
)
edges = instants | st.sampled_from([datetime.fromtimestamp(0, UTC), datetime.max.replace(tzinfo=UTC)])


@st.composite
def entries(draw: st.DrawFn) -> UsageEntry:
    prompt = draw(st.integers(0, MAX_TOKENS))
    key = draw(st.sampled_from(["k1", "k2"]))
    return entry(
        at=draw(instants),
        key_id=key,
        key_name=f"name of {key}",
        team=draw(names),
        user=draw(names),
        key_user=draw(names),
        model=draw(names),
        tags=draw(st.dictionaries(st.sampled_from(TAG_NAMES), st.sampled_from(["1", "two", "", '"']), max_size=3)),
        usage=Usage(
            input_tokens=prompt,
            cached_input_tokens=draw(st.integers(0, prompt)),
            output_tokens=draw(st.integers(0, MAX_TOKENS)),
        ),
        cost=from_pico(draw(st.integers(0, MAX_PICO) | st.integers(0, 10**9))),
    )


conditions = [("team", None), ("team", "a"), ("team", ""), ("model", None), ("model", "a"), ("model", "")]
conditions += [("key", "k1"), ("tag:feature", None), ("tag:feature", "two"), ("tag:feature", "")]
filters = st.lists(st.sampled_from(conditions), max_size=2).map(dict)
groups = st.lists(
    st.sampled_from(["key", "team", "user", "model", "target", "endpoint", *(f"tag:{name}" for name in TAG_NAMES)]),
    max_size=3,
    unique=True,
)


def value_of(made: UsageEntry, group: str) -> str | None:
    if group.startswith("tag:"):
        return made.tags.get(group.removeprefix("tag:"))
    if group == "model":
        return made.model or None  # a model without a name is none
    value: str | None = getattr(made, "key_id" if group == "key" else group)
    return value


def sums(made: Sequence[UsageEntry]) -> dict[str, Any]:
    """The same sums by plain Python arithmetic."""
    return {
        "requests": len(made),
        "input_tokens": sum(one.usage.input_tokens for one in made),
        "cached_input_tokens": sum(one.usage.cached_input_tokens for one in made),
        "output_tokens": sum(one.usage.output_tokens for one in made),
        "cost_usd": display(sum((one.cost for one in made), Decimal(0))),
    }


async def refill(db: AsyncEngine, made: Sequence[UsageEntry]) -> None:
    async with db.begin() as connection:
        await connection.execute(delete(usage_records))
        await connection.execute(delete(usage_sums))
    store = UsageStore(db)
    await store.write(made[: len(made) // 2])
    await store.write(made)  # and what is told twice counts once


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    made=st.lists(entries(), max_size=12),
    group_by=groups,
    bucket=st.sampled_from([None, "hour", "day"]),
    period=st.tuples(edges, edges).map(sorted),
    where=filters,
)
async def test_every_sum_equals_exact_arithmetic(
    db: AsyncEngine,
    made: list[UsageEntry],
    group_by: list[str],
    bucket: Any,
    period: tuple[datetime, datetime],
    where: dict[str, str | None],
) -> None:
    await refill(db, made)
    since, until = period
    report = await usage(db, group_by, since, until, bucket, where)
    inside = [one for one in made if since <= one.at < until]
    wanted = {name: value or None if name == "model" else value for name, value in where.items()}
    inside = [one for one in inside if all(value_of(one, name) == value for name, value in wanted.items())]
    expected: dict[tuple[Any, ...], list[UsageEntry]] = defaultdict(list)
    for one in inside:
        start = one.at.replace(minute=0, second=0, microsecond=0)
        start = start.replace(hour=0) if bucket == "day" else start
        label = (f"{start:%Y-%m-%dT%H:%M:%SZ}",) if bucket else ()
        expected[*label, *(value_of(one, group) for group in group_by)].append(one)
    heads = (["bucket"] if bucket else []) + group_by
    assert {tuple(row[head] for head in heads): {name: row[name] for name in sums([])} for row in report.rows} == {
        head: sums(found) for head, found in expected.items()
    }
    assert len(report.rows) == len(expected)
    assert report.total == sums(inside)
    if "key" in group_by:
        assert all(row["key_name"] == f"name of {row['key']}" for row in report.rows)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    made=st.lists(entries(), max_size=12),
    since=edges,
    until=st.none() | edges,
    whose=st.sampled_from([{}, {"key": "k1"}, {"team": "a"}, {"user": "é"}, {"tag": ("feature", "two")}]),
)
async def test_what_is_spent_equals_exact_arithmetic(
    db: AsyncEngine, made: list[UsageEntry], since: datetime, until: datetime | None, whose: dict[str, Any]
) -> None:
    await refill(db, made)

    def counts(one: UsageEntry) -> bool:
        if one.at < since or (until is not None and one.at >= until):
            return False
        if "tag" in whose:
            return one.tags.get(whose["tag"][0]) == whose["tag"][1]
        if "user" in whose:  # a budget of a user counts the keys that were the user's, not whom a caller named
            return one.key_user == whose["user"]
        return all(value_of(one, name) == value for name, value in whose.items())

    expected = sum(to_pico(one.cost) for one in made if counts(one))
    assert await spent(db, since=since, until=until, **whose) == expected


async def test_spending_is_asked_of_one_scope(sqlite_db: AsyncEngine) -> None:
    with pytest.raises(ReportError, match="one key"):
        await spent(sqlite_db, since=BEGIN, until=None, key="k1", team="a")


async def test_a_sum_may_pass_what_one_row_can_hold(db: AsyncEngine) -> None:
    await refill(db, [entry(cost=from_pico(MAX_PICO)) for _ in range(3)])
    report = await usage(db, [], BEGIN, END)
    assert report.total["cost_usd"] == display(from_pico(3 * MAX_PICO)) == "27670116.110564327421"


async def test_since_is_included_and_until_is_not(db: AsyncEngine) -> None:
    second = timedelta(microseconds=1)
    await refill(db, [entry(at=at) for at in (NOON - second, NOON, NOON + second)])
    assert (await usage(db, [], NOON, NOON + second)).total["requests"] == 1
    elsewhere = timezone(timedelta(hours=5, minutes=30))
    there = NOON.astimezone(elsewhere)
    assert (await usage(db, [], there, there + second)).total["requests"] == 1


async def test_rows_are_sorted_by_bucket_then_group_with_missing_ids_last(db: AsyncEngine) -> None:
    hour = timedelta(hours=1)
    await refill(db, [entry(at=NOON + n * hour, team=team) for n in (1, 0) for team in ("b", None, "B", "a")])
    rows = (await usage(db, ["team"], BEGIN, END, "hour")).rows
    assert [(row["bucket"][11:13], row["team"]) for row in rows] == [
        (hour, team) for hour in ("12", "13") for team in ("B", "a", "b", None)
    ]


async def test_where_keeps_the_rows_of_one_group(db: AsyncEngine) -> None:
    await refill(
        db,
        [
            entry(team="a", tags={"feature": "x"}, model="m"),
            entry(team="a", tags={}),
            entry(team=None, tags={"feature": "x"}),
        ],
    )

    async def count(**where: str | None) -> int:
        conditions = {name.replace("tag_", "tag:"): value for name, value in where.items()}
        requests: int = (await usage(db, [], BEGIN, END, where=conditions)).total["requests"]
        return requests

    assert await count(team="a") == 2
    assert await count(team=None) == 1
    assert await count(tag_feature="x") == 2
    assert await count(tag_feature="x", team="a") == 1
    assert await count(tag_feature=None) == 1
    assert await count(model="m") == await count(model="m", team="a") == await count(model="m", tag_feature="x") == 1
    assert await count(model="m", team=None) == await count(model="m", tag_feature=None) == 0
    assert await count(team="' OR 1=1 --") == 0


async def test_nothing_used_is_no_row_and_a_total_of_zero(db: AsyncEngine) -> None:
    report = await usage(db, ["key"], BEGIN, END)
    assert report.rows == (await usage(db, [], BEGIN, END)).rows == []
    assert report.total == sums([])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"group_by": ["keys"]}, "unknown group 'keys'"),
        ({"group_by": ["tag:"]}, "unknown group"),
        ({"group_by": ['tag:a"b']}, "unknown group"),
        ({"group_by": ["tag:a\\b"]}, "unknown group"),
        ({"group_by": ["tag:a\x00"]}, "unknown group"),
        ({"group_by": ["tag:" + "x" * 129]}, "unknown group"),
        ({"group_by": ["key_id; DROP TABLE usage_records"]}, "unknown group"),
        ({"group_by": ["key", "key"]}, "twice"),
        ({"group_by": [f"tag:{n}" for n in range(9)]}, "at most 8"),
        ({"bucket": "week"}, "unknown bucket"),
        ({"since": datetime(2026, 1, 1)}, "time zone"),
        ({"until": datetime(2026, 1, 1)}, "time zone"),
        ({"where": {"cost": "1"}}, "unknown group"),
        ({"where": {"team": "a\x00"}}, "character"),
    ],
)
async def test_a_report_that_cannot_be_made_is_refused(
    sqlite_db: AsyncEngine, change: dict[str, Any], reason: str
) -> None:
    asked: dict[str, Any] = {"group_by": [], "since": BEGIN, "until": END} | change
    with pytest.raises(ReportError, match=reason):
        await usage(sqlite_db, **asked)


async def test_every_tag_name_is_found_however_the_database_writes_it(db: AsyncEngine) -> None:
    made = entry(tags={name: f"value of {name}" for name in TAG_NAMES})
    await refill(db, [made])
    for name in TAG_NAMES:
        report = await usage(db, [f"tag:{name}"], BEGIN, END)
        assert [row[f"tag:{name}"] for row in report.rows] == [f"value of {name}"]
