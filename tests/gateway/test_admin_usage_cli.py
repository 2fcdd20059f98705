"""`sluicegate usage`, `prices reprice` and `reconcile`, as a person runs them."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import typer
from sqlalchemy import Executable, insert, select, update
from typer.testing import CliRunner, Result

from billing.entry import UsageEntry
from billing.store import UsageStore
from billing.tables import usage_records
from billing.usage import Usage
from gateway.cli.common import CommandError, UsageError
from gateway.cli.reconcile import reconcile
from gateway.cli.reprice import reprice
from gateway.cli.usage import instant, usage
from gateway.storage.database import migrate, open_database
from gateway.storage.tables import audit_log, teams

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
CONFIG = """
server: {{state_dir: {directory}/state}}
admin_key: sg-test-admin-key
storage: {{url: "sqlite+aiosqlite:///{directory}/house.db"}}
models:
  - name: assistant
    targets:
      - {{provider: openai, model: mine, base_url: "http://127.0.0.1:9/v1", price: {{input: "2", output: "4"}}}}
"""

app = typer.Typer()
app.command()(usage)
app.command()(reprice)
app.command()(reconcile)


def entry(number: int, **changes: Any) -> UsageEntry:
    fields: dict[str, Any] = {
        "id": f"{number:032d}",
        "request_id": f"req-{number}",
        "at": NOON + timedelta(minutes=number),
        "key_id": "key_1",
        "key_name": "=shop",
        "team": "search",
        "model": "assistant",
        "target": "openai/mine",
        "served_model": "mine-2026",
        "endpoint": "chat/completions",
        "status": 200,
        "outcome": "ok",
        "usage": Usage(input_tokens=1_000, output_tokens=100),
        "cost": Decimal("0.001"),
    }
    return UsageEntry(**(fields | changes))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose ledger holds three requests of 24 November 2026."""
    path = tmp_path / "gate.yaml"
    path.write_text(CONFIG.format(directory=tmp_path))

    async def fill() -> None:
        database = open_database(f"sqlite+aiosqlite:///{tmp_path}/house.db")
        await migrate(database)
        await UsageStore(database).write([entry(1), entry(2), entry(3, team=None)])
        await database.dispose()

    asyncio.run(fill())
    return path


def stored(directory: Path, column: Any) -> Sequence[Any]:
    async def read() -> Sequence[Any]:
        database = open_database(f"sqlite+aiosqlite:///{directory}/house.db")
        async with database.connect() as connection:
            found = (await connection.scalars(select(column))).all()
        await database.dispose()
        return found

    return asyncio.run(read())


def execute(directory: Path, statement: Executable) -> None:
    async def write() -> None:
        database = open_database(f"sqlite+aiosqlite:///{directory}/house.db")
        async with database.begin() as connection:
            await connection.execute(statement)
        await database.dispose()

    asyncio.run(write())


def run(*words: str, config: Path) -> Result:
    return CliRunner().invoke(app, [*words, "--config", str(config)])


def out(*words: str, config: Path) -> str:
    ran = run(*words, config=config)
    assert ran.exit_code == 0, ran.output
    return ran.stdout


def test_usage_is_told_as_a_table_json_and_csv(config: Path) -> None:
    asked = ("usage", "--by", "team,key", "--since", "2026-11-24", "--until", "2026-11-25")
    table = [line.split("\t") for line in out(*asked, config=config).splitlines()]
    told = json.loads(out(*asked, "--json", config=config))
    found = list(csv.DictReader(io.StringIO(out(*asked, "--csv", config=config), newline="")))
    assert table[0] == list(found[0]) == list(told["rows"][0])
    assert [line[0] for line in table[1:]] == [row["team"] for row in found] == ["search", ""]
    assert table[0][:4] == ["team", "team_name", "key", "key_name"]
    assert (found[0]["key_name"], table[1][3]) == ("'=shop", "=shop")
    assert [row["cost_usd"] for row in told["rows"]] == ["0.002", "0.001"]
    assert told["total"]["cost_usd"] == "0.003"


def test_names_of_today_stand_beside_the_ids(config: Path) -> None:
    rest = {"guards": [], "tags": {}, "created_at": NOON, "updated_at": NOON, "version": 1}
    execute(config.parent, insert(teams).values(id="search", name="Search and discovery", **rest))
    asked = ("usage", "--by", "team", "--since", "2026-11-24", "--until", "2026-11-25", "--json")
    rows = json.loads(out(*asked, config=config))["rows"]
    assert [(row["team"], row["team_name"]) for row in rows] == [("search", "Search and discovery"), (None, None)]


def test_what_callers_write_breaks_no_table(config: Path) -> None:
    nasty = "a\tb\nc\x1b[31m\u202e"
    execute(config.parent, update(usage_records).values(model=nasty, served_model=nasty, user=nasty))
    asked = ("--since", "2026-11-24", "--until", "2026-11-25")
    shown = "a\ufffdb\ufffdc\ufffd[31m\ufffd"
    by_user = ("usage", "--by", "user,endpoint", *asked)  # of two dimensions: from the rows themselves
    assert out(*by_user, config=config).splitlines()[1].split("\t")[:2] == [shown, shown]
    assert json.loads(out(*by_user, "--json", config=config))["rows"][0]["user"] == nasty
    file = io.StringIO(out(*by_user, "--csv", config=config), newline="")
    assert next(csv.DictReader(file))["user"] == nasty
    assert out("reprice", *asked, config=config).splitlines()[1].split("\t")[0] == shown
    bill = invoice(config.parent, "date,model,cost_usd\n2026-11-24,mine,0.003\n")
    table = run("reconcile", bill, *asked, config=config).stdout.splitlines()
    assert shown in {line.split("\t")[1] for line in table}
    assert {len(line.split("\t")) for line in table} == {len(table[0].split("\t"))}


