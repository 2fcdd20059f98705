"""`/admin/teams` and `/admin/users`: their ids, their policies on all of their keys, and their end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
from adminkit import HOUSE, call, entries, models_of, ok, refused
from gatekit import RunningGate, run_gate

KINDS = ["team", "user"]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[RunningGate]:
    async with run_gate(tmp_path, HOUSE) as running:
        yield running


@pytest.fixture
async def houses(tmp_path: Path, database_url: str) -> AsyncIterator[RunningGate]:
    """The same house on each database."""
    async with run_gate(tmp_path, f"{HOUSE}storage: {{url: '{database_url}'}}\n") as running:
        yield running


async def test_an_owner_is_made_changed_and_removed(houses: RunningGate) -> None:
    for kind in KINDS:
        body = {"id": "s@x.org", "name": "Search", "limits": {"tokens_per_minute": 5}, "tags": {"a": "1"}}
        status, headers, made = await call(houses, "POST", f"/{kind}s", body)
        assert (status, headers["location"], headers["etag"]) == (201, f"/admin/{kind}s/s@x.org", '"1"')
        assert await ok(houses, "GET", f"/{kind}s/s@x.org") == made
        patch = {"name": "Find", "limits": None, "budgets": [{"limit_usd": "1.50", "window": "week"}]}
        changed = await ok(houses, "PATCH", f"/{kind}s/s@x.org", patch, **{"if-match": '"1"'})
        assert (changed["name"], changed["limits"], changed["tags"]) == ("Find", None, {"a": "1"})
        assert (changed["budgets"][0]["limit_usd"], changed["version"]) == ("1.5", 2)
        assert (await refused(houses, "PATCH", f"/{kind}s/s@x.org", {}, **{"if-match": '"1"'}))[0] == 409
        assert (await refused(houses, "DELETE", f"/{kind}s/s@x.org", **{"if-match": '"1"'}))[0] == 409
        assert await ok(houses, "DELETE", f"/{kind}s/s@x.org") == changed
        assert await refused(houses, "DELETE", f"/{kind}s/s@x.org") == (404, f"{kind}_not_found", None)
        assert (await ok(houses, "GET", f"/{kind}s"))["data"] == []
    assert await entries(houses) == 6


async def test_the_id_is_given_or_the_name(houses: RunningGate) -> None:
    for kind in KINDS:
        assert (await ok(houses, "POST", f"/{kind}s", {"name": "search"}))["id"] == "search"
        assert (await ok(houses, "POST", f"/{kind}s", {"name": " Team Söarch "}))["id"] == "Team Söarch"
        again = {"name": "another", "id": "search"}
        assert await refused(houses, "POST", f"/{kind}s", again) == (409, "already_exists", "id")
        assert (await refused(houses, "POST", f"/{kind}s", {"name": "a", "id": "a\tb"}))[0] == 400
        assert await refused(houses, "POST", f"/{kind}s", {"name": "x" * 101}) == (400, "invalid_value", "name")
        assert (await refused(houses, "POST", f"/{kind}s", {"name": "a", "models": ["nope"]}))[0] == 400
        assert (await refused(houses, "GET", f"/{kind}s/%00"))[0] == 400
        both = await asyncio.gather(*(call(houses, "POST", f"/{kind}s", {"name": "race"}) for _ in range(4)))
        assert sorted(status for status, _, _ in both) == [201, 409, 409, 409]
        page = await ok(houses, "GET", f"/{kind}s?limit=2")
        rest = await ok(houses, "GET", f"/{kind}s?limit=2&cursor={page['next_cursor']}")
        assert [owner["name"] for owner in page["data"] + rest["data"]] == ["search", "Team Söarch", "race"]
        assert [owner["id"] for owner in (await ok(houses, "GET", f"/{kind}s?q=SEAR"))["data"]] == ["search"]


@pytest.mark.parametrize("name", ["R&D / search", "50%/ü?#", "no\u00a0break", "a//b", "x" * 100])
async def test_any_name_is_an_id_that_binds_keys_and_can_be_asked_for(house: RunningGate, name: str) -> None:
    for kind in KINDS:
        key = await ok(house, "POST", "/keys", {"name": "k", kind: name})
        assert await models_of(house, key["key"]) == ["assistant", "gpt-small", "gpt-large"]
        status, headers, made = await call(house, "POST", f"/{kind}s", {"name": name, "models": ["gpt-*"]})
        assert (status, made["id"], made["name"]) == (201, name, name)
        assert await models_of(house, key["key"]) == ["gpt-small", "gpt-large"]
        path = headers["location"].removeprefix("/admin")
        assert path == f"/{kind}s/{quote(name, safe='@+')}"
        assert await ok(house, "GET", path) == made
        assert (await ok(house, "PATCH", path, {"models": None}))["version"] == 2
        assert await refused(house, "POST", f"/{kind}s", {"name": name}) == (409, "already_exists", "id")
        await ok(house, "POST", f"/{kind}s", {"name": "another"})
        page = await ok(house, "GET", f"/{kind}s?limit=1")
        assert len((await ok(house, "GET", f"/{kind}s?cursor={page['next_cursor']}"))["data"]) == 1
        await ok(house, "DELETE", f"/keys/{key['id']}")
        assert (await ok(house, "DELETE", path))["id"] == name
        assert await refused(house, "GET", path) == (404, f"{kind}_not_found", None)


async def test_a_key_finds_its_team_by_name_only_where_that_is_one(houses: RunningGate) -> None:
    for team_id, name in [("t1", "One"), ("t2", "Both"), ("t3", "Both"), ("t4", "t1")]:
        await ok(houses, "POST", "/teams", {"id": team_id, "name": name})
    await ok(houses, "POST", "/users", {"id": "u1", "name": "One"})
    made = {label: await ok(houses, "POST", "/keys", {"name": "k", "team": label, "user": "One"})
            for label in ("One", "Both", "t1", "no row")}  # fmt: skip
    assert [key["team"] for key in made.values()] == ["t1", "Both", "t1", "no row"]
    assert {key["user"] for key in made.values()} == {"u1"}
    await ok(houses, "POST", "/teams", {"id": "t5", "name": "no row"})
    renamed = await ok(houses, "PATCH", f"/keys/{made['no row']['id']}", {"name": "other"})
    assert renamed["team"] == "no row", "a key moves to no team made since"
    assert (await ok(houses, "PATCH", f"/keys/{made['Both']['id']}", {"team": "no row"}))["team"] == "t5"


async def test_an_owner_with_keys_that_work_stays(houses: RunningGate) -> None:
    for kind in KINDS:
        await ok(houses, "POST", f"/{kind}s", {"id": "o", "name": "O"})
        key = await ok(houses, "POST", "/keys", {"name": "k", kind: "o"})
        assert await refused(houses, "DELETE", f"/{kind}s/o") == (409, "in_use", None)
        await ok(houses, "DELETE", f"/keys/{key['id']}")
        await ok(houses, "DELETE", f"/{kind}s/o")


async def test_key_user_and_team_must_all_allow_a_model(houses: RunningGate) -> None:
    key = (await ok(houses, "POST", "/keys", {"name": "k", "team": "t", "user": "u", "models": ["gpt-*"]}))["key"]
    assert await models_of(houses, key) == ["gpt-small", "gpt-large"]
    await ok(houses, "POST", "/teams", {"id": "t", "name": "T", "models": ["assistant", "*-large"]})
    assert await models_of(houses, key) == ["gpt-large"]
    await ok(houses, "POST", "/users", {"id": "u", "name": "U", "models": []})
    assert await models_of(houses, key) == []
    await ok(houses, "PATCH", "/users/u", {"models": None})
    assert await models_of(houses, key) == ["gpt-large"]
    async with houses.http.get(
        houses.url + "/v1/models/gpt-small", headers={"authorization": f"Bearer {key}"}
    ) as response:
        assert response.status == 403


async def test_a_key_has_no_higher_role_than_its_user(house: RunningGate) -> None:
    key = (await ok(house, "POST", "/keys", {"name": "k", "user": "jane", "role": "admin"}))["key"]
    assert (await call(house, "GET", "/keys", key=key))[0] == 200
    await ok(house, "POST", "/users", {"id": "jane", "name": "Jane"})
    assert (await call(house, "GET", "/keys", key=key))[0] == 403
    await ok(house, "PATCH", "/users/jane", {"role": "viewer"})
    assert (await call(house, "GET", "/keys", key=key))[0] == 200
    assert (await call(house, "POST", "/keys", {"name": "x"}, key=key))[0] == 403
