"""`Idempotency-Key`: a POST sent twice is carried out once and answered alike, whoever reads the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from adminkit import HOUSE, call, entries, models_of, ok, refused
from gatekit import RunningGate, run_gate
from sqlalchemy import text

ONCE = {"idempotency-key": "order 66"}


@pytest.fixture
async def houses(tmp_path: Path, database_url: str) -> AsyncIterator[RunningGate]:
    async with run_gate(tmp_path, f"{HOUSE}storage: {{url: '{database_url}'}}\n") as running:
        yield running


async def test_the_same_post_is_answered_the_same_with_its_secret(houses: RunningGate) -> None:
    body = {"name": "app", "tags": {"a": "1", "b": "2"}}
    first = await call(houses, "POST", "/keys", body, **ONCE)
    reordered = {"tags": {"b": "2", "a": "1"}, "name": "app"}
    again = await call(houses, "POST", "/keys", reordered, **ONCE)
    assert (first[0], first[2]) == (again[0], again[2]) and first[0] == 201
    assert [answer[1]["location"] for answer in (first, again)] == [f"/admin/keys/{first[2]['id']}"] * 2
    assert isinstance(await models_of(houses, first[2]["key"]), list)
    other = await ok(houses, "POST", "/keys", body, **{"idempotency-key": "order 67"})
    assert (other["id"] != first[2]["id"], other["key"] != first[2]["key"]) == (True, True)
    assert await entries(houses) == 2


async def test_twenty_at_once_make_one_key(houses: RunningGate) -> None:
    made = await asyncio.gather(*(ok(houses, "POST", "/keys", {"name": "app"}, **ONCE) for _ in range(20)))
    assert all(answer == made[0] for answer in made)
    assert len((await ok(houses, "GET", "/keys"))["data"]) == 1
    rotated = await asyncio.gather(
        *(ok(houses, "POST", f"/keys/{made[0]['id']}/rotate", **{"idempotency-key": "r"}) for _ in range(8))
    )
    assert all(answer == rotated[0] for answer in rotated) and rotated[0]["version"] == 2
    for kind in ("teams", "users"):
        same = {"idempotency-key": kind}
        owners = await asyncio.gather(*(ok(houses, "POST", f"/{kind}", {"name": "x"}, **same) for _ in range(8)))
        assert all(answer == owners[0] for answer in owners)
    assert await entries(houses) == 4


async def test_a_key_used_for_something_else_is_409(houses: RunningGate) -> None:
    await ok(houses, "POST", "/keys", {"name": "app"}, **ONCE)
    reused = (409, "idempotency_key_reused", "Idempotency-Key")
    assert await refused(houses, "POST", "/keys", {"name": "other"}, **ONCE) == reused
    assert await refused(houses, "POST", "/teams", {"name": "app"}, **ONCE) == reused
    for wrong in ("", "é", "x" * 256, "tab\there"):
        assert (await refused(houses, "POST", "/keys", {"name": "app"}, **{"idempotency-key": wrong}))[0] == 400
    assert await entries(houses) == 1


async def test_a_refused_post_may_be_sent_again(houses: RunningGate) -> None:
    assert (await refused(houses, "POST", "/teams", {"name": "x", "models": ["nope"]}, **ONCE))[0] == 400
    await ok(houses, "POST", "/teams", {"name": "x"})
    assert (await refused(houses, "POST", "/teams", {"name": "x"}, **ONCE))[1] == "already_exists"
    await ok(houses, "DELETE", "/teams/x")
    await ok(houses, "POST", "/teams", {"name": "x"}, **ONCE)


async def test_the_secret_is_told_to_its_maker_only(houses: RunningGate) -> None:
    admin = await ok(houses, "POST", "/keys", {"name": "a", "role": "admin"})
    _, _, made = await call(houses, "POST", "/keys", {"name": "app"}, key=admin["key"], **ONCE)
    by_other = await ok(houses, "POST", "/keys", {"name": "app"}, **ONCE)
    assert by_other["id"] != made["id"], "each caller has idempotency keys of its own"
    rotated = await ok(houses, "POST", f"/keys/{admin['id']}/rotate", {"grace": "1h"})
    status, _, answer = await call(houses, "POST", "/keys", {"name": "app"}, key=rotated["key"], **ONCE)
    assert (status, answer["error"]["code"]) == (409, "idempotency_key_reused")
    assert (await call(houses, "POST", "/keys", {"name": "app"}, key=admin["key"], **ONCE))[2] == made
    async with houses.parts.database.connect() as connection:
        tables = ("idempotency", "api_keys", "key_secrets", "audit_log")
        stored = [str((await connection.execute(text(f"SELECT * FROM {table}"))).all()) for table in tables]
    assert made["id"] in stored[0]
    for secret in (made["key"], by_other["key"], admin["key"], rotated["key"]):
        assert not any(secret[3:20] in rows for rows in stored)


async def test_after_a_day_it_is_another_request(houses: RunningGate) -> None:
    first = await ok(houses, "POST", "/keys", {"name": "app"}, **ONCE)
    for number in range(3):
        await ok(houses, "POST", "/keys", {"name": "app"}, **{"idempotency-key": f"old {number}"})
    async with houses.parts.database.begin() as connection:
        await connection.execute(text("UPDATE idempotency SET created_at = created_at - 86400000000"))
    assert (await ok(houses, "POST", "/keys", {"name": "other"}, **ONCE))["id"] != first["id"]
    async with houses.parts.database.connect() as connection:
        assert len((await connection.execute(text("SELECT * FROM idempotency"))).all()) == 1
