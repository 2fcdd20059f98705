"""`sluicegate prices`: the command as a person runs it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner, Result

from billing.prices import Price
from gateway.cli.common import CommandError, UsageError
from gateway.cli.prices import app
from gateway.storage.audit import Actor
from gateway.storage.database import migrate, open_database
from gateway.storage.prices import PriceRepository
from gateway.storage.tables import audit_log

CONFIG = """
server: {{state_dir: {directory}/state}}
admin_key: sg-test-admin-key
storage: {{url: "sqlite+aiosqlite:///{directory}/house.db"}}
models:
  - name: assistant
    targets:
      - {{provider: openai, model: gpt-4o-mini, api_key: x}}
      - {{provider: openai, model: mine, base_url: "http://127.0.0.1:9/v1", price: {{input: "1", output: "2"}}}}
      - {{provider: openai, model: nobody-knows-it, api_key: x}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gate.yaml"
    path.write_text(CONFIG.format(directory=tmp_path))
    return path


def run(*words: str, config: Path) -> Result:
    return CliRunner().invoke(app, [*words, "--config", str(config)])


def lines(ran: Result) -> dict[str, tuple[str, ...]]:
    assert ran.exit_code == 0, ran.output
    return {line.split("\t")[0]: tuple(line.split("\t")[1:]) for line in ran.stdout.splitlines()}


def set_price(directory: Path) -> None:
    async def work() -> None:
        database = open_database(f"sqlite+aiosqlite:///{directory}/house.db")
        await migrate(database)
        new, now = Price(input=Decimal(7), output=Decimal(8)), datetime.now(UTC)
        await PriceRepository(database).set("openai/mine", new, now, Actor(id="cli", name="cli"), now)
        await database.dispose()

    asyncio.run(work())


def test_every_target_is_printed_with_the_source_of_its_price(config: Path, tmp_path: Path) -> None:
    found = lines(run("list", config=config))
    assert found["openai/gpt-4o-mini"] == ("list", "input 0.15, cached_input 0.075, output 0.6")
    assert found["openai/mine"] == ("config", "input 1, output 2")
    assert found["openai/nobody-knows-it"] == ("-", "no price")
    set_price(tmp_path)
    assert lines(run("list", config=config))["openai/mine"] == ("override", "input 7, output 8")


def test_an_operators_list_takes_the_place_of_the_bundled_one(config: Path, tmp_path: Path) -> None:
    entry = {
        "litellm_provider": "openai",
        "mode": "chat",
        "input_cost_per_token": 5e-06,
        "output_cost_per_token": 6e-06,
    }
    tiered = {**entry, "input_cost_per_token_above_128k_tokens": 7e-06}
    newer = tmp_path / "newer.json"
    newer.write_text(json.dumps({"gpt-4o-mini": tiered, "by-the-second": {**entry, "input_cost_per_second": 1}}))
    ran = run("update", str(newer), config=config)
    assert ran.exit_code == 0
    assert "2 models, 1 with a price" in ran.stdout
    assert "input_cost_per_second" in ran.stderr
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["prices.json"]
    shown = "input 5, output 6; above 128000: input 7"
    assert lines(run("list", config=config))["openai/gpt-4o-mini"] == ("list", shown)


def audited(directory: Path) -> list[tuple[str, str, str, Any, Any]]:
    async def read() -> list[tuple[str, str, str, Any, Any]]:
        log = audit_log.c
        database = open_database(f"sqlite+aiosqlite:///{directory}/house.db")
        await migrate(database)
        async with database.connect() as connection:
            query = select(log.actor_id, log.action, log.target, log.before, log.after).order_by(log.id)
            found = [tuple(row) for row in await connection.execute(query)]
        await database.dispose()
        return found

    return asyncio.run(read())


def write_list(path: Path, *models: str) -> dict[str, Any]:
    """A price list, and what the audit log says of it."""
    entry = {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
    path.write_text(json.dumps(dict.fromkeys(models, entry)))
    return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "models": len(models)}


def test_a_new_list_is_in_the_audit_log_with_the_one_before(config: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    before, after = write_list(first, "a", "b"), write_list(second, "c")
    for file in (first, second):
        assert run("update", str(file), config=config).exit_code == 0
    assert audited(tmp_path) == [
        ("cli", "prices.update", "first.json", None, before),
        ("cli", "prices.update", "second.json", before, after),
    ]


def test_a_list_that_cannot_be_put_in_place_leaves_no_entry(config: Path, tmp_path: Path) -> None:
    write_list(tmp_path / "new.json", "a")
    (tmp_path / "state").write_text("a file where the directory should be")
    ran = run("update", str(tmp_path / "new.json"), config=config)
    assert ran.exit_code == 1
    assert audited(tmp_path) == []


@pytest.mark.parametrize("content", ["not json", "[]", '{"m": {"mode": "chat"}}', None])
def test_a_list_that_cannot_be_used_is_refused_and_the_old_one_stays(
    config: Path, tmp_path: Path, content: str | None
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "prices.json").write_text("{}")
    if content is not None:
        (tmp_path / "bad.json").write_text(content)
    ran = run("update", str(tmp_path / "bad.json"), config=config)
    assert type(ran.exception) is CommandError
    assert "bad.json" in str(ran.exception)
    assert (state / "prices.json").read_text() == "{}"


def test_a_list_that_would_not_be_read_is_not_taken(config: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.json"
    own.write_text("{}")
    config.write_text(f"{config.read_text()}prices: {{file: {own}}}\n")
    ran = run("update", str(own), config=config)
    assert isinstance(ran.exception, UsageError) and "prices.file" in str(ran.exception)
