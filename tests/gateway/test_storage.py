"""The schema: made by migrations alone, the same on both databases, there and back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from billing.tables import to_micros
from gateway.storage import keys
from gateway.storage.audit import Actor
from gateway.storage.credentials import Credentials
from gateway.storage.database import DatabaseConfigError, alembic_config, migrate, open_database
from gateway.storage.tables import ALL_METADATA


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"target_metadata": ALL_METADATA, "compare_type": True})
    return list(compare_metadata(context, ALL_METADATA))


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names()) - {"alembic_version"}


def downgrade(connection: Connection, revision: str = "base") -> None:
    config = alembic_config()
    config.attributes["connection"] = connection
    command.downgrade(config, revision)


async def test_migrations_make_exactly_the_tables_the_code_uses(database_url: str) -> None:
    database = open_database(database_url)
    await migrate(database)
    async with database.connect() as connection:
        assert await connection.run_sync(differences) == []
        assert await connection.run_sync(tables) == {name for part in ALL_METADATA for name in part.tables}
    await database.dispose()


async def test_migrations_go_back_and_forth(database_url: str) -> None:
    database = open_database(database_url)
    for _ in range(2):
        await migrate(database)
        async with database.begin() as connection:
            await connection.run_sync(downgrade)
            assert await connection.run_sync(tables) == set()
    await database.dispose()


async def test_going_back_before_rotation_keeps_each_keys_newest_secret(database_url: str) -> None:
    database = open_database(database_url)
    await migrate(database)
    now, cli = datetime(2026, 5, 1, tzinfo=UTC), Actor(id="cli", name="cli")
    async with database.begin() as connection:
        one = await keys.create(connection, cli, keys.KeyFields(name="one", team="t"), "sg-first", now)
        two = await keys.create(connection, cli, keys.KeyFields(name="two"), "sg-other", now)
        await keys.rotate(connection, cli, one, "sg-second", now + timedelta(hours=1), now)
        await keys.revoke(connection, cli, two, now)
    async with database.begin() as connection:
        await connection.run_sync(downgrade, "0001")
    async with database.connect() as connection:
        columns = "id, hash, hint, name, team, revoked_at"
        rows = (await connection.execute(text(f"SELECT {columns} FROM api_keys ORDER BY name"))).all()
    revoked_at = to_micros(now)
    assert [tuple(row) for row in rows] == [
        (one.id, keys.hash_secret("sg-second"), "cond", "one", "t", None),
        (two.id, keys.hash_secret("sg-other"), "ther", "two", None, revoked_at),
    ]
    await migrate(database)
    async with database.connect() as connection:
        assert {key.fields.name for key in await keys.page(connection, keys.KeyFilter(), 9, now)} == {"one", "two"}
    found = await Credentials(database).find(keys.hash_secret("sg-second"))
    assert found is not None and (found.principal.key_id, found.usable(now)) == (one.id, True)
    assert await Credentials(database).find(keys.hash_secret("sg-first")) is None
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


async def test_processes_that_migrate_a_new_file_at_once_all_succeed(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'new.db'}"
    engines = [open_database(url) for _ in range(3)]
    await asyncio.gather(*(migrate(engine) for engine in engines))
    for engine in engines:
        await engine.dispose()


async def test_a_migration_that_breaks_off_leaves_the_schema_of_before(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise RuntimeError("killed")

    engine = open_database(database_url)
    await migrate(engine, "0002")
    with monkeypatch.context() as patched:
        patched.setattr("alembic.op.create_index", killed)  # the last step of 0003
        with pytest.raises(RuntimeError, match="killed"):
            await migrate(engine)
    await migrate(engine)
    await engine.dispose()
