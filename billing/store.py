"""Writes usage entries to SQL, their sums with them, so that writing one again changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import TextClause, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DataError, DBAPIError, StatementError
from sqlalchemy.ext.asyncio import AsyncEngine

from billing import rollup
from billing.entry import UsageEntry
from billing.tables import to_micros, usage_records

_REFUSALS = ("22", "54")  # PostgreSQL's classes of errors: wrong data, and more than it can hold


class UsageStore:
    """The table `usage_records` of one database, SQLite (3.35 or later) or PostgreSQL."""

    def __init__(self, db: AsyncEngine, *, timeout: float = 10.0) -> None:
        self._db = db
        self._timeout = timeout  # seconds a transaction may take; a frozen database must not hang the ledger
        self._insert = _insert_ignoring_known(db.dialect.name)

    async def write(self, entries: Sequence[UsageEntry]) -> None:
        """Store all of them or none, in one transaction; entries whose `id` is known are left as they are.

        Raises what the driver raises (SQLAlchemyError, OSError), OverflowError for a number beyond 64 bits,
        TimeoutError when it takes too long.
        """
        rows: dict[str, dict[str, Any]] = {}
        for entry in entries:
            rows.setdefault(entry.id, entry.row())
        if not rows:
            return
        # In one order everywhere: replicas that store the same entries wait for each other, and not in a ring.
        lines = msgspec.json.encode([_line(rows[name]) for name in sorted(rows)]).decode()
        async with asyncio.timeout(self._timeout), self._db.begin() as connection:
            new = (await connection.execute(self._insert, {"lines": lines})).scalars().all()
            await rollup.add(connection, [rollup.booked(rows[name]) for name in new])


_COLUMNS = tuple(usage_records.columns)
_NAMES = ", ".join(f'"{column.name}"' for column in _COLUMNS)
_AT, _TAGS = (next(i for i, column in enumerate(_COLUMNS) if column.name == name) for name in ("at", "tags"))
_values: Callable[[Mapping[str, Any]], tuple[Any, ...]] = itemgetter(*(column.name for column in _COLUMNS))
_BIG = 2**63


def _line(row: Mapping[str, Any]) -> list[Any]:
    """The row's values in the order of the table, as JSON has them."""
    line = list(_values(row))
    line[_AT] = to_micros(row["at"])
    line[_TAGS] = msgspec.json.encode(row["tags"]).decode() if row["tags"] else "{}"
    numbers = [value for value in line if type(value) is int]
    if max(numbers) >= _BIG or min(numbers) < -_BIG:
        raise OverflowError("a number of a usage record is too large for 64 bits")  # SQLite would make it a float
    return line


def _insert_ignoring_known(dialect: str) -> TextClause:
    """One statement with one parameter for all rows: as many values of its own would cost more than all the rest."""
    if dialect == "sqlite":
        values = ", ".join(f"json_extract(line.value, '$[{index}]')" for index in range(len(_COLUMNS)))
        lines = "json_each(:lines) AS line"
    elif dialect == "postgresql":
        ours = postgresql.dialect()  # type: ignore[no-untyped-call]
        types = [column.type.compile(ours) for column in _COLUMNS]
        values = ", ".join(f"CAST(line ->> {index} AS {type_})" for index, type_ in enumerate(types))
        lines = "jsonb_array_elements(CAST(:lines AS jsonb)) AS line"
    else:
        raise ValueError(f"the ledger stores in sqlite or postgresql, not in {dialect}")
    return text(
        f"INSERT INTO usage_records ({_NAMES}) SELECT {values} FROM {lines} WHERE true"  # noqa: S608
        " ON CONFLICT (id) DO NOTHING RETURNING id"
    )


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
