"""`sluicegate usage`: what was used and what it cost, from the ledger's database."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import orjson
import typer

from gateway.cli.common import ConfigOption, UsageError, load, with_database

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def usage(
    config: ConfigOption = Path("sluicegate.yaml"),
    by: Annotated[str, typer.Option(help="key, team, user, model, target, endpoint or tag:NAME; commas between.")] = "",
    since: Annotated[str, typer.Option(help="How far back: 30m, 24h, 7d, 4w.")] = "7d",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What was used, and what it cost."""
    from billing.reports import ReportError
    from billing.reports import usage as report_usage

    now = datetime.now(UTC)
    groups = [name.strip() for name in by.split(",") if name.strip()]
    loaded = load(config, check_files=False)
    try:
        report = with_database(
            loaded, lambda db: report_usage(db, groups, since=now - _span(since), until=now, bucket=None)
        )
    except ReportError as error:
        raise UsageError(f"--by: {error}") from None
    if as_json:
        typer.echo(orjson.dumps({"rows": report.rows, "total": report.total}))
        return
    columns = [*report.total] if not report.rows else [*report.rows[0]]
    typer.echo("\t".join(columns))
    for row in report.rows if groups else [report.total]:
        typer.echo("\t".join(str(row.get(column, "")) for column in columns))


def _span(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,6})([mhdw])", text)
    if found is None:
        raise UsageError(f"--since: {text!r} is not a span like 30m, 24h, 7d or 4w")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
