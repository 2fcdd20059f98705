"""Readable names beside the ids in a report: the ledger's rows have ids, which stay when a key or a team is renamed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.storage.tables import api_keys, teams, users

IDS_AT_ONCE = 500  # of one query; databases bound how many parameters it has

_TABLES = {"key": api_keys, "team": teams, "user": users}


def with_name_columns(groups: Sequence[str]) -> list[str]:
    """The columns of a report by `groups`: `key_name` right behind `key`, and so for `team` and `user`."""
    return [column for name in groups for column in ([name, f"{name}_name"] if name in _TABLES else [name])]


async def with_names(
    database: AsyncEngine, groups: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Rows of `billing.reports.usage` by `groups`, with the names of today in the columns of `with_name_columns`.

    What is not stored any more has the name the ledger has, else its id. Raises what the driver raises.
    """
    names: dict[str, dict[str, str]] = {}
    if rows and (named := [group for group in groups if group in _TABLES]):
        async with database.connect() as connection:
            for group in named:
                names[group] = await _names(connection, _TABLES[group], {row[group] for row in rows} - {None})
    return await asyncio.to_thread(lambda: [_named(row, names) for row in rows])  # they may be many


async def _names(connection: AsyncConnection, table: Table, ids: Iterable[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    asked = list(ids)
    for start in range(0, len(asked), IDS_AT_ONCE):
        query = select(table.c.id, table.c.name).where(table.c.id.in_(asked[start : start + IDS_AT_ONCE]))
        names.update((row.id, row.name) for row in await connection.execute(query))
    return names


def _named(row: Mapping[str, Any], names: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for column, value in row.items():
        shown.setdefault(column, value)
        if column in names:
            known = row.get(f"{column}_name", value)
            shown[f"{column}_name"] = None if value is None else names[column].get(value, known)
    return shown
