"""`sluicegate keys` on a database without a gate: what it makes works, and all of it is in the audit log."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from adminkit import HOUSE, models_of, ok
from gatekit import RunningGate, run_gate
from typer.testing import CliRunner

from gateway.cli.command import app
from gateway.cli.common import CommandError, UsageError


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "house.yaml"
    path.write_text(f"storage: {{url: 'sqlite+aiosqlite:///{tmp_path / 'test.db'}'}}\n{HOUSE}")
    return path


def command(config: Path, *arguments: str) -> str:
    """What `sluicegate keys` prints. Raises what it fails with."""
    ran = CliRunner().invoke(app, ["keys", *arguments, "--config", str(config)])
    if ran.exception is not None:
        raise ran.exception
    return ran.stdout.strip()


def test_a_key_is_made_rotated_listed_and_revoked_in_the_name_of_the_cli(config: Path, tmp_path: Path) -> None:
    options = ["--team", "search", "--model", "gpt-*", "--rpm", "60", "--tpm", "9000", "--concurrent", "3"]
    options += ["--budget", "5.00/month@Europe/Berlin", "--budget", "1/day", "--expires", "30d", "--tag", "a=b=c"]
    secret = command(config, "create", "my app", *options)
    listed = command(config, "list").split("\t")
    key_id = listed[0]
    assert listed[1:] == [f"…{secret[-4:]}", "active", "client", "search", "my app"]
    second = command(config, "rotate", key_id, "--grace", "1h")
    other = command(config, "create", "other")
    third = command(config, "rotate", command(config, "list").splitlines()[1].split("\t")[0])
    assert len({secret, second, other, third}) == 4

    async def look(gate: RunningGate) -> None:
        models = [await models_of(gate, key) for key in (secret, second, other, third)]
        assert models == [["gpt-small", "gpt-large"]] * 2 + [401, ["assistant", "gpt-small", "gpt-large"]]
        key = await ok(gate, "GET", f"/keys/{key_id}")
        rates = ("requests_per_minute", "tokens_per_minute", "concurrent_requests")
        assert [key["limits"][rate] for rate in rates] == [60, 9000, 3]
        assert [tuple(budget.values()) for budget in key["budgets"]] == [
            ("5", "month", "Europe/Berlin"),
            ("1", "day", "UTC"),
        ]
        left = datetime.fromisoformat(key["expires_at"]) - datetime.now(UTC)
        assert (timedelta(days=29) < left <= timedelta(days=30), key["tags"]) == (True, {"a": "b=c"})

    async def with_gate() -> None:
        async with run_gate(tmp_path, HOUSE) as gate:
            await look(gate)
            log = (await ok(gate, "GET", "/audit"))["data"]
            assert {entry["actor_id"] for entry in log} == {"cli"}
            assert [entry["action"] for entry in log] == ["key.rotate", "key.create", "key.rotate", "key.create"]

    asyncio.run(with_gate())
    assert command(config, "revoke", key_id) == f"{key_id} is revoked"
    assert command(config, "list").splitlines()[0].split("\t")[2] == "revoked"
    with pytest.raises(CommandError, match="is revoked"):
        command(config, "rotate", key_id)


def test_a_name_breaks_no_line_of_the_list(config: Path, tmp_path: Path) -> None:
    async def make() -> None:
        async with run_gate(tmp_path, HOUSE) as gate:
            await ok(gate, "POST", "/keys", {"name": "a\u202eb\u0085c\u2028d", "team": "t\u009b31m"})

    asyncio.run(make())
    (line,) = command(config, "list").split("\n")
    assert line.split("\t")[4:] == ["t\ufffd31m", "a\ufffdb\ufffdc\ufffdd"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["create", "x", "--budget", "5"], "--budget: '5' must look like"),
        (["create", "x", "--budget", "5/year"], "--budget"),
        (["create", "x", "--budget", "1e3/day"], "--budget"),
        (["create", "x", "--budget", "5/day@Mars"], "no IANA time zone"),
        (["create", "x", "--budget", "0.0000000000001/day"], "12 decimals"),
        (["create", "x", "--budget", "5/day", "--budget", "6/day"], "two are for the window 'day' in UTC"),
        (["create", "x", "--expires", "soon"], "--expires"),
        (["create", "x", "--tag", "a"], "--tag"),
        (["create", " "], "the name"),
        (["create", "x", "--team", "a\nb"], "--team"),
        (["rotate", "key_none", "--grace", "31d"], "at most 30d"),
    ],
)
def test_options_that_cannot_be_are_bad_usage(config: Path, arguments: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        command(config, *arguments)


def test_a_model_or_key_that_is_not_there_is_said(config: Path) -> None:
    with pytest.raises(CommandError, match="'claude-\\*' is not configured"):
        command(config, "create", "x", "--model", "claude-*")
    for verb in ("rotate", "revoke"):
        with pytest.raises(CommandError, match="no key 'key_none'"):
            command(config, verb, "key_none")
