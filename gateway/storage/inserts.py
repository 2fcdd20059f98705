"""An insert that leaves a known row alone, which the two databases say alike but SQLAlchemy does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection


async def insert_if_new(connection: AsyncConnection, table: Table, values: Mapping[str, Any]) -> bool:
    """Whether the row was new. A row of the same primary key in a transaction still open is waited for."""
    dialect = connection.dialect.name
    insert = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    result = await connection.execute(insert.values(values).on_conflict_do_nothing())
    return result.rowcount == 1
