"""What reports group and filter by: names as people write them, and the SQL of each over the rows of the ledger."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import ColumnElement, func, select

from billing.entry import UNSTORABLE
from billing.rollup import TAG
from billing.tables import TAG_LENGTH, usage_records

_COLUMNS: dict[str, ColumnElement[Any]] = {
    "key": usage_records.c.key_id,
    "team": usage_records.c.team,
    "user": usage_records.c.user,
    "key_user": usage_records.c.key_user,
    "model": func.nullif(usage_records.c.model, ""),  # as in the sums, where "" is no model
    "target": usage_records.c.target,
    "endpoint": usage_records.c.endpoint,
}
# Without the characters that cannot be stored, or that a JSON path gives a meaning.
_TAG_NAME = re.compile(rf'[^"\\\x00-\x1f\x7f\ud800-\udfff]{{1,{TAG_LENGTH}}}')


class ReportError(ValueError):
    """A report that cannot be made as asked; the message says why."""


def group(name: str, dialect: str) -> ColumnElement[Any]:
    """The id of a row in the group `name`: one of `_COLUMNS` or tag:NAME. Raises ReportError."""
    if (column := _COLUMNS.get(name)) is not None:
        return column
    if name.startswith(TAG) and _TAG_NAME.fullmatch(tag := name.removeprefix(TAG)):
        return _tag_value(tag, dialect)
    raise ReportError(f"unknown group {name[:140]!r}; there are {', '.join(_COLUMNS)} and tag:NAME")


def equals(name: str, value: str | None, dialect: str) -> ColumnElement[bool]:
    """Whether a row has the id `value` (None: no id) in a group. Raises ReportError."""
    column = group(name, dialect)
    if value is not None and UNSTORABLE.search(value):
        raise ReportError("an id to look for holds a character that no row can hold")
    return column.is_(None) if value is None else column == value


def _tag_value(tag: str, dialect: str) -> ColumnElement[Any]:
    if dialect == "sqlite":
        # Not by a JSON path: SQLite compares a path with the text as stored, where "ü" stands escaped.
        entries = func.json_each(usage_records.c.tags).table_valued("key", "value")
        return select(entries.c.value).where(entries.c.key == tag).correlate(usage_records).scalar_subquery()
    value: ColumnElement[Any] = usage_records.c.tags[tag].as_string()
    return value
