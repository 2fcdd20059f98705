"""The schema: made by migrations alone, the same on both databases, there and back."""

from __future__ import annotations

import asyncio

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect

from gateway.storage.database import DatabaseConfigError, alembic_config, migrate, open_database
from gateway.storage.tables import ALL_METADATA


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"target_metadata": ALL_METADATA, "compare_type": True})
    return list(compare_metadata(context, ALL_METADATA))


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names()) - {"alembic_version"}


def downgrade(connection: Connection) -> None:
    config = alembic_config()
    config.attributes["connection"] = connection
    command.downgrade(config, "base")


async def test_migrations_make_exactly_the_tables_the_code_uses(database_url: str) -> None:
    database = open_database(database_url)
    await migrate(database)
    async with database.connect() as connection:
        assert await connection.run_sync(differences) == []
        assert await connection.run_sync(tables) == {"api_keys", "usage_records"}
    await database.dispose()


async def test_migrations_go_back_and_forth(database_url: str) -> None:
    database = open_database(database_url)
    for _ in range(2):
        await migrate(database)
        async with database.begin() as connection:
            await connection.run_sync(downgrade)
            assert await connection.run_sync(tables) == set()
    await database.dispose()


async def test_replicas_that_start_together_migrate_once(postgres_url: str) -> None:
    replicas = [open_database(postgres_url) for _ in range(4)]
    await asyncio.gather(*(migrate(replica) for replica in replicas))
    async with replicas[0].connect() as connection:
        assert await connection.run_sync(differences) == []
    for replica in replicas:
        await replica.dispose()


@pytest.mark.parametrize("database_url", ["nonsense", "mysql://u:secret@h/d", "postgresql://u:secret@h/d", ""])
def test_a_url_that_cannot_be_used_is_refused_without_its_password(database_url: str) -> None:
    with pytest.raises(DatabaseConfigError) as refused:
        open_database(database_url)
    assert "secret" not in str(refused.value)
