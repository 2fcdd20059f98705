"""Cuts a period into whole days, whole hours and what is left: the first two are summed already, the rest is not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import ColumnElement, and_, or_

from billing.rollup import MICROS
from billing.tables import from_micros, to_micros, usage_sums

Bucket = Literal["hour", "day"]
Piece = tuple[datetime, datetime]  # from (included), to (not included)


@dataclass(frozen=True, slots=True)
class Cut:
    """The pieces of a period. They meet nowhere and leave nothing out."""

    days: tuple[Piece, ...]
    hours: tuple[Piece, ...]
    rest: tuple[Piece, ...]

    def summed(self) -> ColumnElement[bool] | None:
        """Which rows of `usage_sums` make up days and hours; None: none."""
        columns = usage_sums.c
        pieces = [("day", piece) for piece in self.days] + [("hour", piece) for piece in self.hours]
        found = [
            and_(columns.span == span, columns.start >= to_micros(begin), columns.start < to_micros(end))
            for span, (begin, end) in pieces
        ]
        return or_(*found) if found else None


def cut(since: datetime, until: datetime, smallest: Bucket = "day") -> Cut:
    """Cut the period from `since` to `until` (aware). `smallest` "hour" leaves days in hours."""
    begin, end = to_micros(since), to_micros(until)
    hours = _inner(begin, end, MICROS["hour"])
    if hours is None:
        return Cut((), (), _pieces((begin, end)))
    days = None if smallest == "hour" else _inner(*hours, MICROS["day"])
    rest = _pieces((begin, hours[0]), (hours[1], end))
    if days is None:
        return Cut((), _pieces(hours), rest)
    return Cut(_pieces(days), _pieces((hours[0], days[0]), (days[1], hours[1])), rest)


def _inner(begin: int, end: int, length: int) -> tuple[int, int] | None:
    """The whole spans of `length` between two instants; None if there is none."""
    first, last = begin + -begin % length, end - end % length
    return (first, last) if first < last else None


def _pieces(*bounds: tuple[int, int]) -> tuple[Piece, ...]:
    return tuple((from_micros(begin), from_micros(end)) for begin, end in bounds if begin < end)
