"""What routing by difficulty saved, from rows of a real ledger in both databases, and the command that tells it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from billing.cost import cost
from billing.entry import UsageEntry
from billing.money import display
from billing.prices import Price
from billing.store import UsageStore
from billing.usage import Usage
from gateway.cli.common import UsageError
from gateway.cli.difficulty import app
from gateway.config import load_config
from gateway.routing.difficulty import Decision, Tier
from gateway.routing.difficulty.report import savings, tier_targets
from gateway.storage.database import migrate, open_database

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DAY = NOON.replace(hour=0), NOON.replace(hour=0) + timedelta(days=1)
TARGETS = {"smart": {Tier.SIMPLE: "small", Tier.MEDIUM: "middle", Tier.HARD: "large"}}
PRICES = {
    "small": Price(input=Decimal("0.1"), output=Decimal("0.4")),
    "middle": Price(input=Decimal("1"), output=Decimal("3")),
    "large": Price(input=Decimal("5"), cached_input=Decimal("0.5"), output=Decimal("25")),
}
CONFIG = """
storage: {{url: "sqlite+aiosqlite:///{directory}/house.db"}}
server: {{state_dir: {directory}/state}}
models:
  - {{name: smart, routing: difficulty, difficulty: {{simple: small, medium: middle, hard: large}}}}
  - {{name: small, targets: [{{name: small, provider: openai, model: s, base_url: "http://127.0.0.1:9/v1",
      price: {{input: "0.1", output: "0.4"}}}}]}}
  - {{name: middle, targets: [{{name: middle, provider: openai, model: m, base_url: "http://127.0.0.1:9/v1",
      price: {{input: "1", output: "3"}}}}]}}
  - {{name: large, targets: [{{name: large, provider: openai, model: l, base_url: "http://127.0.0.1:9/v1",
      price: {{input: "5", cached_input: "0.5", output: "25"}}}}, {{name: spare, provider: openai, model: x,
      base_url: "http://127.0.0.1:9/v1", price: {{input: "9", output: "9"}}}}]}}
  - {{name: other, routing: difficulty, difficulty: {{simple: small, medium: small, hard: middle}}}}
"""


def entry(number: int, decision: Decision | None, **changes: Any) -> UsageEntry:
    """A request of `smart` that the decision's tier served, billed at its price."""
    usage = changes.pop("usage", Usage(input_tokens=1_000, output_tokens=100))
    target = changes.pop("target", TARGETS["smart"][decision.serving] if decision else "large")
    fields: dict[str, Any] = {
        "id": f"{number:032d}",
        "request_id": f"req-{number}",
        "at": NOON + timedelta(minutes=number),
        "key_id": "key_1",
        "key_name": "shop",
        "model": target,
        "requested_model": "smart",
        "target": target,
        "endpoint": "chat/completions",
        "status": 200,
        "outcome": "ok",
        "usage": usage,
        "cost": cost(usage, PRICES[target]) if target in PRICES else Decimal("0.5"),
        "tags": {"feature": "search", **(decision.tags() if decision else {})},
    }
    return UsageEntry(**(fields | changes))


def price_of(target: str, at: datetime) -> Price | None:
    return PRICES.get(target)


