"""Reads a provider's invoice: a CSV of any layout, columns found by their names or told by a mapping.

What cannot be read is an error with its line, never a line left out. No database; see `billing.reconcile`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from itertools import chain

import msgspec

TOKENS = ("input_tokens", "output_tokens", "cached_input_tokens")
FIELDS = ("day", "model", *TOKENS, "cost")

# What providers' exports call them (as `_plain` writes it); "a+b" is the sum of columns. The first one there counts.
_ALIASES: dict[str, tuple[str, ...]] = {
    "day": ("day", "date", "usage_date_utc", "usage_date", "start_time_iso", "start_time", "timestamp"),
    "model": ("model", "model_version", "model_name", "line_item"),
    "input_tokens": (
        "input_tokens",
        "prompt_tokens",
        "usage_input_tokens_no_cache+usage_input_tokens_cache_write_5m"
        "+usage_input_tokens_cache_write_1h+usage_input_tokens_cache_read",
    ),
    "output_tokens": ("output_tokens", "completion_tokens", "usage_output_tokens"),
    "cached_input_tokens": (
        "cached_input_tokens",
        "input_cached_tokens",
        "cached_tokens",
        "usage_input_tokens_cache_read",
    ),
    "cost": ("cost_usd", "amount_usd", "cost", "amount", "amount_value", "total_cost"),
}
_CURRENCY = ("amount_currency", "currency")
_DELIMITERS = (",", ";", "\t")
_SECONDS = re.compile(r"[0-9]{9,11}", re.ASCII)
_AMOUNT = re.compile(r"(-?)\$?(-?[0-9]{1,30}(?:\.[0-9]{0,30})?(?:[eE]-?[0-9]{1,2})?)", re.ASCII)


class InvoiceError(ValueError):
    """A file that is no invoice we can read. `line` is the line at fault, if it is one."""

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message if line is None else f"line {line}: {message}")
        self.line = line


class InvoiceLine(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider asks for one model on one day (UTC), or a part of it. None: the invoice does not say.

    `input_tokens` is what the column says: with some providers the whole prompt, with others what was not cached.
    """

    line: int
    day: date
    model: str
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    cost: Decimal | None  # USD; negative for a credit


def read_invoice(lines: Iterable[str], columns: Mapping[str, str] | None = None) -> list[InvoiceLine]:
    """The lines of a CSV (comma, semicolon or tab). `columns` tells where a field of `FIELDS` is: a column's name, or
    several with + between, which are added up.

    A line without a model and without an amount is a day on which nothing was used; it is skipped.
    Raises InvoiceError.
    """
    cells = _records(lines)
    number, header = next(cells, (1, []))
    names = [_plain(name) for name in header]
    places = _places(names, columns or {})
    currency = next((names.index(name) for name in _CURRENCY if name in names), None)
    found = []
    for number, record in cells:
        if not any(record):
            continue
        if len(record) != len(header):
            raise InvoiceError(f"has {len(record)} cells where the header has {len(header)}", line=number)
        if currency is not None and record[currency].lower() not in ("", "usd"):
            raise InvoiceError(f"is in {record[currency][:16]!r}; only USD can be compared", line=number)
        if (line := _line(number, record, places)) is not None:
            found.append(line)
    return found


def _records(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Every record with the number of its last line, cells stripped."""
    source = iter(lines)
    number = 1
    try:
        first = next(source, "").removeprefix("\ufeff")
        reader = csv.reader(chain([first], source), delimiter=max(_DELIMITERS, key=first.count), strict=True)
        for record in reader:
            number = reader.line_num + 1
            yield reader.line_num, [cell.strip() for cell in record]
    except csv.Error as error:
        raise InvoiceError(f"is no CSV: {error}", line=number) from None
    except UnicodeDecodeError:
        raise InvoiceError("is no text in UTF-8", line=number) from None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _places(names: Sequence[str], told: Mapping[str, str]) -> dict[str, list[int]]:
    """Where each field is: the columns to add up. Raises InvoiceError."""
    places: dict[str, list[int]] = {}
    for field in told:
        if field not in FIELDS:
            raise InvoiceError(f"there is no field {field!r}; there are {', '.join(FIELDS)}")
    for field, aliases in _ALIASES.items():
        for alias in (told[field],) if field in told else aliases:
            parts = [_plain(part) for part in alias.split("+")]
            if all(part in names for part in parts):
                places[field] = [names.index(part) for part in parts]
                break
        else:
            if field in told:
                raise InvoiceError(f"there is no column {told[field]!r}; there are {', '.join(names)}", line=1)
    for field in ("day", "model"):
        if field not in places:
            raise InvoiceError(f"no column is known to be the {field}; there are {', '.join(names) or 'none'}", line=1)
    if places.keys() <= {"day", "model"}:
        raise InvoiceError("no column is known to be tokens or a cost", line=1)
    return places


def _line(number: int, record: Sequence[str], places: Mapping[str, list[int]]) -> InvoiceLine | None:
    def cells(field: str) -> list[str]:
        return [record[index] for index in places.get(field, ())]

    def tokens(field: str) -> int | None:
        amount = _sum(number, field, cells(field))
        if amount is None:
            return None
        if amount != amount.to_integral_value() or amount < 0:
            raise InvoiceError(f"{amount} is no number of tokens", line=number)
        return int(amount)

    model = " ".join(cells("model")).split(", ")[0]  # a line item goes on: "model, input"
    counts = {field: tokens(field) for field in TOKENS}
    cost = _sum(number, "cost", cells("cost"))
    if not model:
        if not cost and not any(counts.values()):
            return None
        raise InvoiceError("names no model; ask the provider for an export by model", line=number)
    return InvoiceLine(line=number, day=_day(number, " ".join(cells("day"))), model=model, cost=cost, **counts)


def _sum(number: int, field: str, cells: Sequence[str]) -> Decimal | None:
    """The cells added up; None if there is none, or nothing in them."""
    amounts = []
    for cell in cells:
        if not cell:
            continue
        found = _AMOUNT.fullmatch(cell.replace(",", ""))
        if found is None:
            raise InvoiceError(f"{cell[:40]!r} is no number ({field})", line=number)
        try:
            amounts.append(Decimal("".join(found.groups())))
        except InvalidOperation:
            raise InvoiceError(f"{cell[:40]!r} is no number ({field})", line=number) from None
    return sum(amounts, Decimal(0)) if amounts else None


def _day(number: int, text: str) -> date:
    try:
        if _SECONDS.fullmatch(text):
            return datetime.fromtimestamp(int(text), UTC).date()
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise InvoiceError(f"{text[:40]!r} is no date like 2026-01-31", line=number) from None
    return (instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)).date()
