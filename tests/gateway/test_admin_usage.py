"""`/admin/usage`: sums, single rows, CSV and re-pricing over the wire, on SQLite and PostgreSQL."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from adminkit import HOUSE, call, entries, ok, refused
from gatekit import RunningGate, run_gate
from sqlalchemy import select, text

from billing.cost import cost
from billing.entry import UsageEntry
from billing.prices import Price
from billing.tables import usage_records
from billing.usage import Usage

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


async def test_an_empty_report_as_csv_has_its_header(house: RunningGate) -> None:
    async with house.http.get(f"{house.url}/admin/usage?group_by=team&format=csv", headers=house.headers) as response:
        assert await response.text() == "team,requests,input_tokens,cached_input_tokens,output_tokens,cost_usd\r\n"


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
        ("/usage?since=2026-01-01T00:00:00", "since"),
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
