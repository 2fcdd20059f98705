"""`/admin/prices`: what holds, what will, and who set it; on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from adminkit import call, entries, ok, refused
from gatekit import RunningGate, run_gate

from billing.prices import Price
from gateway.storage.audit import Actor
from gateway.storage.prices import PriceConflict, PriceRepository

MODELS = """
models:
  - name: assistant
    targets:
      - {provider: openai, model: mine, base_url: "http://127.0.0.1:9/v1", price: {input: "1", output: "2"}}
      - {provider: openai, model: other, base_url: "http://127.0.0.1:9/v1", price: {input: "3", output: "4"}}
  - name: cheap
    targets:
      - {provider: openai, model: mine, base_url: "http://127.0.0.1:9/v1", price: {input: "1", output: "2"}}
  - name: unknown
    targets:
      - {provider: openai, model: nobody-knows-it, base_url: "http://127.0.0.1:9/v1"}
"""
NEW = {"input": "1.25", "cached_input": "0.125", "output": "10"}
TIERED = {**NEW, "tiers": [{"above": 200_000, "input": "2.5", "output": "15"}], "margin": "0.05"}
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ACTOR = Actor(id="key_1", name="ops")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[RunningGate]:
    async with run_gate(tmp_path, MODELS) as running:
        yield running


@pytest.fixture
async def houses(tmp_path: Path, database_url: str) -> AsyncIterator[RunningGate]:
    """The same house on each database."""
    async with run_gate(tmp_path, f"{MODELS}storage: {{url: '{database_url}'}}\n") as running:
        yield running


def price(dollars: int) -> Price:
    return Price(input=Decimal(dollars), output=Decimal(dollars))


async def test_every_target_is_listed_with_its_price_and_source(house: RunningGate) -> None:
    listed = {found["target"]: found for found in (await ok(house, "GET", "/prices"))["data"]}
    assert listed.keys() == {"openai/mine", "openai/other", "openai/nobody-knows-it"}
    mine = listed["openai/mine"]
    assert (mine["price"], mine["source"], mine["models"]) == (
        {"input": "1", "output": "2"},
        "config",
        ["assistant", "cheap"],
    )
    unknown = listed["openai/nobody-knows-it"]
    assert (unknown["price"], unknown["source"], unknown["upcoming"]) == (None, None, [])


async def test_a_price_that_is_set_holds_at_once_and_is_in_the_history(houses: RunningGate) -> None:
    answer = await ok(houses, "PUT", "/prices/openai/mine", TIERED)
    assert (answer["price"], answer["source"]) == (TIERED, "override")
    assert [(set_price["price"], set_price["created_by"]) for set_price in answer["history"]] == [(TIERED, "admin")]
    assert await ok(houses, "GET", "/prices/openai/mine") == answer
    book = houses.parts.prices.book
    assert book.price("openai/mine", datetime.now(UTC)) == Price.parse(TIERED)
    assert book.price("openai/other", datetime.now(UTC)) == Price.parse({"input": "3", "output": "4"})


async def test_a_price_of_a_model_holds_for_all_its_targets(house: RunningGate) -> None:
    before = await ok(house, "GET", "/prices/assistant")
    assert (before["price"], len(before["targets"])) == (None, 2)  # they differ
    answer = await ok(house, "PUT", "/prices/assistant", NEW)
    assert (answer["price"], answer["source"]) == (NEW, "override")
    assert [target["override"]["name"] for target in answer["targets"]] == ["assistant", "assistant"]


async def test_a_later_price_is_upcoming_and_leaves_the_one_in_force(house: RunningGate) -> None:
    answer = await ok(house, "PUT", "/prices/openai/mine", {**NEW, "effective_at": "2099-01-01T01:00:00+01:00"})
    assert answer["source"] == "config"
    (upcoming,) = answer["targets"][0]["upcoming"]
    assert upcoming == {"name": "openai/mine", "price": NEW, "effective_at": "2099-01-01T00:00:00Z"}


async def test_a_price_may_begin_in_the_past(house: RunningGate) -> None:
    await ok(house, "PUT", "/prices/openai/mine", {**NEW, "effective_at": "2020-01-01T00:00:00Z"})
    book = house.parts.prices.book
    assert book.price("openai/mine", datetime(2019, 12, 31, tzinfo=UTC)) == Price.parse({"input": "1", "output": "2"})
    assert book.price("openai/mine", datetime(2020, 1, 2, tzinfo=UTC)) == Price.parse(NEW)


async def test_the_same_price_at_the_same_instant_changes_nothing_and_another_is_a_conflict(
    houses: RunningGate,
) -> None:
    body = {**NEW, "effective_at": "2026-01-01T00:00:00Z"}
    first = await ok(houses, "PUT", "/prices/assistant", body)
    assert await ok(houses, "PUT", "/prices/assistant", body) == first
    assert await refused(houses, "PUT", "/prices/assistant", {**body, "input": "9"}) == (
        409,
        "conflict",
        "effective_at",
    )
    assert await ok(houses, "GET", "/prices/assistant") == first
    assert await entries(houses) == 1


async def test_each_change_is_in_the_audit_log_with_the_price_before(house: RunningGate) -> None:
    await ok(house, "PUT", "/prices/cheap", {**NEW, "effective_at": "2026-01-01T00:00:00Z"})
    await ok(house, "PUT", "/prices/cheap", {"per_request": "0.01", "effective_at": "2026-02-01T00:00:00Z"})
    last, first = (await ok(house, "GET", "/audit"))["data"]
    assert (first["action"], first["target"], first["before"]) == ("price.set", "cheap", None)
    assert last["before"] == {"effective_at": "2026-01-01T00:00:00+00:00", "price": NEW}
    assert last["after"]["price"] == {"input": "0", "output": "0", "per_request": "0.01"}


async def test_a_price_may_be_one_field_and_its_time_a_date(house: RunningGate) -> None:
    for start in ("2026-03-01", "2026-03-01T00:00:00", "2026-03-01T01:00:00+01:00"):
        answer = await ok(house, "PUT", "/prices/openai/mine", {"price": TIERED, "effective_at": start})
        assert (answer["price"], answer["effective_at"]) == (TIERED, "2026-03-01T00:00:00Z")
        assert len(answer["history"]) == 1


async def test_an_answer_says_since_when_the_override_holds(house: RunningGate) -> None:
    assert (await ok(house, "GET", "/prices/assistant"))["effective_at"] is None
    later = {**NEW, "effective_at": "2099-01-01"}
    assert (await ok(house, "PUT", "/prices/openai/mine", later))["effective_at"] is None
    await ok(house, "PUT", "/prices/openai/mine", {**NEW, "effective_at": "2026-01-01"})
    await ok(house, "PUT", "/prices/openai/other", {**NEW, "effective_at": "2026-02-01"})
    assert (await ok(house, "GET", "/prices/openai/mine"))["effective_at"] == "2026-01-01T00:00:00Z"
    both = await ok(house, "GET", "/prices/assistant")
    assert (both["price"], both["effective_at"]) == (NEW, None)
    assert [target["effective_at"] for target in both["targets"]] == ["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"]


async def test_the_price_in_force_set_again_changes_nothing(houses: RunningGate) -> None:
    first = await ok(houses, "PUT", "/prices/openai/mine", TIERED)
    await ok(houses, "PUT", "/prices/openai/mine", {**NEW, "effective_at": "2099-01-01"})
    await ok(houses, "PUT", "/prices/openai/other", NEW)
    again = await ok(houses, "PUT", "/prices/openai/mine", {"price": TIERED})
    assert (again["price"], again["effective_at"], len(again["history"])) == (TIERED, first["effective_at"], 2)
    assert await entries(houses) == 3
    assert len((await ok(houses, "PUT", "/prices/openai/mine", NEW))["history"]) == 3
    assert len((await ok(houses, "PUT", "/prices/openai/mine", TIERED))["history"]) == 4
    assert await entries(houses) == 5
    assert len((await ok(houses, "PUT", "/prices/assistant", TIERED))["history"]) == 1, "it has none of its own yet"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, None),
        ({"input": "1"}, "output"),
        ({"input": 0.5, "output": "1"}, "input"),
        ({"input": "-1", "output": "1"}, "input"),
        ({"input": "9999999", "output": "1"}, "input"),
        ({**NEW, "margin": "20"}, "margin"),
        ({**NEW, "outptu": "1"}, "outptu"),
        ({**NEW, "tiers": [{"above": 5}]}, "tiers.0"),
        ({**NEW, "tiers": [{"above": -5, "input": "1"}]}, "tiers.0.above"),
        ({"price": {"input": "1"}}, "price.output"),
        ({"price": {}}, "price"),
        ({"price": NEW, "input": "1"}, "price"),
        ({"price": {**NEW, "tiers": [{"above": 5}]}}, "price.tiers.0"),
        ({**NEW, "effective_at": "0001-01-01T00:00:00+14:00"}, "effective_at"),
        ({**NEW, "effective_at": "soon"}, "effective_at"),
    ],
)
async def test_a_price_that_cannot_be_is_refused(house: RunningGate, body: dict[str, Any], param: str | None) -> None:
    assert await refused(house, "PUT", "/prices/openai/mine", body) == (400, "invalid_value", param)
    assert (await ok(house, "GET", "/prices/openai/mine"))["history"] == []


@pytest.mark.parametrize("name", ["nothing", "openai", "", "openai/mine/", "a%00b", "x" * 5000])
async def test_a_name_that_is_not_configured_is_404(house: RunningGate, name: str) -> None:
    assert (await refused(house, "GET", f"/prices/{name}"))[:2] == (404, "price_not_found")
    assert (await refused(house, "PUT", f"/prices/{name}", NEW))[:2] == (404, "price_not_found")


@pytest.mark.parametrize(("role", "reads", "writes"), [("client", 403, 403), ("viewer", 200, 403), ("admin", 200, 200)])
async def test_viewers_read_prices_and_admins_set_them(house: RunningGate, role: str, reads: int, writes: int) -> None:
    key = (await ok(house, "POST", "/keys", {"name": "a person", "role": role}))["key"]
    for path in ("/prices", "/prices/cheap"):
        assert (await call(house, "GET", path, key=key))[0] == reads
    assert (await call(house, "PUT", "/prices/cheap", NEW, key=key))[0] == writes


async def test_another_replica_sees_a_change_by_the_version(houses: RunningGate) -> None:
    repository = PriceRepository(houses.parts.database)
    before = await repository.version()
    assert await repository.version() == before
    await repository.set("cheap", price(5), NOON, ACTOR, NOON)
    assert await repository.version() > before
    (stored,) = await repository.list()
    assert (stored.name, stored.price, stored.effective_at, stored.created_at) == ("cheap", price(5), NOON, NOON)


async def test_of_many_that_set_the_same_instant_at_once_one_price_is_kept(houses: RunningGate) -> None:
    repository = PriceRepository(houses.parts.database)
    answers = await asyncio.gather(
        *(repository.set("cheap", price(number % 2), NOON, ACTOR, NOON) for number in range(8)), return_exceptions=True
    )
    (stored,) = await repository.list()
    for number, answer in enumerate(answers):
        if price(number % 2) == stored.price:
            assert answer == stored
        else:
            assert isinstance(answer, PriceConflict)
    assert await entries(houses) == 1


async def test_prices_are_listed_in_the_order_they_begin(house: RunningGate) -> None:
    repository = PriceRepository(house.parts.database)
    for days in (3, 1, 2):
        await repository.set("cheap", price(days), NOON + timedelta(days=days), ACTOR, NOON)
    assert [stored.price for stored in await repository.list()] == [price(1), price(2), price(3)]


async def test_the_openapi_page_shows_the_parts_of_a_price(house: RunningGate) -> None:
    async with house.http.get(f"{house.url}/openapi.json") as response:
        page = await response.json()
    assert {"get", "put"} <= page["paths"]["/admin/prices/{name}"].keys()
    body = page["components"]["schemas"]["PriceRequest"]
    assert {"input", "cache_write", "tiers", "margin", "effective_at"} <= body["properties"].keys()
    assert body["examples"]
