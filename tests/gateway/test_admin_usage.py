"""`/admin/usage`: sums, single rows, CSV and re-pricing over the wire, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from adminkit import HOUSE, call, entries, models_of, ok, refused
from gatekit import RunningGate, run_gate
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.cost import cost
from billing.entry import UsageEntry
from billing.prices import Price
from billing.reports import Report
from billing.reprice import Repricing
from billing.tables import usage_records
from billing.usage import Usage
from gateway.admin.deps import AdminContext

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PERIOD = {"since": "2026-11-24T00:00:00Z", "until": "2026-11-25T00:00:00Z"}
PRICE = Price(input=Decimal("1"), output=Decimal("2"))
TARGET = "openai/m"


@pytest.fixture
async def house(tmp_path: Path, database_url: str) -> AsyncIterator[RunningGate]:
    async with run_gate(tmp_path, f"{HOUSE}storage: {{url: '{database_url}'}}\n") as running:
        yield running


@pytest.fixture
async def small_house(tmp_path: Path) -> AsyncIterator[RunningGate]:
    """On SQLite alone, for what does not depend on the database."""
    async with run_gate(tmp_path, HOUSE) as running:
        yield running


def entry(number: int, **changes: Any) -> UsageEntry:
    used = Usage(input_tokens=1_000 + number, output_tokens=10)
    fields: dict[str, Any] = {
        "id": f"{number:032d}",
        "request_id": f"req-{number}",
        "at": NOON + timedelta(minutes=number),
        "key_id": "key_1",
        "key_name": "shop",
        "team": "search",
        "model": "assistant",
        "target": TARGET,
        "endpoint": "chat/completions",
        "status": 200,
        "outcome": "ok",
        "usage": used,
        "cost": cost(used, PRICE),
        "price": PRICE,
        "tags": {"feature": "find"},
    }
    return UsageEntry(**(fields | changes))


def book(gate: RunningGate, *made: UsageEntry) -> None:
    for one in made:
        gate.parts.ledger.record(one)


async def fetch_csv(gate: RunningGate, path: str) -> list[dict[str, str]]:
    async with gate.http.get(f"{gate.url}/admin{path}", headers=gate.headers) as response:
        assert response.status == 200
        assert response.headers["content-type"].startswith("text/csv")
        assert response.headers["content-disposition"].endswith('.csv"')
        return list(csv.DictReader(io.StringIO(await response.text(), newline="")))


async def viewer(gate: RunningGate, role: str) -> str:
    made = await ok(gate, "POST", "/keys", {"name": "reader", "role": role})
    return str(made["key"])


async def test_a_report_can_be_narrowed_to_ids_and_tags(house: RunningGate) -> None:
    book(house, entry(1), entry(2, team="other"), entry(3, tags={"feature": "=x"}), entry(4, key_id="key_2"))

    async def count(query: str) -> int:
        return int((await ok(house, "GET", f"/usage?{query}"))["total"]["requests"])

    assert await count("") == 4
    assert await count("team=search") == 3
    assert await count("team=search&key=key_2") == 1
    assert await count("model=assistant&target=openai/m&endpoint=chat/completions") == 4
    assert await count("user=nobody") == 0
    assert await count("tag=feature=find") == 3
    assert await count("tag=feature%3D%3Dx&team=search") == 1
    assert await count("since=2026-11-24T12:02:00Z&until=2026-11-24T12:04:00Z") == 2


async def test_a_report_as_csv_has_the_rows_of_the_json_one(house: RunningGate) -> None:
    book(house, entry(1), entry(70, key_name="=HYPERLINK()"), entry(2, key_id="key_2", tags={}))
    query = "/usage?group_by=key,tag:feature&bucket=hour"
    told = (await ok(house, "GET", query))["rows"]
    found = await fetch_csv(house, f"{query}&format=csv")
    assert list(found[0]) == list(told[0])
    safe = {"=HYPERLINK()": "'=HYPERLINK()", None: ""}
    assert found == [{name: str(safe.get(value, value)) for name, value in row.items()} for row in told]


async def test_groups_may_be_repeated_and_times_without_a_zone_are_utc(house: RunningGate) -> None:
    book(house, entry(1), entry(2, model="gpt-small"), entry(60 * 12), entry(-60 * 12 - 1))
    told = await ok(house, "GET", "/usage?group_by=key&group_by=model,team")
    assert told == await ok(house, "GET", "/usage?group_by=key,model,team")
    assert len(told["rows"]) == 2
    for begin, end in (("2026-11-24", "2026-11-25"), ("2026-11-24T00:00:00", "2026-11-25T00:00:00")):
        assert (await ok(house, "GET", f"/usage?since={begin}&until={end}"))["total"]["requests"] == 2
        assert len((await ok(house, "GET", f"/usage/records?since={begin}&until={end}"))["data"]) == 2
        assert (await ok(house, "POST", "/usage/reprice", {"since": begin, "until": end}))["rows"] == 2


async def test_rows_carry_the_names_of_today_right_behind_the_ids(
    house: RunningGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.storage.names.IDS_AT_ONCE", 2)
    await ok(house, "POST", "/teams", {"id": "search", "name": "Search and discovery"})
    await ok(house, "POST", "/users", {"id": "jane", "name": "Jane Doe"})
    key = (await ok(house, "POST", "/keys", {"name": "new name"}))["id"]
    book(house, entry(1, key_id=key, key_name="old name", user="jane"))
    book(house, *(entry(number, user=f"user-{number}", team=None) for number in range(2, 6)))
    query = "/usage?group_by=user,key,team,model"
    rows = (await ok(house, "GET", query))["rows"]
    assert list(rows[0])[:7] == ["user", "user_name", "key", "key_name", "team", "team_name", "model"]
    assert [tuple(row.values())[:6] for row in rows] == [
        ("jane", "Jane Doe", key, "new name", "search", "Search and discovery"),
        *((f"user-{number}", f"user-{number}", "key_1", "shop", None, None) for number in range(2, 6)),
    ]
    found = await fetch_csv(house, f"{query}&format=csv")
    assert found == [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]


async def test_many_reports_at_once_leave_connections_for_key_look_ups(
    house: RunningGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await viewer(house, "client")
    asked, under_way, most = 0, 0, 0
    all_asked, two_run, release = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def count(_: AdminContext) -> None:
        nonlocal asked
        asked += 1
        if asked == 24:  # more than any pool has
            all_asked.set()

    async def slow(database: AsyncEngine, *_: Any) -> Report:
        nonlocal under_way, most
        async with database.connect() as connection:
            await connection.execute(text("SELECT 1"))
            under_way += 1
            most = max(most, under_way)
            if under_way == 2:
                two_run.set()
            await release.wait()
            under_way -= 1
        return Report([], {})

    monkeypatch.setattr("gateway.admin.usage._catch_up", count)
    monkeypatch.setattr("gateway.admin.usage.usage", slow)
    reports = [asyncio.create_task(call(house, "GET", "/usage")) for _ in range(24)]
    await all_asked.wait()
    await two_run.wait()
    assert await models_of(house, key) == ["assistant", "gpt-small", "gpt-large"]
    release.set()
    assert {status for status, _, _ in await asyncio.gather(*reports)} == {200}
    assert most == 2


async def test_a_report_without_a_turn_in_time_is_503_and_the_next_one_gets_it(
    small_house: RunningGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def endless(*_: Any) -> Report:
        await asyncio.Event().wait()
        raise AssertionError

    with monkeypatch.context() as patch:
        patch.setattr("gateway.admin.usage.usage", endless)
        patch.setattr("gateway.admin.usage.REPORT_SECONDS", 0.05)
        for answer in await asyncio.gather(*(refused(small_house, "GET", "/usage") for _ in range(5))):
            assert answer[:2] == (503, "storage_unavailable")
    assert (await ok(small_house, "GET", "/usage"))["rows"] == []


async def test_one_repricing_is_made_at_a_time(small_house: RunningGate, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, release = asyncio.Event(), asyncio.Event()

    async def slow(*_: Any, **__: Any) -> Repricing:
        begun.set()
        await release.wait()
        return Repricing()

    monkeypatch.setattr("gateway.admin.usage.reprice", slow)
    first = asyncio.create_task(call(small_house, "POST", "/usage/reprice", PERIOD))
    await begun.wait()
    with monkeypatch.context() as patch:
        patch.setattr("gateway.admin.usage.REPORT_SECONDS", 0.05)
        assert (await refused(small_house, "POST", "/usage/reprice", PERIOD))[:2] == (503, "storage_unavailable")
    assert (await call(small_house, "GET", "/usage"))[0] == 200
    release.set()
    assert (await first)[0] == 200
    assert (await call(small_house, "POST", "/usage/reprice", PERIOD))[0] == 200


async def test_an_empty_report_as_csv_has_its_header(house: RunningGate) -> None:
    async with house.http.get(f"{house.url}/admin/usage?group_by=team&format=csv", headers=house.headers) as response:
        assert (
            await response.text()
            == "team,team_name,requests,input_tokens,cached_input_tokens,output_tokens,cost_usd\r\n"
        )


async def test_records_come_in_pages_each_once(house: RunningGate) -> None:
    book(house, *(entry(number) for number in range(7)))
    seen: list[str] = []
    query: str | None = f"limit=3&since={PERIOD['since']}"
    while query is not None:
        page = await ok(house, "GET", f"/usage/records?{query}")
        seen += [row["id"] for row in page["data"]]
        query = page["next_cursor"] and f"limit=3&cursor={page['next_cursor']}"
    assert seen == [f"{number:032d}" for number in range(7)]
    (row,) = (await ok(house, "GET", "/usage/records?limit=1"))["data"]
    assert (row["request_id"], row["cost_usd"], row["tags"]) == ("req-0", "0.00102", {"feature": "find"})
    assert datetime.fromisoformat(row["at"]) == NOON


async def test_all_records_come_as_one_csv(house: RunningGate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billing.records.PAGE_ROWS", 4)
    book(house, *(entry(number, user="+49 30 1" if number == 5 else None) for number in range(11)))
    found = await fetch_csv(house, "/usage/records?format=csv&until=2026-11-24T12:10:00Z")
    assert [row["id"] for row in found] == [f"{number:032d}" for number in range(10)]
    assert found[5]["user"] == "'+49 30 1"
    assert sum(Decimal(row["cost_usd"]) for row in found) == sum(entry(number).cost for number in range(10))


async def test_a_query_that_cannot_be_is_400(small_house: RunningGate) -> None:
    for query, param in (
        ("/usage?group_by=nothing", "group_by"),
        ("/usage?group_by=tag:a%00", "group_by"),
        ("/usage?tag=feature", "tag"),
        ("/usage?tag=%00=x", "group_by"),
        ("/usage?tag=a=%00", "group_by"),
        ("/usage?bucket=year", "bucket"),
        ("/usage?format=xml", "format"),
        ("/usage?since=2026-13-01", "since"),
        ("/usage?group_by=key,team&group_by=key", "group_by"),
        ("/usage?tag=a=1&tag=b=1&tag=a=2", "tag"),
        ("/usage?tag=a=1&tag=a=1", "tag"),
        ("/usage/records?since=yesterday", "since"),
        ("/usage/records?cursor=nonsense", "cursor"),
        ("/usage/records?limit=0", "limit"),
    ):
        assert await refused(small_house, "GET", query) == (400, "invalid_value", param), query


async def set_price(gate: RunningGate, effective_at: str) -> None:
    price = {"input": "3", "output": "4", "effective_at": effective_at}
    await ok(gate, "PUT", f"/prices/{TARGET}", price)


async def stored_costs(gate: RunningGate) -> list[int]:
    async with gate.parts.database.connect() as connection:
        return list(await connection.scalars(select(usage_records.c.cost_pico).order_by(usage_records.c.id)))


async def test_repricing_is_a_dry_run_unless_told_otherwise(house: RunningGate) -> None:
    await set_price(house, "2026-11-24T12:02:00Z")
    book(house, *(entry(number) for number in range(4)))
    known = await entries(house)
    told = await ok(house, "POST", "/usage/reprice", PERIOD)
    # Two requests from 12:02 on: 1,002 and 1,003 input and 10 output tokens each, at 3 and 4 in place of 1 and 2.
    assert told["dry_run"] is True
    assert (told["rows"], told["changed"]) == (4, 2)
    assert Decimal(told["after_usd"]) - Decimal(told["before_usd"]) == Decimal("0.00405")
    assert [model["model"] for model in told["models"]] == ["assistant"]
    assert await stored_costs(house) == [1020_000_000, 1021_000_000, 1022_000_000, 1023_000_000]
    assert await entries(house) == known


async def test_repricing_for_real_changes_rows_and_sums_and_is_audited_once(house: RunningGate) -> None:
    await set_price(house, "2026-11-24T12:02:00Z")
    book(house, *(entry(number) for number in range(4)))
    known = await entries(house)
    told = await ok(house, "POST", "/usage/reprice", {**PERIOD, "dry_run": False, "model": "assistant"})
    assert (told["dry_run"], told["changed"]) == (False, 2)
    assert await stored_costs(house) == [1020_000_000, 1021_000_000, 3046_000_000, 3049_000_000]
    report = await ok(house, "GET", "/usage?group_by=key")
    assert report["total"]["cost_usd"] == told["after_usd"] == "0.008136"
    assert report["total"]["requests"] == 4
    assert await entries(house) == known + 1
    (noted, *_) = (await ok(house, "GET", "/audit?action=usage.reprice"))["data"]
    assert noted["before"] == {"cost_usd": "0.004086"}
    assert noted["after"]["cost_usd"] == "0.008136"
    assert noted["after"]["selection"]["model"] == "assistant"
    again = await ok(house, "POST", "/usage/reprice", {**PERIOD, "dry_run": False})
    assert again["changed"] == 0


async def test_rows_without_a_price_now_are_counted_and_kept(house: RunningGate) -> None:
    book(house, entry(1, target="openai/gone"), entry(2, target=None))
    told = await ok(house, "POST", "/usage/reprice", {**PERIOD, "dry_run": False})
    assert (told["rows"], told["unpriced"], told["changed"]) == (2, 2, 0)


async def test_a_repricing_that_cannot_be_is_400(small_house: RunningGate) -> None:
    for change, param in (
        ({"since": PERIOD["until"]}, "since"),
        ({"until": "soon"}, "until"),
        ({"model": "a\x00"}, "model"),
        ({"dry_run": "maybe"}, "dry_run"),
        ({"sure": True}, "sure"),
    ):
        asked = await refused(small_house, "POST", "/usage/reprice", {**PERIOD, **change})
        assert asked == (400, "invalid_value", param), change


@pytest.mark.parametrize(("role", "reads"), [("client", 403), ("viewer", 200)])
async def test_a_viewer_reads_and_only_an_admin_reprices(small_house: RunningGate, role: str, reads: int) -> None:
    key = await viewer(small_house, role)
    for path in ("/usage", "/usage/records"):
        assert (await call(small_house, "GET", path, key=key))[0] == reads
    status, _, body = await call(small_house, "POST", "/usage/reprice", {**PERIOD, "dry_run": False}, key=key)
    assert (status, body["error"]["code"]) == (403, "admin_required")


async def test_a_database_that_cannot_answer_is_503(house: RunningGate) -> None:
    async with house.parts.database.begin() as connection:
        for table in ("usage_records", "usage_sums"):
            await connection.execute(text(f"ALTER TABLE {table} RENAME TO hidden_{table}"))
    for path in ("/usage", "/usage/records", "/usage/records?format=csv"):
        assert (await refused(house, "GET", path))[:2] == (503, "storage_unavailable")
