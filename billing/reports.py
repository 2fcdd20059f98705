"""Sums over the ledger: what was used and what it cost, by key, team, user, model, target, endpoint or tag.

Money is summed as integers inside SQL and never rounded; see `billing.money` for the ranges.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

from sqlalchemy import BigInteger, ColumnElement, Row, Select, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.entry import UNSTORABLE
from billing.money import display, from_pico
from billing.tables import from_micros, usage_records

Bucket = Literal["hour", "day"]

_BUCKET_MICROS: dict[Bucket, int] = {"hour": 3_600_000_000, "day": 86_400_000_000}
_PICO_PER_MICRO = 1_000_000
_MILLION = literal_column(str(_PICO_PER_MICRO), BigInteger)
_COLUMNS: dict[str, ColumnElement[Any]] = {
    "key": usage_records.c.key_id,
    "team": usage_records.c.team,
    "user": usage_records.c.user,
    "model": usage_records.c.model,
    "target": usage_records.c.target,
    "endpoint": usage_records.c.endpoint,
}
_TAG = "tag:"
# Without the characters that cannot be stored, or that a JSON path gives a meaning.
_TAG_NAME = re.compile(r'[^"\\\x00-\x1f\x7f\ud800-\udfff]{1,128}')
_MAX_GROUPS = 8


class ReportError(ValueError):
    """A report that cannot be made as asked; the message says why."""


@dataclass(frozen=True, slots=True)
class Report:
    """`rows` are sorted by bucket, then by the groups in the order asked, with missing ids last.

    A row holds `bucket` (its beginning, "2026-01-31T10:00:00Z") if asked, each group's id or None under the
    group's name, `key_name` beside `key`, and like `total` the sums `requests`, `input_tokens`,
    `cached_input_tokens`, `output_tokens` and `cost_usd` (an exact decimal string).
    """

    rows: list[dict[str, Any]]
    total: dict[str, Any]


async def usage(
    db: AsyncEngine,
    group_by: Sequence[str],
    since: datetime,
    until: datetime,
    bucket: Bucket | None = None,
    where: Mapping[str, str | None] = MappingProxyType({}),
) -> Report:
    """Sum the requests that came in from `since` (included) to `until` (not included), both aware.

    `group_by` takes key, team, user, model, target, endpoint and `tag:NAME`; empty means one sum of all.
    `where` keeps only rows with that id (None: with no id) of such a group. Buckets are hours or days of UTC.
    A key that was renamed has the alphabetically last of its names in the period.
    Raises ReportError for an unknown group, a bad tag name, a naive time or too many groups.
    """
    query = _query(group_by, since, until, bucket, where, db.dialect.name)
    async with db.connect() as connection:
        found = (await connection.execute(query)).all()
    rows = [_Sums(row, group_by, bucket) for row in found if row.requests]
    rows.sort(key=lambda row: row.order)
    return Report([row.shown() for row in rows], _total(rows))


def _query(
    group_by: Sequence[str],
    since: datetime,
    until: datetime,
    bucket: Bucket | None,
    where: Mapping[str, str | None],
    dialect: str,
) -> Select[Any]:
    if since.tzinfo is None or until.tzinfo is None:
        raise ReportError("since and until need a time zone")
    if len(set(group_by)) != len(group_by):
        raise ReportError("a group is named twice")
    if len(group_by) > _MAX_GROUPS:
        raise ReportError(f"a report has at most {_MAX_GROUPS} groups")
    groups = [_group(name, dialect).label(f"group_{index}") for index, name in enumerate(group_by)]
    if bucket is not None:
        groups.append(_bucket_start(bucket).label("bucket"))
    columns = usage_records.c
    sums = [
        func.count().label("requests"),
        func.sum(columns.input_tokens).label("input_tokens"),
        func.sum(columns.cached_input_tokens).label("cached_input_tokens"),
        func.sum(columns.output_tokens).label("output_tokens"),
        func.sum(columns.cost_pico // _MILLION).label("cost_micro"),
        func.sum(columns.cost_pico % _MILLION).label("cost_pico_rest"),
    ]
    if "key" in group_by:
        sums.append(func.max(columns.key_name).label("key_name"))
    conditions = [columns.at >= since, columns.at < until]
    conditions += [_equals(_group(name, dialect), value) for name, value in where.items()]
    # Grouped by label: PostgreSQL takes a repeated expression with a parameter in it for another one.
    return select(*groups, *sums).where(*conditions).group_by(*[group.name for group in groups])


def _group(name: str, dialect: str) -> ColumnElement[Any]:
    if (column := _COLUMNS.get(name)) is not None:
        return column
    if name.startswith(_TAG) and _TAG_NAME.fullmatch(tag := name.removeprefix(_TAG)):
        return _tag_value(tag, dialect)
    raise ReportError(f"unknown group {name[:140]!r}; there are {', '.join(_COLUMNS)} and tag:NAME")


def _tag_value(tag: str, dialect: str) -> ColumnElement[Any]:
    if dialect == "sqlite":
        # Not by a JSON path: SQLite compares a path with the text as stored, where "ü" stands escaped.
        entries = func.json_each(usage_records.c.tags).table_valued("key", "value")
        return select(entries.c.value).where(entries.c.key == tag).correlate(usage_records).scalar_subquery()
    value: ColumnElement[Any] = usage_records.c.tags[tag].as_string()
    return value


def _equals(group: ColumnElement[Any], value: str | None) -> ColumnElement[bool]:
    if value is not None and UNSTORABLE.search(value):
        raise ReportError("an id to look for holds a character that no row can hold")
    return group.is_(None) if value is None else group == value


def _bucket_start(bucket: Bucket) -> ColumnElement[int]:
    width = _BUCKET_MICROS.get(bucket)
    if width is None:
        raise ReportError(f"unknown bucket {bucket!r}; there are {', '.join(_BUCKET_MICROS)}")
    micros = literal_column("at", BigInteger)
    return micros - micros % literal_column(str(width), BigInteger)


class _Sums:
    """One row of sums, as exact integers."""

    def __init__(self, row: Row[Any], group_by: Sequence[str], bucket: Bucket | None) -> None:
        values = row._mapping
        self.head: dict[str, Any] = {}
        if bucket is not None:
            self.head["bucket"] = from_micros(values["bucket"]).strftime("%Y-%m-%dT%H:%M:%SZ")
        for index, name in enumerate(group_by):
            self.head[name] = values[f"group_{index}"]
        self.order = tuple((value is None, value or "") for value in self.head.values())
        if "key" in group_by:
            self.head["key_name"] = values["key_name"]
        self.requests = int(values["requests"])
        self.input_tokens = int(values["input_tokens"])
        self.cached_input_tokens = int(values["cached_input_tokens"])
        self.output_tokens = int(values["output_tokens"])
        self.cost_pico = int(values["cost_micro"]) * _PICO_PER_MICRO + int(values["cost_pico_rest"])

    def shown(self) -> dict[str, Any]:
        return self.head | _total([self])


def _total(rows: Sequence[_Sums]) -> dict[str, Any]:
    return {
        "requests": sum(row.requests for row in rows),
        "input_tokens": sum(row.input_tokens for row in rows),
        "cached_input_tokens": sum(row.cached_input_tokens for row in rows),
        "output_tokens": sum(row.output_tokens for row in rows),
        "cost_usd": display(from_pico(sum(row.cost_pico for row in rows))),
    }
