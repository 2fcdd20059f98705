"""Keeps the table `usage_sums` in step with the rows of the ledger, inside the transaction that changes them.

Reading the sums is `billing.reports`' affair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billing.tables import TAG_LENGTH, to_micros

EVERYTHING: Final = ""  # the dimension that all rows are in
TAG: Final = "tag:"
MICROS: Final = {"hour": 3_600_000_000, "day": 86_400_000_000}  # how long a span is
PICO_PER_MICRO: Final = 1_000_000

_COLUMNS = {
    "key": "key_id",
    "team": "team",
    "user": "user",
    "key_user": "key_user",
    "target": "target",
    "endpoint": "endpoint",
}


class Booking(NamedTuple):
    """What is added to the sums of a row of `usage_records`. Amounts may be negative: a row that became cheaper."""

    row: Mapping[str, Any]
    requests: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    cost_pico: int


def booked(row: Mapping[str, Any]) -> Booking:
    """All of a new row."""
    return Booking(row, 1, row["input_tokens"], row["cached_input_tokens"], row["output_tokens"], row["cost_pico"])


async def add(connection: AsyncConnection, bookings: Iterable[Booking]) -> None:
    """Add to the sums. Call it last in a transaction: the sums it changes are locked until the end."""
    if lines := _lines(bookings):
        # One statement with one parameter: as many values of its own would cost more than all the rest.
        await connection.execute(_UPSERT[connection.dialect.name], {"lines": msgspec.json.encode(lines).decode()})


@lru_cache(maxsize=65_536)
def series(dimension: str, value: str) -> str:
    """The key of a dimension's value in `usage_sums`."""
    # A NUL is in no stored text, so it cannot be taken for a part of either.
    return blake2b(f"{dimension}\0{value}".encode(), digest_size=16).hexdigest()


_Place = tuple[str, str, int, str]  # dimension, value, start, model
Place = TypeVar("Place")


def _lines(bookings: Iterable[Booking]) -> list[tuple[Any, ...]]:
    """What to add to each sum, every sum once; the columns of `usage_sums` in their order."""
    hours: dict[_Place, list[int]] = {}
    days: dict[_Place, list[int]] = {}
    labels: dict[tuple[str, _Place], str] = {}
    for (hour, model, name, values, tags), amounts in _together(bookings).items():
        for dimension, value in zip(_COLUMNS, values, strict=True):
            if value is not None:  # a missing id is in no dimension: reports take what is left
                _accumulate(hours, (dimension, value, hour, model), amounts)
        _accumulate(hours, (EVERYTHING, "", hour, model), amounts)
        for tag, value in tags:
            if len(tag) <= TAG_LENGTH:
                _accumulate(hours, (TAG + tag, value, hour, model), amounts)
        for span, start in (("hour", hour), ("day", _start(hour, "day"))):
            named = span, ("key", values[0], start, model)
            labels[named] = max(labels.get(named, ""), name)
    for (dimension, value, hour, model), amounts in hours.items():
        _accumulate(days, (dimension, value, _start(hour, "day"), model), amounts)
    return [
        (place[0], span, place[2], series(*place[:2]), place[3], place[1], labels.get((span, place), ""), *amounts)
        for span, sums in (("hour", hours), ("day", days))
        for place, amounts in sums.items()
    ]


def _start(micros: int, span: str) -> int:
    return micros - micros % MICROS[span]


def _accumulate(sums: dict[Place, list[int]], place: Place, amounts: list[int]) -> None:
    if (known := sums.get(place)) is None:
        sums[place] = amounts.copy()
    else:
        for index, amount in enumerate(amounts):
            known[index] += amount


_dimensions: Callable[[Mapping[str, Any]], tuple[Any, ...]] = itemgetter(*_COLUMNS.values())


def _together(bookings: Iterable[Booking]) -> dict[tuple[Any, ...], list[int]]:
    """What is added in all to the same sums, which most bookings of a moment share.

    By hour, model, the key's name, the values of the dimensions, and the tags.
    """
    found: dict[tuple[Any, ...], list[int]] = {}
    for booking in bookings:
        row = booking.row
        hour = _start(to_micros(row["at"]), "hour")
        place = hour, row["model"] or "", row["key_name"], _dimensions(row), tuple(row["tags"].items())
        amounts = [*booking[1:-1], *divmod(booking.cost_pico, PICO_PER_MICRO)]
        _accumulate(found, place, amounts)
    return found


# Sorted, so that replicas lock the sums in one order and never wait for each other in a ring.
_ADD = """
INSERT INTO usage_sums (
    dimension, span, start, series, model, value, label,
    requests, input_tokens, cached_input_tokens, output_tokens, cost_micro, cost_pico_rest
)
SELECT {columns} FROM {lines} AS line WHERE true ORDER BY 1, 2, 3, 4, 5
ON CONFLICT (dimension, span, start, series, model) DO UPDATE SET
    label = CASE WHEN excluded.label > usage_sums.label THEN excluded.label ELSE usage_sums.label END,
    requests = usage_sums.requests + excluded.requests,
    input_tokens = usage_sums.input_tokens + excluded.input_tokens,
    cached_input_tokens = usage_sums.cached_input_tokens + excluded.cached_input_tokens,
    output_tokens = usage_sums.output_tokens + excluded.output_tokens,
    cost_micro = usage_sums.cost_micro + excluded.cost_micro,
    cost_pico_rest = usage_sums.cost_pico_rest + excluded.cost_pico_rest
"""
_TYPES = ["text", "text", "bigint", *["text"] * 4, *["bigint"] * 6]
_UPSERT = {
    "sqlite": text(
        _ADD.format(
            columns=", ".join(f"json_extract(line.value, '$[{index}]')" for index in range(len(_TYPES))),
            lines="json_each(:lines)",
        )
    ),
    "postgresql": text(
        _ADD.format(
            columns=", ".join(f"CAST(line ->> {index} AS {type_})" for index, type_ in enumerate(_TYPES)),
            lines="jsonb_array_elements(CAST(:lines AS jsonb))",
        )
    ),
}
