"""What is known of a target beside its address: its price, how much it may say, how its tokens are counted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import orjson
import pytest
from gatekit import ScriptedUpstream, run_gate
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.prices import Price
from gateway.config import Config, load_config
from gateway.routing.catalogue import PRICES_FILE, Catalogue
from gateway.routing.prices import PriceWatch
from gateway.storage.audit import Actor
from gateway.storage.database import migrate, open_database
from gateway.storage.prices import PriceRepository
from gateway.upstreams.base import ASSUMED_CAP, CapSource, OutputCap

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TEXT = """
server: {{state_dir: {state}}}
models:
  - name: assistant
    targets:
      - {{provider: openai, model: gpt-4o-mini, api_key: x{more}}}
      - {{provider: openai, model: gpt-4o-mini, base_url: "http://localhost:9/v1", name: ours}}
      - {{engine: local}}
engine: {{models: {{local: {{path: model.gguf}}}}}}
"""


def config(directory: Path, more: str = "", tail: str = "") -> Config:
    path = directory / "sluicegate.yaml"
    path.write_text(TEXT.format(state=directory / "state", more=more) + tail)
    return load_config(path, {}, check_files=False)


def catalogue(directory: Path, more: str = "", tail: str = "") -> Catalogue:
    return Catalogue(config(directory, more, tail), {"local": 2048})


def targets(made: Catalogue) -> dict[str, OutputCap]:
    return {t.name: made.output_cap(t) for t in made._config.models[0].targets}


def own_list(path: Path, output: float) -> Path:
    entry = {
        "litellm_provider": "openai",
        "mode": "chat",
        "input_cost_per_token": 1e-6,
        "output_cost_per_token": output,
        "max_output_tokens": 77,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps({"gpt-4o-mini": entry}))
    return path


def test_openais_models_have_the_lists_price_and_what_stands_elsewhere_has_none(tmp_path: Path) -> None:
    book = catalogue(tmp_path).price_book()
    assert book.price("openai/gpt-4o-mini", NOW) == Price(
        input=Decimal("0.15"), cached_input=Decimal("0.075"), output=Decimal("0.6")
    )
    assert book.price("ours", NOW) is None
    assert book.price("engine/local", NOW) == Price.free()


def test_a_configured_price_wins_over_the_list(tmp_path: Path) -> None:
    book = catalogue(tmp_path, ', price: {input: "9", output: "9"}').price_book()
    assert book.price("openai/gpt-4o-mini", NOW) == Price(input=Decimal(9), output=Decimal(9))


def test_an_operators_list_is_used_in_place_of_the_bundled_one(tmp_path: Path) -> None:
    own_list(tmp_path / "state" / PRICES_FILE, 2e-6)
    price = catalogue(tmp_path).price_book().price("openai/gpt-4o-mini", NOW)
    assert price is not None and price.output == 2
    named = own_list(tmp_path / "mine.json", 3e-6)
    price = catalogue(tmp_path, tail=f"prices: {{file: {named}}}\n").price_book().price("openai/gpt-4o-mini", NOW)
    assert price is not None and price.output == 3


def test_how_much_an_answer_may_have(tmp_path: Path) -> None:
    assert targets(catalogue(tmp_path)) == {
        "openai/gpt-4o-mini": OutputCap(16_384, CapSource.KNOWN),
        "ours": ASSUMED_CAP,
        "engine/local": OutputCap(2048, CapSource.KNOWN),
    }
    configured = targets(catalogue(tmp_path, ", max_output_tokens: 500"))
    assert configured["openai/gpt-4o-mini"] == OutputCap(500, CapSource.CONFIGURED)


async def test_the_provider_gets_one_limit_on_output_by_the_name_it_knows(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    text = f"""
models:
  - name: assistant
    targets: [{{provider: openai, model: m, base_url: "{upstream.url}", max_output_tokens: 500}}]
"""
    call = {"model": "assistant", "messages": [{"role": "user", "content": "hi"}]}
    async with run_gate(tmp_path, text) as gate:
        both = {"max_tokens": 9, "max_completion_tokens": 100_000}
        for more in ({}, {"max_tokens": 7}, {"max_completion_tokens": 8}, both):
            assert (await gate.post({**call, **more}))[0] == 200
    sent = [(body.get("max_tokens"), body.get("max_completion_tokens")) for body in upstream.requests]
    assert sent == [(500, None), (7, None), (8, None), (9, None)]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    opened = open_database(f"sqlite+aiosqlite:///{tmp_path / 'test.db'}")
    await migrate(opened)
    yield opened
    await opened.dispose()


async def test_an_override_by_one_replica_reaches_the_others(tmp_path: Path, database: AsyncEngine) -> None:
    watches = [PriceWatch(PriceRepository(database), catalogue(tmp_path).price_book()) for _ in range(2)]
    for watch in watches:
        await watch.refresh()
    actor = Actor(id="admin", name="admin")
    await watches[0].repository.set("ours", Price(input=Decimal(4), output=Decimal(4)), NOW, actor, NOW)
    await watches[1].refresh()
    assert watches[1].book.price("ours", NOW) == Price(input=Decimal(4), output=Decimal(4))
    assert watches[1].book.price("ours", NOW - timedelta(seconds=1)) is None
