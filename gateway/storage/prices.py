"""Prices set while the gate runs, in the database. Rows are only ever added: a correction is a later row.

What they mean for a target is `billing.pricebook`'s affair.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from billing.pricebook import Override
from billing.prices import Price
from billing.tables import model_prices
from gateway.storage.audit import Actor, Change, write_audit
from gateway.storage.rows import insert_if_new

STORAGE_SECONDS = 8.0  # longer than SQLite waits for another writer


class PriceConflict(Exception):
    """Another price already begins at that instant under that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPrice(Override):
    """An override as it is stored. `created_by` is the id of the key that set it."""

    id: str
    created_at: datetime
    created_by: str


class PriceRepository:
    """Every method raises what the driver raises, and TimeoutError when the database does not answer."""

    def __init__(self, database: AsyncEngine) -> None:
        self._database = database

    async def list(self) -> list[StoredPrice]:
        """All of them, by the instant from which they hold."""
        query = select(model_prices).order_by(model_prices.c.effective_at, model_prices.c.name)
        async with asyncio.timeout(STORAGE_SECONDS), self._database.connect() as connection:
            return [_stored(row) for row in await connection.execute(query)]

    async def version(self) -> int:
        """A number that grows with each change of the list: because rows are only added, how many there are."""
        async with asyncio.timeout(STORAGE_SECONDS), self._database.connect() as connection:
            return int(await connection.scalar(select(func.count()).select_from(model_prices)) or 0)

    async def set(self, name: str, price: Price, effective_at: datetime, actor: Actor, now: datetime) -> StoredPrice:
        """Let `price` hold for `name` from `effective_at` (aware) on, past or future, until the next one does.

        The same price at the same instant again changes nothing and gives back the first. Raises PriceConflict for
        another one.
        """
        stored = StoredPrice(
            id="price_" + secrets.token_hex(12),
            name=name,
            effective_at=effective_at,
            price=price,
            created_at=now,
            created_by=actor.id,
        )
        async with self._transaction() as connection:
            if await insert_if_new(connection, model_prices, _values(stored)):
                before = await _latest(connection, name, before=effective_at)
                after = _described(stored)
                change = Change("price.set", name, None if before is None else _described(before), after)
                await write_audit(connection, actor, change, now)
                return stored
            first = await _at(connection, name, effective_at)
        if first.price != price:
            raise PriceConflict(f"another price of {name} already begins at {effective_at.isoformat()}")
        return first

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        async with asyncio.timeout(STORAGE_SECONDS), self._database.begin() as connection:
            yield connection


async def _latest(connection: AsyncConnection, name: str, *, before: datetime) -> StoredPrice | None:
    prices = model_prices.c
    query = select(model_prices).where(prices.name == name, prices.effective_at < before)
    row = (await connection.execute(query.order_by(prices.effective_at.desc()).limit(1))).one_or_none()
    return None if row is None else _stored(row)


async def _at(connection: AsyncConnection, name: str, instant: datetime) -> StoredPrice:
    prices = model_prices.c
    query = select(model_prices).where(prices.name == name, prices.effective_at == instant)
    return _stored((await connection.execute(query)).one())


def _values(stored: StoredPrice) -> dict[str, Any]:
    return {
        "id": stored.id,
        "name": stored.name,
        "effective_at": stored.effective_at,
        "price": json.dumps(stored.price.snapshot()),
        "created_at": stored.created_at,
        "created_by": stored.created_by,
    }


def _stored(row: Row[Any]) -> StoredPrice:
    fields = dict(row._mapping)
    return StoredPrice(**{**fields, "price": Price.parse(json.loads(fields["price"]))})


def _described(stored: StoredPrice) -> dict[str, Any]:
    return {"effective_at": stored.effective_at.isoformat(), "price": stored.price.snapshot()}
