"""What keys, teams, users and others do alike with rows: insert what is new, lock one, list them in pages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Select, Table, or_, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection


async def insert_if_new(connection: AsyncConnection, table: Table, values: Mapping[str, Any]) -> bool:
    """Whether the row was new; one that is known is left alone.

    A row of the same primary key in a transaction still open is waited for.
    """
    # The two databases say it alike, but SQLAlchemy does not.
    dialect = connection.dialect.name
    insert = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    result = await connection.execute(insert.values(values).on_conflict_do_nothing())
    return result.rowcount == 1


async def lock_row(connection: AsyncConnection, table: Table, row_id: str) -> None:
    """Let nobody else change the row of that `id` (of a table with `version`) until the transaction ends."""
    # An update that changes nothing locks the row in PostgreSQL and takes the write lock of SQLite.
    await connection.execute(update(table).where(table.c.id == row_id).values(version=table.c.version))


def in_pages(
    query: Select[Any], table: Table, limit: int, after: tuple[datetime, str] | None, q: str | None
) -> Select[Any]:
    """`query` in the order rows were made, from behind `after` (created_at and id) on. `q` is in the name or the id."""
    columns = table.c
    query = query.order_by(columns.created_at, columns.id).limit(limit)
    if after is not None:
        query = query.where(tuple_(columns.created_at, columns.id) > after)
    if q is not None:
        query = query.where(or_(columns.name.icontains(q, autoescape=True), columns.id.icontains(q, autoescape=True)))
    return query