def test_usage_without_groups_is_the_total(config: Path) -> None:
    asked = ("usage", "--since", "2026-11-24T12:02:00+00:00", "--until", "2026-11-25", "--csv")
    (row,) = csv.DictReader(io.StringIO(out(*asked, config=config), newline=""))
    assert row["requests"] == "2"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90m", NOON - timedelta(minutes=90)),
        ("2w", NOON - timedelta(days=14)),
        ("2026-11-24", datetime(2026, 11, 24, tzinfo=UTC)),
        ("2026-11-24T13:00:00+01:00", NOON),
    ],
)
def test_a_time_is_a_span_or_a_date(text: str, expected: datetime) -> None:
    assert instant("--since", text, NOON) == expected


@pytest.mark.parametrize("text", ["", "7", "7y", "yesterday", "999999w", "0001-01-01T00:00:00+01:00", "٧d"])
def test_what_is_no_time_is_bad_usage(text: str) -> None:
    with pytest.raises(UsageError, match="--since"):
        instant("--since", text, NOON)


def test_two_formats_at_once_are_bad_usage(config: Path) -> None:
    assert isinstance(run("usage", "--json", "--csv", config=config).exception, UsageError)


def test_repricing_tells_and_with_apply_does(config: Path) -> None:
    asked = ("reprice", "--since", "2026-11-24", "--until", "2026-11-25")
    dry = json.loads(out(*asked, "--json", config=config))
    assert (dry["dry_run"], dry["rows"], dry["changed"]) == (True, 3, 3)
    assert (dry["before_usd"], dry["after_usd"]) == ("0.003", "0.0072")
    assert set(stored(config.parent, usage_records.c.cost_pico)) == {10**9}
    assert stored(config.parent, audit_log.c.action) == []
    lines = [line.split("\t") for line in out(*asked, "--apply", config=config).splitlines()]
    assert lines[0] == ["model", "rows", "changed", "unpriced", "before_usd", "after_usd"]
    assert [line[0] for line in lines[1:]] == ["assistant", "total"]
    assert lines[2][1:] == ["3", "3", "0", "0.003", "0.0072"]
    assert set(stored(config.parent, usage_records.c.cost_pico)) == {24 * 10**8}
    assert stored(config.parent, audit_log.c.actor_id) == ["cli"]


def test_a_period_that_is_none_is_a_failure(config: Path) -> None:
    ran = run("reprice", "--since", "2026-11-25", "--until", "2026-11-24", config=config)
    assert isinstance(ran.exception, CommandError)


def invoice(directory: Path, text: str) -> str:
    path = directory / "invoice.csv"
    path.write_text(text)
    return str(path)


def test_an_invoice_that_agrees_ends_with_0(config: Path) -> None:
    file = invoice(
        config.parent, "date,model,input_tokens,output_tokens,cost_usd\n2026-11-24,mine-2026,3000,300,0.004\n"
    )
    asked = ("reconcile", file, "--target", "openai/mine", "--since", "2026-11-24", "--until", "2026-11-25")
    lines = [line.split("\t") for line in out(*asked, config=config).splitlines()]
    assert lines[1] == [
        "2026-11-24",
        "mine-2026",
        "match",
        "3000",
        "3000",
        "0",
        "300",
        "300",
        "0",
        "0.004",
        "0.003",
        "0.001",
    ]
    assert lines[2][:3] == ["2026-11-24 to 2026-11-24", "total", ""]


def test_an_invoice_that_does_not_agree_ends_with_1_and_says_where(config: Path) -> None:
    file = invoice(config.parent, "When,Which,Net\n2026-11-24,Mine,0.004\n2026-11-23,Mine,1\n")
    asked = ["reconcile", file, "--since", "2026-11-24", "--until", "2026-11-25", "--json", "--tolerance", "0.0001"]
    asked += ["--column", "day=When", "--column", "model=Which", "--column", "cost=Net", "--model", "Mine=mine-2026"]
    ran = run(*asked, config=config)
    assert ran.exit_code == 1
    told = json.loads(ran.stdout)
    assert (told["agrees"], told["left_out"]) == (False, 1)
    assert told["lines"] == [
        {
            "day": "2026-11-24",
            "model": "mine-2026",
            "verdict": "differs",
            "theirs": {"cost_usd": "0.004"},
            "ours": {"cost_usd": "0.003"},
            "difference": {"cost_usd": "0.001"},
        }
    ]


@pytest.mark.parametrize(
    ("text", "options", "error", "reason"),
    [
        ("date,model,cost\n2026-11-24,m,free\n", [], CommandError, "invoice.csv: line 2: 'free'"),
        (None, [], CommandError, "cannot be read"),
        ("date,model,cost\n", ["--tolerance", "NaN"], UsageError, "--tolerance"),
        ("date,model,cost\n", ["--column", "cost"], UsageError, "--column"),
    ],
)
def test_what_cannot_be_compared_is_said(
    config: Path, text: str | None, options: list[str], error: type[Exception], reason: str
) -> None:
    file = str(config.parent / "nowhere.csv") if text is None else invoice(config.parent, text)
    ran = run("reconcile", file, "--since", "7d", *options, config=config)
    assert type(ran.exception) is error
    assert reason in str(ran.exception)
