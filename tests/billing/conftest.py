"""Databases for the billing tests: each test of `db` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from billing.tables import metadata


@pytest.fixture(params=["sqlite", "postgresql"])
def db_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return request.getfixturevalue("postgres_url")
    return f"sqlite+aiosqlite:///{tmp_path}/ledger.db"


@pytest.fixture
async def db(db_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on a database with the ledger's empty table."""
    async for engine in _engine(db_url):
        yield engine


@pytest.fixture
async def sqlite_db(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """The same on SQLite only, for what does not depend on the database."""
    async for engine in _engine(f"sqlite+aiosqlite:///{tmp_path}/ledger.db"):
        yield engine


async def _engine(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield engine
    await engine.dispose()
