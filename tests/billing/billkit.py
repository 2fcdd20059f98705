"""What the billing tests share: entries to record, and the rows that came of them."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.entry import UsageEntry
from billing.prices import Price
from billing.tables import usage_records
from billing.usage import Usage

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def entry(number: int | None = None, **changes: Any) -> UsageEntry:
    """An entry like the gate's own; `number` makes its id readable."""
    name = uuid4().hex if number is None else f"{number:032d}"
    fields: dict[str, Any] = {
        "id": name,
        "request_id": f"req-{name}",
        "at": NOON,
        "key_id": "key-1",
        "key_name": "web shop",
        "team": "search",
        "user": "ann",
        "key_user": "ann",
        "model": "assistant",
        "requested_model": "assistant",
        "target": "engine/smollm2-135m",
        "served_model": "smollm2-135m",
        "endpoint": "chat/completions",
        "stream": True,
        "status": 200,
        "outcome": "ok",
        "usage": Usage(input_tokens=120, cached_input_tokens=20, output_tokens=30, compute_us=1_500),
        "cost": Decimal("0.0004125"),
        "price": Price(input=Decimal("1.25"), output=Decimal("10")),
        "tags": {"feature": "search"},
        "duration_ms": 812.5,
        "first_token_ms": 90.25,
        "attempts": 1,
    }
    return UsageEntry(**(fields | changes))


async def ids_in(db: AsyncEngine) -> list[str]:
    """The ids of all rows, sorted; an id twice would be there twice."""
    async with db.connect() as connection:
        return list((await connection.scalars(select(usage_records.c.id).order_by("id"))).all())


def journal_files(root: Path) -> list[Path]:
    """Journal files below `root`, in the directories of all processes."""
    return sorted(root.glob("*/*.journal"))


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """The kernel takes no byte past `size` in any file: what a full disk does, for this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
