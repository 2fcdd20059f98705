"""The admin API on a gate that serves: keys and usage, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gatekit import REMOTE, RunningGate, ScriptedUpstream, run_gate
from sqlalchemy import text

ASK = {"model": "assistant", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
async def house(tmp_path: Path, upstream: ScriptedUpstream, database_url: str) -> AsyncIterator[RunningGate]:
    """The same gate on each database."""
    config = REMOTE.format(url=upstream.url) + f"storage: {{url: '{database_url}'}}\n"
    async with run_gate(tmp_path, config) as running:
        yield running


async def create(gate: RunningGate, **fields: Any) -> dict[str, Any]:
    status, _, body = await gate.post({"name": "app", **fields}, "/admin/keys")
    assert status == 201, body
    return body  # type: ignore[no-any-return]


async def delete(gate: RunningGate, key_id: str) -> int:
    async with gate.http.delete(f"{gate.url}/admin/keys/{key_id}", headers=gate.headers) as response:
        return response.status


async def test_a_key_works_until_it_is_revoked(house: RunningGate) -> None:
    made = await create(house, team="search", tags={"feature": "find"})
    admin, house.headers = house.headers, {"authorization": f"Bearer {made['key']}"}
    assert (await house.post(ASK))[0] == 200
    house.headers = admin
    assert await delete(house, made["id"]) == 200
    house.headers = {"authorization": f"Bearer {made['key']}"}
    status, _, body = await house.post(ASK)
    assert (status, body["error"]["code"]) == (401, "invalid_api_key")
    (row,) = await house.rows()
    assert (row.key_id, row.key_name, row.team, row.tags) == (made["id"], "app", "search", {"feature": "find"})


async def test_the_secret_is_nowhere_in_the_database(house: RunningGate) -> None:
    made = await create(house)
    async with house.parts.database.connect() as connection:
        tables = ("api_keys", "key_secrets", "audit_log")
        stored = str([(await connection.execute(text(f"SELECT * FROM {table}"))).all() for table in tables])
    assert made["id"] in stored
    assert made["key"] not in stored and made["key"][3:20] not in stored
    listed = await house.get("/admin/keys")
    assert made["key"] not in str(listed)
    assert listed["data"][0]["hint"] == made["key"][-4:]


async def test_usage_adds_up_by_key_and_tag(house: RunningGate) -> None:
    made = await create(house, name="finder")
    await house.post(ASK, **{"x-sluicegate-tags": "feature=search"})
    house.headers = {"authorization": f"Bearer {made['key']}"}
    for _ in range(2):
        await house.post(ASK, **{"x-sluicegate-tags": "feature=search"})
    house.headers = {"authorization": "Bearer sg-test-admin-key"}
    report = await house.get("/admin/usage?group_by=key,tag:feature")
    rows = {row["key_name"]: row for row in report["rows"]}
    assert rows["finder"]["requests"] == 2
    assert rows["finder"]["key"] == made["id"]
    assert rows["finder"]["tag:feature"] == "search"
    assert rows["finder"]["cost_usd"] == "0.0000063"
    assert report["total"]["requests"] == 3
    assert report["total"]["input_tokens"] == 27
    assert report["total"]["cost_usd"] == "0.00000945"


@pytest.mark.parametrize("query", ["group_by=nothing", "since=yesterday", "bucket=year", "since=2026-01-01T25:00:00"])
async def test_a_bad_usage_query_is_400(gate: RunningGate, query: str) -> None:
    body = await gate.get(f"/admin/usage?{query}")
    assert body["error"]["code"] == "invalid_value"


async def test_the_database_gone_is_503_and_never_401(house: RunningGate) -> None:
    made = await create(house)
    async with house.parts.database.begin() as connection:
        await connection.execute(text("ALTER TABLE api_keys RENAME TO hidden"))
    house.headers = {"authorization": f"Bearer {made['key']}"}
    status, headers, body = await house.post(ASK)
    assert (status, body["error"]["code"]) == (503, "storage_unavailable")
    assert int(headers["retry-after"]) >= 1
    house.headers = {"authorization": "Bearer sg-test-admin-key"}
    assert (await house.get("/admin/keys"))["error"]["code"] == "storage_unavailable"
