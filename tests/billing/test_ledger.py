"""The ledger makes one row of every record, whatever the database does."""

from __future__ import annotations

import json
from pathlib import Path

from billkit import NOON, entry
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.journal import Journal
from billing.ledger import Ledger
from billing.tables import usage_records


async def test_a_record_becomes_a_row_with_every_field(db: AsyncEngine, tmp_path: Path) -> None:
    ledger = Ledger(Journal(tmp_path / "journal"), db)
    await ledger.start()
    ledger.record(entry(7))
    await ledger.flush()
    async with db.connect() as connection:
        row = (await connection.execute(select(usage_records))).one()._asdict()
    assert json.loads(row.pop("price")) == {"input": "1.25", "output": "10"}
    assert row == {
        "id": f"{7:032d}",
        "request_id": f"req-{7:032d}",
        "at": NOON,
        "key_id": "key-1",
        "key_name": "web shop",
        "team": "search",
        "user": "ann",
        "model": "assistant",
        "requested_model": "assistant",
        "target": "engine/smollm2-135m",
        "served_model": "smollm2-135m",
        "endpoint": "chat/completions",
        "stream": True,
        "status": 200,
        "outcome": "ok",
        "input_tokens": 120,
        "cached_input_tokens": 20,
        "output_tokens": 30,
        "reasoning_tokens": 0,
        "compute_us": 1_500,
        "estimated": False,
        "cost_pico": 412_500_000,
        "tags": {"feature": "search"},
        "duration_ms": 812.5,
        "first_token_ms": 90.25,
        "attempts": 1,
    }
    await ledger.close()