@pytest.fixture
async def database(database_url: str, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    (tmp_path / "a folder").mkdir()
    opened = open_database(database_url)
    await migrate(opened)
    yield opened
    await opened.dispose()


async def told(database: AsyncEngine, *entries: UsageEntry, page_rows: int = 500, prices: Any = price_of) -> Any:
    await UsageStore(database).write(list(entries))
    return (await savings(database, TARGETS, prices, *DAY, page_rows=page_rows))["smart"].shown()


async def test_each_tier_is_held_against_the_same_usage_at_the_hard_price(database: AsyncEngine) -> None:
    cached = Usage(input_tokens=2_000, cached_input_tokens=1_500, output_tokens=300)
    entries = [
        entry(1, Decision(Tier.SIMPLE, 0.1)),
        entry(2, Decision(Tier.SIMPLE, 0.2), usage=cached),
        entry(3, Decision(Tier.MEDIUM, 0.5)),
        entry(4, Decision(Tier.HARD, 0.9)),
    ]
    shown = await told(database, *entries, page_rows=2)
    simple, medium, hard = shown["routed"]
    # 1,000 and 100 tokens: 0.00014 at the small model, 0.0075 at the large one; 0.0013 at the middle one.
    assert simple == {
        "tier": "simple",
        "requests": 2,
        "unpriced": 0,
        "input_tokens": 3_000,
        "output_tokens": 400,
        "billed_usd": "0.00046",
        "at_hard_usd": "0.01825",
        "saved_usd": "0.01779",
    }
    assert (medium["billed_usd"], medium["saved_usd"]) == ("0.0013", "0.0062")
    assert (hard["billed_usd"], hard["at_hard_usd"], hard["saved_usd"]) == ("0.0075", "0.0075", "0")
    assert shown["saved_usd"] == "0.02399"
    assert [line["requests"] for line in shown["watched"]] == [0, 0, 0]


async def test_what_was_watched_tells_what_routing_would_have_saved(database: AsyncEngine) -> None:
    shown = await told(
        database,
        entry(1, Decision(Tier.SIMPLE, 0.1, shadow=Tier.HARD)),
        entry(2, Decision(Tier.HARD, 0.9, shadow=Tier.HARD)),
        entry(3, Decision(Tier.HARD, 0.9, shadow=Tier.SIMPLE)),
    )
    simple, _, hard = shown["watched"]
    assert (simple["billed_usd"], simple["at_tier_usd"], simple["would_save_usd"]) == ("0.0075", "0.00014", "0.00736")
    assert (hard["requests"], hard["would_save_usd"]) == (2, "-0.00736")
    assert (shown["would_save_usd"], shown["saved_usd"]) == ("0", "0")


async def test_a_fallback_within_the_hard_tier_is_no_loss_of_the_routing(database: AsyncEngine) -> None:
    shown = await told(database, entry(1, Decision(Tier.HARD, 0.9), target="spare"))
    assert (shown["routed"][2]["billed_usd"], shown["saved_usd"]) == ("0.5", "0")


async def test_what_cannot_be_compared_is_counted_apart(database: AsyncEngine) -> None:
    shown = await told(
        database,
        entry(1, None),
        entry(2, None, tags={"sluicegate.difficulty": "easy"}),
        entry(3, Decision(Tier.SIMPLE, 0.1), at=NOON - timedelta(days=2)),
        entry(4, Decision(Tier.SIMPLE, 0.1), requested_model="other"),
        entry(5, Decision(Tier.SIMPLE, 0.1)),
        prices=lambda target, at: None,
    )
    assert shown["undecided"] == 2
    assert {key: shown["routed"][0][key] for key in ("requests", "unpriced", "billed_usd", "saved_usd")} == {
        "requests": 1,
        "unpriced": 1,
        "billed_usd": "0",
        "saved_usd": "0",
    }


async def test_the_price_is_that_of_when_the_request_came_in(database: AsyncEngine) -> None:
    def prices(target: str, at: datetime) -> Price | None:
        return PRICES["large"] if at < NOON + timedelta(minutes=2) else PRICES["middle"]

    shown = await told(
        database, entry(1, Decision(Tier.SIMPLE, 0.1)), entry(3, Decision(Tier.SIMPLE, 0.1)), prices=prices
    )
    assert shown["routed"][0]["at_hard_usd"] == display(Decimal("0.0075") + Decimal("0.0013"))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose ledger holds one routed request, one watched and one undecided."""
    path = tmp_path / "gate.yaml"
    path.write_text(CONFIG.format(directory=tmp_path))

    async def fill() -> None:
        opened = open_database(f"sqlite+aiosqlite:///{tmp_path}/house.db")
        await migrate(opened)
        watched = Decision(Tier.MEDIUM, 0.5, shadow=Tier.HARD)
        await UsageStore(opened).write([entry(1, Decision(Tier.SIMPLE, 0.1)), entry(2, watched), entry(3, None)])
        await opened.dispose()

    asyncio.run(fill())
    return path


def test_a_tiers_price_is_its_models_first_target(config: Path) -> None:
    found = tier_targets(load_config(config, {}))
    assert found["smart"] == {Tier.SIMPLE: "small", Tier.MEDIUM: "middle", Tier.HARD: "large"}
    assert found["other"][Tier.HARD] == "middle"


def test_the_report_is_told_as_a_table_and_as_json(config: Path) -> None:
    words = ["report", "--config", str(config), "--since", "2026-11-24", "--until", "2026-11-25"]
    shown = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)["models"]
    assert [(model["model"], model["saved_usd"], model["would_save_usd"]) for model in shown] == [
        ("smart", "0.00736", "0.0062"),
        ("other", "0", "0"),
    ]
    ran = CliRunner().invoke(app, words)
    lines = [line.split("\t") for line in ran.stdout.splitlines()]
    assert lines[0][:4] == ["model", "", "tier", "requests"]
    assert lines[1] == ["smart", "routed", "simple", "1", "0", "1000", "100", "0.00014", "0.0075", "0.00736"]
    assert lines[2] == ["smart", "watched", "medium", "1", "0", "1000", "100", "0.0075", "0.0013", "0.0062"]
    assert lines[3] == ["smart", "saved", *[""] * 7, "0.00736"]
    assert "smart: 1 requests have no decision" in ran.stderr


def test_a_configuration_without_such_a_model_has_no_report(tmp_path: Path) -> None:
    path = tmp_path / "gate.yaml"
    path.write_text('models: [{name: a, targets: [{provider: openai, model: m, base_url: "http://127.0.0.1:9/v1"}]}]')
    error = CliRunner().invoke(app, ["report", "--config", str(path)]).exception
    assert isinstance(error, UsageError)
    assert "no model with routing: difficulty" in str(error)
