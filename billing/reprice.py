"""Computes the cost of past requests anew, at the prices that are known now for when they came in.

A page of rows is changed in one transaction, with its sums and price snapshots. So the work may be cut off anywhere
and begun again: what is right already is left as it is. To note who asked for it is the caller's affair.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, Select, bindparam, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing import rollup
from billing.cost import cost
from billing.money import MoneyError, display, from_pico, to_pico
from billing.prices import Price
from billing.tables import usage_records
from billing.usage import Usage

PAGE_ROWS = 500

PriceOf = Callable[[str, datetime], Price | None]

_USAGE = Usage.__struct_fields__
_COLUMNS = [
    usage_records.c[name]
    for name in (
        *(
            "id",
            "at",
            "key_id",
            "key_name",
            "team",
            "user",
            "key_user",
            "model",
            "target",
            "endpoint",
            "tags",
            "cost_pico",
            "price",
        ),
        *_USAGE,
    )
]
_UPDATE = (
    update(usage_records)
    .where(usage_records.c.id == bindparam("row_id"))
    .values(cost_pico=bindparam("new_cost"), price=bindparam("new_price"))
)


class RepriceError(ValueError):
    """A period that cannot be priced anew; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Rows from `since` (included) to `until` (not included), both aware; of one model, target or key if given."""

    since: datetime
    until: datetime
    model: str | None = None
    target: str | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        if self.since.tzinfo is None or self.until.tzinfo is None:
            raise RepriceError("since and until need a time zone")
        if self.since >= self.until:
            raise RepriceError("since must be before until")


@dataclass(slots=True)
class Change:
    """What came of some rows: `changed` ones get another cost or price. Costs are pico-dollars, of all rows.

    `unpriced` rows had no target, or one that no price is known for; they stay as they are.
    """

    rows: int = 0
    changed: int = 0
    unpriced: int = 0
    before_pico: int = 0
    after_pico: int = 0

    def shown(self) -> dict[str, Any]:
        """JSON-able; costs as exact decimal strings of USD."""
        return {
            "rows": self.rows,
            "changed": self.changed,
            "unpriced": self.unpriced,
            "before_usd": display(from_pico(self.before_pico)),
            "after_usd": display(from_pico(self.after_pico)),
        }


@dataclass(slots=True)
class Repricing:
    """The whole, and each model by itself ("" for rows that no model answered)."""

    total: Change = field(default_factory=Change)
    models: dict[str, Change] = field(default_factory=lambda: defaultdict(Change))

    def shown(self) -> dict[str, Any]:
        """JSON-able: `Change.shown` of the whole, and `models`, a list sorted by `model`."""
        models = [{"model": name or None, **change.shown()} for name, change in sorted(self.models.items())]
        return {**self.total.shown(), "models": models}


async def reprice(
    db: AsyncEngine, selection: Selection, price_of: PriceOf, *, apply: bool, page_rows: int = PAGE_ROWS
) -> Repricing:
    """Price the rows of `selection` anew by `price_of(target, at)`; without `apply` only tell what would change.

    Raises RepriceError for a cost that no row can hold (pages before that row are changed by then).
    """
    done = Repricing()
    query = _query(selection).limit(page_rows)
    page = query
    while True:
        async with db.begin() as connection:
            if apply and db.dialect.name == "sqlite":
                await connection.exec_driver_sql("BEGIN IMMEDIATE")  # or what is read here could be stale when written
            rows = (await connection.execute(page.with_for_update() if apply else page)).all()
            changes = [new for row in rows if (new := _repriced(row, price_of, done)) is not None]
            if apply and changes:
                await _write(connection, changes)
        if len(rows) < page_rows:
            return done
        page = query.where(tuple_(usage_records.c.at, usage_records.c.id) > (rows[-1].at, rows[-1].id))


def _query(selection: Selection) -> Select[Any]:
    columns = usage_records.c
    query = select(*_COLUMNS).where(columns.at >= selection.since, columns.at < selection.until)
    for column, wanted in (
        (columns.model, selection.model),
        (columns.target, selection.target),
        (columns.key_id, selection.key),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    return query.order_by(columns.at, columns.id)


@dataclass(frozen=True, slots=True)
class _New:
    row: Row[Any]
    cost_pico: int
    price: str


def _repriced(row: Row[Any], price_of: PriceOf, done: Repricing) -> _New | None:
    """Count the row; the new cost and price if one of them is another."""
    price = None if row.target is None else price_of(row.target, row.at)
    new = None
    if price is not None:
        usage = Usage(**{name: getattr(row, name) for name in _USAGE})
        try:
            new = _New(row, to_pico(cost(usage, price)), msgspec.json.encode(price.snapshot()).decode())
        except MoneyError as error:
            raise RepriceError(f"the request {row.id}: {error}") from None
        if (new.cost_pico, new.price) == (row.cost_pico, row.price):
            new = None
    for change in (done.total, done.models[row.model or ""]):
        change.rows += 1
        change.changed += new is not None
        change.unpriced += price is None
        change.before_pico += row.cost_pico
        change.after_pico += row.cost_pico if new is None else new.cost_pico
    return new


async def _write(connection: AsyncConnection, changes: list[_New]) -> None:
    values = [{"row_id": new.row.id, "new_cost": new.cost_pico, "new_price": new.price} for new in changes]
    await connection.execute(_UPDATE, values)
    await rollup.add(
        connection,
        [rollup.Booking(new.row._asdict(), 0, 0, 0, 0, new.cost_pico - new.row.cost_pico) for new in changes],
    )
