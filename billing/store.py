"""Writes usage entries to SQL, their sums with them, so that writing one again changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, StatementError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql.dml import ReturningInsert

from billing import rollup
from billing.entry import UsageEntry
from billing.tables import usage_records

_REFUSALS = ("22", "54")  # PostgreSQL's classes of errors: wrong data, and more than it can hold


class UsageStore:
    """The table `usage_records` of one database, SQLite (3.35 or later) or PostgreSQL."""

    def __init__(self, db: AsyncEngine, *, timeout: float = 10.0) -> None:
        self._db = db
        self._timeout = timeout  # seconds a transaction may take; a frozen database must not hang the ledger
        self._insert = _insert_ignoring_known(db.dialect.name)

    async def write(self, entries: Sequence[UsageEntry]) -> None:
        """Store all of them or none, in one transaction; entries whose `id` is known are left as they are.

        Raises what the driver raises (SQLAlchemyError, OSError), TimeoutError when it takes too long.
        """
        rows: dict[str, dict[str, Any]] = {}
        for entry in entries:
            rows.setdefault(entry.id, entry.row())
        if not rows:
            return
        # In one order everywhere: replicas that store the same entries wait for each other, and not in a ring.
        ordered = [rows[name] for name in sorted(rows)]
        async with asyncio.timeout(self._timeout), self._db.begin() as connection:
            new = (await connection.execute(self._insert, ordered)).scalars().all()
            await rollup.add(connection, [rollup.booked(rows[name]) for name in new])


def _insert_ignoring_known(dialect: str) -> ReturningInsert[str]:
    known = [usage_records.c.id]
    if dialect == "postgresql":
        return postgresql.insert(usage_records).on_conflict_do_nothing(index_elements=known).returning(*known)
    if dialect == "sqlite":
        return sqlite.insert(usage_records).on_conflict_do_nothing(index_elements=known).returning(*known)
    raise ValueError(f"the ledger stores in sqlite or postgresql, not in {dialect}")


def is_refusal(error: BaseException) -> bool:
    """Whether the database refuses the values themselves, so that it would refuse them again.

    Not so a database that is away or ill, nor a broken constraint: that may be a schema of another version, which
    would refuse every row.
    """
    if isinstance(error, DBAPIError):
        code = getattr(error.orig, "sqlstate", None)
        return isinstance(error, DataError) or (code is not None and code.startswith(_REFUSALS))
    return isinstance(error, (StatementError, OverflowError, ValueError))


def describe(error: BaseException) -> str:
    """What went wrong, without the statement's values: those hold names of keys, users and tags."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return f"{type(error).__name__} ({type(error.orig).__name__})"
    if isinstance(error, OSError):
        return f"{type(error).__name__}: {error.strerror or error}"
    return type(error).__name__
