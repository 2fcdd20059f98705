"""`/admin/keys`: what a key is made of, how it changes, rotates and ends. SQL that differs runs on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from adminkit import HOUSE, call, entries, models_of, ok, refused
from gatekit import RunningGate, run_gate
from sqlalchemy import text

LIMITS = {"requests_per_minute": 60, "models": {"gpt-small": {"concurrent_requests": 2}}}
BUDGETS = [{"limit_usd": "5.00", "window": "month", "timezone": "Europe/Berlin"}, {"limit_usd": 7, "window": "day"}]
NO_RATES = dict.fromkeys(
    ["tokens_per_minute", "input_tokens_per_minute", "output_tokens_per_minute", "requests_per_minute"]
)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[RunningGate]:
    async with run_gate(tmp_path, HOUSE) as running:
        yield running


@pytest.fixture
async def houses(tmp_path: Path, database_url: str) -> AsyncIterator[RunningGate]:
    """The same house on each database."""
    async with run_gate(tmp_path, f"{HOUSE}storage: {{url: '{database_url}'}}\n") as running:
        yield running


async def test_a_key_comes_back_as_it_was_made(houses: RunningGate) -> None:
    fields = {"name": "app", "team": "search", "user": "jane", "role": "viewer", "models": ["gpt-*"], "guards": ["pii"]}
    fields |= {"tags": {"feature": "find"}, "expires_at": "2099-01-01T01:00:00+01:00"}
    made = await ok(houses, "POST", "/keys", {**fields, "limits": LIMITS, "budgets": BUDGETS})
    status, headers, got = await call(houses, "GET", f"/keys/{made['id']}")
    assert {**got, "key": made["key"]} == made
    assert (status, headers["etag"]) == (200, '"1"')
    assert {name: got[name] for name in fields} == {**fields, "expires_at": "2099-01-01T00:00:00Z"}
    assert got["limits"]["requests_per_minute"] == 60
    assert got["limits"]["models"] == {"gpt-small": {**NO_RATES, "concurrent_requests": 2}}
    assert got["budgets"] == [
        {"limit_usd": "5", "window": "month", "timezone": "Europe/Berlin"},
        {"limit_usd": "7", "window": "day", "timezone": "UTC"},
    ]
    assert (got["status"], got["version"], got["hint"]) == ("active", 1, made["key"][-4:])


async def test_a_new_key_says_where_it_is(house: RunningGate) -> None:
    status, headers, made = await call(house, "POST", "/keys", {"name": "app"})
    assert (status, headers["location"]) == (201, f"/admin/keys/{made['id']}")
    assert headers["x-request-id"].startswith("req_")


BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "name"),
    ({"name": "a\0b"}, "name"),
    ({"models": ["nope"]}, "models"),
    ({"models": ["claude-*"]}, "models"),
    ({"models": ["gpt-?mall"]}, "models"),
    ({"guards": ["nope"]}, "guards"),
    ({"role": "king"}, "role"),
    ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
    ({"expires_at": "2020-01-01"}, "expires_at"),
    ({"expires_at": "9999-12-31T23:59:59-12:00"}, "expires_at"),
    ({"nonsense": 1}, "nonsense"),
    ({"limits": {"requests_per_minute": 0}}, "limits.requests_per_minute"),
    ({"limits": {"requests_per_minute": "60"}}, "limits.requests_per_minute"),
    ({"limits": {"requests_per_minute": True}}, "limits.requests_per_minute"),
    ({"limits": {"requests_per_hour": 5}}, "limits.requests_per_hour"),
    ({"limits": {"models": {"gpt-*": {"requests_per_minute": 5}}}}, "limits.models"),
    ({"budgets": [{"limit_usd": 0.1, "window": "day"}]}, "budgets.0.limit_usd"),
    ({"budgets": [{"limit_usd": "1e3", "window": "day"}]}, "budgets.0.limit_usd"),
    ({"budgets": [{"limit_usd": "-1", "window": "day"}]}, "budgets.0.limit_usd"),
    ({"budgets": [{"limit_usd": "NaN", "window": "day"}]}, "budgets.0.limit_usd"),
    ({"budgets": [{"limit_usd": "99999999", "window": "day"}]}, "budgets"),
    ({"budgets": [{"limit_usd": "1", "window": "year"}]}, "budgets.0.window"),
    ({"budgets": [{"limit_usd": "1", "window": "day", "timezone": "Mars/Base"}]}, "budgets.0.timezone"),
    ({"budgets": [{"limit_usd": "1", "window": "day"}, {"limit_usd": "2", "window": "day"}]}, "budgets"),
]


async def test_a_key_that_cannot_be_is_refused_by_its_field(house: RunningGate) -> None:
    for fields, param in BAD:
        status, _, named = await refused(house, "POST", "/keys", {"name": "app", **fields})
        assert (status, named) == (400, param), fields
    assert (await ok(house, "GET", "/keys"))["data"] == []
    assert await entries(house) == 0


async def test_bytes_that_are_no_request_are_400_or_413(house: RunningGate) -> None:
    deep = b'{"name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    lone = b'{"name": "app", "\\ud800": 1, "tags": {"\\ud800": "x"}}'
    for body in (b"{", b"[]", b"\xff\xfe", deep, lone, b'{"name": ' + b"9" * 5000 + b"}"):
        assert (await refused(house, "POST", "/keys", body))[0] == 400, body[:40]
    assert (await refused(house, "POST", "/keys", b" " * 1_100_000))[:2] == (413, "body_too_large")


async def test_a_patch_changes_what_is_given_clears_null_and_leaves_the_rest(houses: RunningGate) -> None:
    made = await ok(houses, "POST", "/keys", {"name": "app", "team": "search", "limits": LIMITS, "tags": {"a": "1"}})
    path = f"/keys/{made['id']}"
    patch = {"limits": {"requests_per_minute": None, "tokens_per_minute": 9}, "tags": {"b": "2"}, "budgets": BUDGETS}
    changed = await ok(houses, "PATCH", path, patch)
    assert changed["limits"]["models"]["gpt-small"]["concurrent_requests"] == 2
    assert (changed["limits"]["requests_per_minute"], changed["limits"]["tokens_per_minute"]) == (None, 9)
    assert (changed["tags"], changed["team"], len(changed["budgets"])) == ({"a": "1", "b": "2"}, "search", 2)
    cleared = await ok(houses, "PATCH", path, {"team": None, "limits": None, "tags": {"a": None}, "budgets": None})
    assert (cleared["team"], cleared["limits"], cleared["tags"], cleared["budgets"]) == (None, None, {"b": "2"}, None)
    assert (cleared["name"], cleared["version"]) == ("app", 3)
    again = {name: cleared[name] for name in ("id", "version", "updated_at")}
    assert again.items() <= (await ok(houses, "PATCH", path, {})).items()
    assert await entries(houses) == 3
    assert await refused(houses, "PATCH", path, {"name": None}) == (400, "invalid_value", "name")
    assert await refused(houses, "PATCH", path, {"models": ["nope"]}) == (400, "invalid_value", "models")
    assert (await ok(houses, "GET", path))["version"] == 3


async def test_a_change_made_for_an_old_version_is_409(houses: RunningGate) -> None:
    path = f"/keys/{(await ok(houses, 'POST', '/keys', {'name': 'app'}))['id']}"
    results = await asyncio.gather(
        *(call(houses, "PATCH", path, {"name": f"app {n}"}, **{"if-match": '"1"'}) for n in range(8))
    )
    assert sorted(status for status, _, _ in results) == [200] + [409] * 7
    assert await refused(houses, "DELETE", path, **{"if-match": "1"}) == (409, "conflict", None)
    assert (await refused(houses, "PATCH", path, {}, **{"if-match": "soon"}))[0] == 400
    assert (await ok(houses, "PATCH", path, {"name": "b"}, **{"if-match": "*"}))["version"] == 3


async def test_no_change_is_lost_among_many_at_once(houses: RunningGate) -> None:
    path = f"/keys/{(await ok(houses, 'POST', '/keys', {'name': 'app'}))['id']}"
    await asyncio.gather(*(ok(houses, "PATCH", path, {"tags": {f"t{n}": "x"}}) for n in range(12)))
    key = await ok(houses, "GET", path)
    assert (len(key["tags"]), key["version"]) == (12, 13)


async def test_a_rotated_key_works_with_both_secrets_until_the_grace_ends(houses: RunningGate) -> None:
    made = await ok(houses, "POST", "/keys", {"name": "app"})
    rotated = await ok(houses, "POST", f"/keys/{made['id']}/rotate", {"grace": "1h"})
    assert (rotated["id"], rotated["hint"]) == (made["id"], rotated["key"][-4:])
    until = datetime.fromisoformat(rotated["old_secrets_until"]) - datetime.fromisoformat(rotated["updated_at"])
    assert until == timedelta(hours=1)
    assert isinstance(await models_of(houses, made["key"]), list)
    assert isinstance(await models_of(houses, rotated["key"]), list)
    last = await ok(houses, "POST", f"/keys/{made['id']}/rotate")
    found = [await models_of(houses, secret["key"]) for secret in (made, rotated, last)]
    assert found == [401, 401, ["assistant", "gpt-small", "gpt-large"]]
    await ok(houses, "POST", f"/keys/{made['id']}/rotate", {"grace": "1h"})
    async with houses.parts.database.connect() as connection:
        rows = (await connection.execute(text("SELECT expires_at FROM key_secrets"))).all()
    assert len(rows) == 2, "secrets whose grace is over are taken away"
    assert [row.expires_at for row in rows].count(None) == 1


async def test_a_grace_that_cannot_be_is_400(house: RunningGate) -> None:
    made = await ok(house, "POST", "/keys", {"name": "app"})
    for grace in ("31d", "-1h", "soon", True, False, [1]):
        status, _, param = await refused(house, "POST", f"/keys/{made['id']}/rotate", {"grace": grace})
        assert (status, param) == (400, "grace"), grace
    assert isinstance(await models_of(house, made["key"]), list)


async def test_a_revoked_key_stays_listed_and_cannot_be_changed(houses: RunningGate) -> None:
    made = await ok(houses, "POST", "/keys", {"name": "app"})
    path = f"/keys/{made['id']}"
    first = await ok(houses, "DELETE", path)
    assert (first["status"], first["version"]) == ("revoked", 2)
    assert await ok(houses, "DELETE", path) == first
    assert await models_of(houses, made["key"]) == 401
    assert await refused(houses, "PATCH", path, {"name": "b"}) == (409, "key_revoked", None)
    assert await refused(houses, "POST", path + "/rotate") == (409, "key_revoked", None)
    assert await entries(houses) == 2


async def test_what_is_not_there_is_404(house: RunningGate) -> None:
    for method, path in [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate")]:
        body = {} if method == "PATCH" else None
        assert await refused(house, method, "/keys/key_none" + path, body) == (404, "key_not_found", None)
    assert (await refused(house, "GET", "/keys/key_none/nothing"))[0] == 404
    assert (await refused(house, "GET", "/keys/"))[0] == 404


async def test_lists_are_filtered_and_paged(houses: RunningGate) -> None:
    for n in range(5):
        await ok(houses, "POST", "/keys", {"name": f"Key {n}", "team": "a" if n % 2 else "b", "user": f"u{n}"})
    odd = await ok(houses, "POST", "/keys", {"name": "50%_off"})
    await ok(houses, "DELETE", f"/keys/{odd['id']}")
    async with houses.parts.database.begin() as connection:
        await connection.execute(text("UPDATE api_keys SET expires_at = 1 WHERE name = 'Key 4'"))

    async def names(query: str) -> list[str]:
        return [key["name"] for key in (await ok(houses, "GET", f"/keys?{query}"))["data"]]

    assert await names("team=a") == ["Key 1", "Key 3"]
    assert await names("user=u2") == ["Key 2"]
    assert await names("status=revoked") == ["50%_off"]
    assert await names("status=expired") == ["Key 4"]
    assert await names("status=active&team=b") == ["Key 0", "Key 2"]
    assert await names("q=KEY%20") == [f"Key {n}" for n in range(5)]
    assert await names("q=%25_") == ["50%_off"]
    assert await names(f"q={odd['id'][4:12]}") == ["50%_off"]
    page = await ok(houses, "GET", "/keys?limit=2&status=active")
    rest = await ok(houses, "GET", f"/keys?limit=2&status=active&cursor={page['next_cursor']}")
    assert [key["name"] for key in page["data"] + rest["data"]] == [f"Key {n}" for n in range(4)]
    assert rest["next_cursor"] is None


async def test_a_list_that_cannot_be_is_400(house: RunningGate) -> None:
    for query in ("cursor=x", "cursor=MXx4", "q=%00", "status=lost", "limit=0", "team="):
        assert (await refused(house, "GET", f"/keys?{query}"))[:2] == (400, "invalid_value"), query


async def test_a_change_binds_at_once_and_an_expired_key_is_refused(house: RunningGate) -> None:
    made = await ok(house, "POST", "/keys", {"name": "app"})
    path = f"/keys/{made['id']}"
    assert await models_of(house, made["key"]) == ["assistant", "gpt-small", "gpt-large"]
    await ok(house, "PATCH", path, {"models": ["gpt-*"]})
    assert await models_of(house, made["key"]) == ["gpt-small", "gpt-large"]
    soon = datetime.now(UTC) + timedelta(milliseconds=60)
    await ok(house, "PATCH", path, {"expires_at": soon.isoformat()})
    async with asyncio.timeout(5):
        while await models_of(house, made["key"]) != 401:
            await asyncio.sleep(0.01)
    assert datetime.now(UTC) >= soon
    assert (await ok(house, "PATCH", path, {"name": "late"}))["status"] == "expired"


async def test_viewers_read_and_clients_do_not(house: RunningGate) -> None:
    viewer = (await ok(house, "POST", "/keys", {"name": "v", "role": "viewer"}))["key"]
    client = (await ok(house, "POST", "/keys", {"name": "c"}))["key"]
    for path in ("/keys", "/teams", "/users", "/audit"):
        assert (await call(house, "GET", path, key=viewer))[0] == 200
        assert (await call(house, "GET", path, key=client))[2]["error"]["code"] == "admin_required"
    changes = [("POST", "/keys"), ("PATCH", "/keys/x"), ("DELETE", "/keys/x"), ("POST", "/keys/x/rotate")]
    changes += [(method, f"/{kind}{x}") for kind in ("teams", "users") for method, x in
                [("POST", ""), ("PATCH", "/x"), ("DELETE", "/x")]]  # fmt: skip
    for method, path in changes:
        body = {"name": "x"} if method != "DELETE" else None
        for caller in (viewer, client):
            status, _, answer = await call(house, method, path, body, key=caller)
            assert (status, answer["error"]["code"]) == (403, "admin_required"), (method, path)
