"""One way to open the database, and to bring its schema up to date."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

SQLITE_BUSY_MS = 5_000
WAL_ATTEMPTS = 50
MIGRATION_BUSY_MS = 600_000  # another process may be at it, over millions of rows
CONNECT_SECONDS = 5.0
# Replicas that start together must not migrate together. Any fixed number will do.
_MIGRATION_LOCK = 0x51_1C_E6_A7


class DatabaseConfigError(Exception):
    """The storage URL cannot be used; the message says why, without its password."""


def open_database(url: str) -> AsyncEngine:
    """An engine for `sqlite+aiosqlite://…` or `postgresql+asyncpg://…`. Raises DatabaseConfigError."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise DatabaseConfigError("storage.url is not a database URL") from None
    if parsed.drivername == "sqlite+aiosqlite":
        if parsed.database and parsed.database != ":memory:":
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_async_engine(parsed, hide_parameters=True)
        event.listen(engine.sync_engine, "connect", _tune_sqlite)
        return engine
    if parsed.drivername == "postgresql+asyncpg":
        try:
            return create_async_engine(
                parsed,
                hide_parameters=True,  # values must not reach an error text
                pool_size=5,
                max_overflow=5,
                pool_pre_ping=True,
                connect_args={"timeout": CONNECT_SECONDS},
            )
        except ModuleNotFoundError:
            raise DatabaseConfigError("PostgreSQL needs the extra: pip install 'sluicegate[postgres]'") from None
    raise DatabaseConfigError(
        f"storage.url has the driver {parsed.drivername!r}; known are sqlite+aiosqlite and postgresql+asyncpg"
    )


def _tune_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={SQLITE_BUSY_MS}", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    _write_ahead(connection, cursor)
    cursor.close()


def _write_ahead(connection: DBAPIConnection, cursor: DBAPICursor) -> None:
    """Turn on the write-ahead log. SQLite does not wait here for another process that is at it: so we do."""
    for attempt in range(WAL_ATTEMPTS):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if attempt + 1 == WAL_ATTEMPTS:
                raise
            connection.run_async(lambda _: asyncio.sleep(SQLITE_BUSY_MS / 1e3 / WAL_ATTEMPTS))
        else:
            return


async def migrate(engine: AsyncEngine, revision: str = "head") -> None:
    """Bring the schema to `revision`. Safe to call from several replicas at once."""
    async with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            # Its driver begins no transaction before DDL: a migration that breaks off would stay half done, and another
            # process could come between.
            await connection.exec_driver_sql(f"PRAGMA busy_timeout={MIGRATION_BUSY_MS}")
            await connection.exec_driver_sql("BEGIN IMMEDIATE")
        if engine.dialect.name == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        await connection.run_sync(_upgrade, revision)


def _upgrade(connection: Connection, revision: str) -> None:
    # Alembic is only needed here, and is slow to import.
    from alembic import command

    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def alembic_config() -> Any:
    """Alembic's settings; the scripts are found where the package is, in a checkout or a wheel alike."""
    from alembic.config import Config

    import migrations
    from gateway.storage.tables import ALL_METADATA

    config = Config()
    config.attributes["metadata"] = ALL_METADATA
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    return config


async def ping(engine: AsyncEngine) -> None:
    """One round trip. Raises what the driver raises."""
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
