"""The SQL of a report: from `usage_sums` for whole hours and days, from the rows for what is left of a period."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Integer,
    Label,
    Select,
    String,
    cast,
    func,
    literal_column,
    null,
    select,
    type_coerce,
)

from billing.groups import ReportError, equals, group
from billing.periods import Bucket, Piece, cut
from billing.rollup import EVERYTHING, MICROS, PICO_PER_MICRO, series
from billing.tables import usage_records, usage_sums

TOKENS = ("input_tokens", "cached_input_tokens", "output_tokens")
_MAX_GROUPS = 8
_MILLION = literal_column(str(PICO_PER_MICRO), BigInteger)


class Plan:
    """How one report is made. Raises ReportError for groups that cannot be.

    `usage_sums` can serve one dimension beside the model. It knows what has an id or a tag, not what has none: that is
    what those leave of everything. So each row found says where it counts: `own` 1 for its own group, and `left` (1 or
    -1) times for the group of the same row without an id in `dimension`.
    """

    def __init__(
        self, group_by: Sequence[str], bucket: Bucket | None, where: Mapping[str, str | None], dialect: str
    ) -> None:
        if len(set(group_by)) != len(group_by):
            raise ReportError("a group is named twice")
        if len(group_by) > _MAX_GROUPS:
            raise ReportError(f"a report has at most {_MAX_GROUPS} groups")
        if bucket is not None and bucket not in MICROS:
            raise ReportError(f"unknown bucket {bucket!r}; there are {', '.join(MICROS)}")
        self.group_by = group_by
        self.bucket = bucket
        # As in the sums, "" is no model.
        self._where = {name: value or None if name == "model" else value for name, value in where.items()}
        self._groups = [group(name, dialect) for name in group_by]
        self._conditions = [equals(name, value, dialect) for name, value in self._where.items()]
        dimensions = {*group_by, *where} - {"model"}
        self._is_summed = len(dimensions) <= 1
        self.dimension = dimensions.pop() if dimensions else EVERYTHING

    def queries(self, since: datetime, until: datetime) -> list[Select[Any]]:
        """Statements whose results together are the report; none if nothing lies in the period. Raises ReportError."""
        if since.tzinfo is None or until.tzinfo is None:
            raise ReportError("since and until need a time zone")
        if not self._is_summed:
            return [self._of_rows((since, until))]
        pieces = cut(since, until, "hour" if self.bucket == "hour" else "day")
        found = [self._of_rows(piece) for piece in pieces.rest]
        if (period := pieces.summed()) is None:
            return found
        wanted = self._where.get(self.dimension)
        if self.dimension == EVERYTHING:
            return [*found, self._of_sums(EVERYTHING, period, own=1, left=0)]
        if wanted is not None:
            of_one = period & (usage_sums.c.series == series(self.dimension, wanted))
            return [*found, self._of_sums(self.dimension, of_one, own=1, left=0)]
        shown = 0 if self.dimension in self._where else 1
        return [
            *found,
            self._of_sums(self.dimension, period, own=shown, left=-1),
            self._of_sums(EVERYTHING, period, own=0, left=1),
        ]

    def _of_rows(self, piece: Piece) -> Select[Any]:
        columns = usage_records.c
        sums = [
            func.count().label("requests"),
            *(func.sum(columns[name]).label(name) for name in TOKENS),
            func.sum(columns.cost_pico // _MILLION).label("cost_micro"),
            func.sum(columns.cost_pico % _MILLION).label("cost_pico_rest"),
        ]
        heads = self._heads(self._groups, type_coerce(columns.at, BigInteger))
        query = self._select(heads, columns.key_name, sums, own=1, left=0)
        return query.where(columns.at >= piece[0], columns.at < piece[1], *self._conditions)

    def _of_sums(self, dimension: str, period: ColumnElement[bool], *, own: int, left: int) -> Select[Any]:
        columns = usage_sums.c
        places: dict[str, ColumnElement[Any]] = {"model": func.nullif(columns.model, "")}
        if own:
            places[dimension] = columns.value
        names = ("requests", *TOKENS, "cost_micro", "cost_pico_rest")
        sums = [func.sum(columns[name]).label(name) for name in names]
        heads = self._heads([places.get(name) for name in self.group_by], columns.start)
        query = self._select(heads, columns.label, sums, own=own, left=left)
        query = query.where(columns.dimension == dimension, period)
        if "model" in self._where:
            query = query.where(columns.model == (self._where["model"] or ""))
        return query

    def _heads(self, groups: Sequence[ColumnElement[Any] | None], micros: ColumnElement[int]) -> list[Label[Any]]:
        """The columns to group by: `group_0`…, and `bucket` if there is one."""
        heads = [
            (cast(null(), String) if column is None else column).label(f"group_{index}")
            for index, column in enumerate(groups)
        ]
        if self.bucket is not None:
            width = literal_column(str(MICROS[self.bucket]), BigInteger)
            heads.append((micros - micros % width).label("bucket"))
        return heads

    def _select(
        self, heads: Sequence[Label[Any]], key_name: Column[Any], sums: Sequence[Label[Any]], *, own: int, left: int
    ) -> Select[Any]:
        flags = [literal_column(str(own), Integer).label("own"), literal_column(str(left), Integer).label("left")]
        names = [func.max(key_name).label("key_name")] if "key" in self.group_by else []
        # Grouped by label: PostgreSQL takes a repeated expression with a parameter in it for another one.
        return select(*heads, *flags, *names, *sums).group_by(*[head.name for head in heads])
