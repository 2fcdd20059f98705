"""`sluicegate usage`: what was used and what it cost, from the ledger's database."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from gateway.cli.common import ConfigOption, UsageError, load, print_row, with_database

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def usage(
    config: ConfigOption = Path("sluicegate.yaml"),
    by: Annotated[str, typer.Option(help="key, team, user, model, target, endpoint or tag:NAME; commas between.")] = "",
    since: Annotated[str, typer.Option(help="How far back (30m, 24h, 7d, 4w), or a date (UTC).")] = "7d",
    until: Annotated[str | None, typer.Option(help="The same; now, if left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, without a total.")] = False,
) -> None:
    """What was used, and what it cost."""
    from billing.records import to_csv
    from billing.reports import ReportError
    from billing.reports import usage as report_usage
    from gateway.storage.names import with_name_columns, with_names

    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other")
    now = datetime.now(UTC)
    begin, end = instant("--since", since, now), now if until is None else instant("--until", until, now)
    groups = [name.strip() for name in by.split(",") if name.strip()]
    loaded = load(config, check_files=False)

    async def work(database: AsyncEngine) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        report = await report_usage(database, groups, begin, end)
        return await with_names(database, groups, report.rows), report.total

    try:
        rows, total = with_database(loaded, work)
    except ReportError as error:
        raise UsageError(f"--by: {error}") from None
    columns = [*with_name_columns(groups), *total]
    if as_json:
        typer.echo(orjson.dumps({"rows": rows, "total": total}))
        return
    rows = rows if groups else [total]
    if as_csv:
        typer.echo(to_csv(columns, rows), nl=False, color=True)  # or what looks like a colour is taken out
    else:
        print_row(columns)
        for row in rows:
            print_row(row[column] for column in columns)


def instant(option: str, text: str, now: datetime) -> datetime:
    """A time that a person gave: so far back from `now`, or an ISO date or time, of UTC if it names no zone.

    Raises UsageError.
    """
    if (span := re.fullmatch(r"([0-9]{1,6})([mhdw])", text, re.ASCII)) is not None:
        try:
            return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
        except OverflowError:
            raise UsageError(f"{option}: {text!r} is before the year 1") from None
    try:
        given = datetime.fromisoformat(text)
        return given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"{option}: {text!r} is neither a span like 7d nor a date like 2026-01-31") from None
