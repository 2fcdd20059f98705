"""The audit log: every change is in it, with its transaction; nothing alters it; it has no secrets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from adminkit import HOUSE, call, entries, ok, refused
from gatekit import RunningGate, run_gate
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError


@pytest.fixture
async def houses(tmp_path: Path, database_url: str) -> AsyncIterator[RunningGate]:
    async with run_gate(tmp_path, f"{HOUSE}storage: {{url: '{database_url}'}}\n") as running:
        yield running


async def test_each_change_says_who_what_before_after_and_from_where(houses: RunningGate) -> None:
    boss = await ok(houses, "POST", "/keys", {"name": "boss", "role": "admin"})
    _, _, made = await call(
        houses, "POST", "/keys", {"name": "app", "tags": {"a": "1"}}, key=boss["key"], **{"x-request-id": "req-7"}
    )
    await ok(houses, "PATCH", f"/keys/{made['id']}", {"name": "App", "limits": {"requests_per_minute": 5}})
    rotated = await ok(houses, "POST", f"/keys/{made['id']}/rotate", {"grace": "1h"})
    await ok(houses, "DELETE", f"/keys/{made['id']}")
    await ok(houses, "POST", "/users", {"name": "jane"})
    await ok(houses, "PATCH", "/users/jane", {"role": "admin"})
    await ok(houses, "DELETE", "/users/jane")
    log = (await ok(houses, "GET", "/audit"))["data"][::-1]
    keys, users = (
        ["key.create", "key.update", "key.rotate", "key.revoke"],
        ["user.create", "user.update", "user.delete"],
    )
    assert [entry["action"] for entry in log] == ["key.create", *keys, *users]
    _, create, update, rotate, revoke, user, promoted, gone = log
    assert (create["actor_id"], create["actor_name"]) == (boss["id"], "boss")
    assert (create["address"], create["request_id"], create["target"]) == ("127.0.0.1", "req-7", made["id"])
    assert (create["before"], create["after"]["tags"]) == (None, {"a": "1"})
    assert update["before"] == {"name": "app", "limits": None}
    assert update["after"] == {"name": "App", "limits": {"requests_per_minute": 5}}
    assert (update["actor_id"], update["request_id"][:4]) == ("admin", "req_")
    assert (rotate["before"], rotate["after"]["hint"]) == ({"hint": made["hint"]}, rotated["hint"])
    assert (revoke["before"], list(revoke["after"])) == ({"revoked_at": None}, ["revoked_at"])
    assert (user["after"]["role"], promoted["before"], promoted["after"]) == (
        "client",
        {"role": "client"},
        {"role": "admin"},
    )
    assert (gone["before"]["role"], gone["after"]) == ("admin", None)
    assert made["key"][3:] not in str(log) and rotated["key"][3:] not in str(log)


async def test_entries_are_filtered_and_paged_the_newest_first(houses: RunningGate) -> None:
    for number in range(5):
        await ok(houses, "POST", "/teams", {"name": f"t{number}"})
    await ok(houses, "DELETE", "/teams/t1")

    async def found(query: str) -> list[str]:
        return [entry["target"] for entry in (await ok(houses, "GET", f"/audit?{query}"))["data"]]

    assert await found("") == ["t1", "t4", "t3", "t2", "t1", "t0"]
    assert await found("action=team.delete") == ["t1"]
    assert await found("target=t3") == ["t3"]
    assert await found("actor=nobody") == []
    at = (await ok(houses, "GET", "/audit?target=t3"))["data"][0]["at"].replace("+", "%2B")
    assert await found(f"since={at}") == ["t1", "t4", "t3"]
    assert await found(f"until={at}") == ["t2", "t1", "t0"]
    page = await ok(houses, "GET", "/audit?limit=4")
    rest = await ok(houses, "GET", f"/audit?limit=4&cursor={page['next_cursor']}")
    assert [entry["target"] for entry in page["data"] + rest["data"]] == ["t1", "t4", "t3", "t2", "t1", "t0"]
    assert rest["next_cursor"] is None
    for query in ("cursor=x", f"cursor={2**63}", "since=yesterday", "since=0001-01-01T00:00:00%2B10:00", "actor=%00"):
        assert (await refused(houses, "GET", f"/audit?{query}"))[0] == 400, query


ALTERING = [
    "UPDATE audit_log SET actor_id = 'nobody'",
    "DELETE FROM audit_log",
    "INSERT OR REPLACE INTO audit_log (id, at, actor_id, actor_name, action, target) VALUES (1, 1, 'x', 'x', 'x', 'x')",
    "TRUNCATE audit_log",
]


async def test_the_database_refuses_to_alter_an_entry(houses: RunningGate) -> None:
    await ok(houses, "POST", "/teams", {"name": "t"})
    foreign = "TRUNCATE" if houses.parts.database.dialect.name == "sqlite" else "INSERT OR"
    for statement in ALTERING:
        if not statement.startswith(foreign):
            with pytest.raises(DBAPIError, match="append-only"):
                async with houses.parts.database.begin() as connection:
                    await connection.execute(text(statement))
    (entry,) = (await ok(houses, "GET", "/audit"))["data"]
    assert (entry["actor_id"], entry["target"]) == ("admin", "t")


async def test_a_change_that_cannot_be_audited_is_not_made(houses: RunningGate) -> None:
    async with houses.parts.database.begin() as connection:
        await connection.execute(text("ALTER TABLE audit_log RENAME TO hidden"))
    assert (await refused(houses, "POST", "/keys", {"name": "app"}))[:2] == (503, "storage_unavailable")
    assert (await refused(houses, "POST", "/teams", {"name": "t"}))[0] == 503
    async with houses.parts.database.begin() as connection:
        await connection.execute(text("ALTER TABLE hidden RENAME TO audit_log"))
    assert (await ok(houses, "GET", "/keys"))["data"] == (await ok(houses, "GET", "/teams"))["data"] == []
    assert await entries(houses) == 0
