"""Writes usage entries to SQL so that writing one again changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sqlalchemy import Insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.entry import UsageEntry
from billing.tables import usage_records


class UsageStore:
    """The table `usage_records` of one database, SQLite or PostgreSQL."""

    def __init__(self, db: AsyncEngine, *, timeout: float = 10.0) -> None:
        self._db = db
        self._timeout = timeout  # seconds a transaction may take; a frozen database must not hang the ledger
        self._insert = _insert_ignoring_known(db.dialect.name)

    async def write(self, entries: Sequence[UsageEntry]) -> None:
        """Store all of them or none, in one transaction; entries whose `id` is known are left as they are.

        Raises what the driver raises (SQLAlchemyError, OSError), TimeoutError when it takes too long.
        """
        if not entries:
            return
        rows = [entry.row() for entry in entries]
        async with asyncio.timeout(self._timeout), self._db.begin() as connection:
            await connection.execute(self._insert, rows)


def _insert_ignoring_known(dialect: str) -> Insert:
    if dialect == "postgresql":
        return postgresql.insert(usage_records).on_conflict_do_nothing(index_elements=["id"])
    if dialect == "sqlite":
        return sqlite.insert(usage_records).on_conflict_do_nothing(index_elements=["id"])
    raise ValueError(f"the ledger stores in sqlite or postgresql, not in {dialect}")


def describe(error: BaseException) -> str:
    """What went wrong, without the statement's values: those hold names of keys, users and tags."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return f"{type(error).__name__} ({type(error.orig).__name__})"
    if isinstance(error, OSError):
        return f"{type(error).__name__}: {error.strerror or error}"
    return type(error).__name__
