"""Every step of the schema's history, there and back, with rows in the tables: nothing is lost and nothing invented.

New revisions are covered as they appear: rows are made from what a table's columns are at each revision.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    inspect,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.entry import UsageEntry
from billing.money import MAX_PICO, from_pico
from billing.store import UsageStore
from billing.tables import usage_sums
from billing.usage import Usage
from gateway.storage.database import alembic_config, migrate, open_database

REVISIONS = [script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()][::-1]
ROWS = 3
DERIVED = {"usage_sums"}  # made from other tables
# What a column must hold to make sense together with others.
FITTING = {"role": "client", "outcome": "ok", "price": '{"input":"1","output":"2"}', "tags": {"feature": "ü"}}

Schema = dict[str, Any]
Rows = dict[str, list[str]]


def go(connection: Connection, revision: str) -> None:
    config = alembic_config()
    config.attributes["connection"] = connection
    at = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if at is None or REVISIONS.index(revision) > REVISIONS.index(at):
        command.upgrade(config, revision)
    else:
        command.downgrade(config, revision)


def tables(connection: Connection) -> list[Table]:
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def schema(connection: Connection) -> Schema:
    """Every table's columns, key and indexes."""
    inspector = inspect(connection)
    return {
        table.name: (
            sorted((column.name, str(column.type), column.nullable) for column in table.columns),
            sorted(column.name for column in table.primary_key),
            sorted((i["name"] or "", i["column_names"], bool(i["unique"])) for i in inspector.get_indexes(table.name)),
        )
        for table in tables(connection)
    }


def value(column: Column[Any], number: int) -> Any:
    """Something a column of that name and type may hold."""
    if column.name in FITTING:
        return FITTING[column.name]
    if column.name == "id" or column.name.endswith("_id"):
        return number if isinstance(column.type, Integer) else f"id-{number}"
    match column.type:
        case JSON():
            return [f"{column.name}-{number}"]
        case Boolean():
            return number % 2 == 0
        case Float():
            return number + 0.25
        case String():
            return f"{column.name}-{number}"[: column.type.length]
        case BigInteger():
            return number * 10**15 + 7
        case _:
            return number


def insert_rows(connection: Connection) -> None:
    for table in tables(connection):
        if table.name not in DERIVED:
            filled = [column for column in table.columns if not (column.nullable and isinstance(column.type, JSON))]
            rows = [{column.name: value(column, number) for column in filled} for number in range(1, ROWS + 1)]
            connection.execute(table.insert(), rows)


def rows(connection: Connection) -> Rows:
    return {
        table.name: sorted(str(sorted(row._asdict().items())) for row in connection.execute(select(table)))
        for table in tables(connection)
        if table.name not in DERIVED
    }


@pytest.fixture
def database(database_url: str) -> AsyncEngine:
    return open_database(database_url)


async def test_going_back_gives_each_earlier_schema(database: AsyncEngine) -> None:
    seen: dict[str, Schema] = {}
    for revision in REVISIONS:
        await migrate(database, revision)
        async with database.connect() as connection:
            seen[revision] = await connection.run_sync(schema)
    for revision in REVISIONS[::-1]:
        async with database.begin() as connection:
            await connection.run_sync(go, revision)
            assert await connection.run_sync(schema) == seen[revision]
    await database.dispose()


@pytest.mark.parametrize("revision", REVISIONS)
async def test_rows_of_each_revision_survive_the_way_to_the_newest_and_back(
    database: AsyncEngine, revision: str
) -> None:
    await migrate(database, revision)
    async with database.begin() as connection:
        await connection.run_sync(insert_rows)
        before = await connection.run_sync(rows)
    assert all(len(found) == ROWS for found in before.values())
    await migrate(database)
    async with database.begin() as connection:
        await connection.run_sync(go, revision)
        assert await connection.run_sync(rows) == before
    await database.dispose()


def old_entries() -> list[UsageEntry]:
    """Entries as the first revision knew them, in several hours and days."""
    dice = random.Random(5)
    ages = [timedelta(0), timedelta(hours=1), timedelta(days=1), timedelta(days=400)]

    def one(number: int) -> UsageEntry:
        key = dice.choice(["k1", "k2"])
        prompt = dice.randrange(10**9)
        return UsageEntry(
            id=f"{number:032d}",
            request_id=f"r{number}",
            at=datetime(2026, 11, 24, 23, 30, tzinfo=UTC) + timedelta(minutes=dice.randrange(60)) - dice.choice(ages),
            key_id=key,
            key_name=f"{key} {dice.choice('ab')}",
            team=dice.choice([None, "", "a", "it's"]),
            user=dice.choice([None, "böb"]),
            model=dice.choice([None, "m1", "m2"]),
            target=dice.choice([None, "t"]),
            endpoint="chat/completions",
            status=200,
            outcome=dice.choice(["ok", "failed"]),
            usage=Usage(
                input_tokens=prompt, cached_input_tokens=dice.randrange(prompt), output_tokens=dice.randrange(99)
            ),
            cost=from_pico(dice.choice([0, 1, 999_999, 10**6, MAX_PICO])) if number else Decimal(0),
            tags=dice.choice([{}, {"feature": "find"}, {"a": "", "ü": '"', "x" * 129: "y"}, {"y" * 128: "z" * 512}]),
        )

    return [one(number) for number in range(150)]


async def test_the_sums_made_from_old_rows_are_those_the_ledger_would_have_made(database: AsyncEngine) -> None:
    made = old_entries()

    async def sums() -> list[Any]:
        async with database.connect() as connection:
            found = await connection.execute(select(usage_sums))
            return sorted(tuple(row) for row in found)

    await migrate(database)
    await UsageStore(database).write(made)
    expected = await sums()
    assert len(expected) > 300
    async with database.begin() as connection:
        await connection.run_sync(go, "0002")
        assert "usage_sums" not in await connection.run_sync(schema)
    await migrate(database)
    assert await sums() == expected
    async with database.connect() as connection:
        found = await connection.execute(text("SELECT id, requests FROM usage_records"))
    assert {row.id: row.requests for row in found} == {one.id: int(one.outcome == "ok") for one in made}
    await UsageStore(database).write(made)  # told again, they count no second time
    assert await sums() == expected
    await database.dispose()
