"""Single rows of the ledger, page by page, for whoever wants them all: an export, a person who checks a bill."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.money import display, from_pico
from billing.tables import usage_records

PAGE_ROWS = 1_000
Position = tuple[datetime, str]  # a row's `at` and `id`

# Plain strings: SQLAlchemy's own kind is no key to every JSON encoder.
COLUMNS = ["cost_usd" if column.name == "cost_pico" else str(column.name) for column in usage_records.c]

# What spreadsheets take for the beginning of a formula, in a cell that somebody else wrote.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


async def page(
    db: AsyncEngine, since: datetime, until: datetime, *, after: Position | None = None, limit: int = PAGE_ROWS
) -> list[dict[str, Any]]:
    """Rows from `since` (included) to `until` (not included), both aware, in the order of `at` and `id`.

    From behind `after` on, at most `limit`. A row has `COLUMNS`: those of `usage_records`, but with `cost_usd` (an
    exact decimal string) for the cost, and `price` and `tags` as objects.
    """
    columns = usage_records.c
    query = select(usage_records).where(columns.at >= since, columns.at < until)
    if after is not None:
        query = query.where(tuple_(columns.at, columns.id) > after)
    async with db.connect() as connection:
        return [_shown(row) for row in await connection.execute(query.order_by(columns.at, columns.id).limit(limit))]


async def every(db: AsyncEngine, since: datetime, until: datetime) -> AsyncIterator[list[dict[str, Any]]]:
    """All pages one after the other; each is read when it is asked for."""
    after: Position | None = None
    while rows := await page(db, since, until, after=after):
        yield rows
        after = rows[-1]["at"], rows[-1]["id"]


def to_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, header: bool = True) -> str:
    """CSV (RFC 4180). Objects are written as JSON, instants in ISO 8601, nothing as an empty cell.

    A text that a spreadsheet would run as a formula gets a ' before it: callers write models, users and tags.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    if header:
        writer.writerow([_cell(column) for column in columns])
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return msgspec.json.encode(value).decode()
    return value


def _shown(row: Row[Any]) -> dict[str, Any]:
    values = dict(row._mapping)
    values["cost_usd"] = display(from_pico(values.pop("cost_pico")))
    if values["price"] is not None:
        values["price"] = msgspec.json.decode(values["price"])
    return {name: values[name] for name in COLUMNS}
