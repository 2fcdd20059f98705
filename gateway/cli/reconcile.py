"""`sluicegate reconcile`: a provider's invoice against the ledger, by day and model."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from gateway.cli.common import CommandError, ConfigOption, UsageError, load, print_row, with_database
from gateway.cli.usage import instant

if TYPE_CHECKING:
    from billing.invoice import InvoiceLine
    from billing.reconcile import Reconciliation


def reconcile(
    file: Annotated[Path, typer.Argument(help="The invoice, or an export of costs or usage: a CSV by day and model.")],
    since: Annotated[str, typer.Option(help="The first day (UTC): a date, or so far back (30d).")],
    until: Annotated[str | None, typer.Option(help="The day behind the last one; today, if left out.")] = None,
    config: ConfigOption = Path("sluicegate.yaml"),
    target: Annotated[str | None, typer.Option(help="Only what the ledger booked to this target.")] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="Where a field is: cost=Total, input_tokens=a+b; may be repeated.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help='Another name for a model: "Claude Haiku 4.5=claude-haiku-4-5".')
    ] = None,
    tolerance: Annotated[str, typer.Option(help="USD that a day and model may differ by.")] = "0.01",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Hold an invoice against the ledger. Exit code 1 if they do not agree."""
    from billing.reconcile import reconcile as compare

    now = datetime.now(UTC)
    first = instant("--since", since, now).date()
    last = now.date() if until is None else instant("--until", until, now).date()
    allowed = _amount(tolerance)
    lines = _read(file, _pairs("--column", column))
    models = _pairs("--model", model)
    loaded = load(config, check_files=False)
    found = with_database(
        loaded, lambda db: compare(db, lines, first, last, target=target, models=models, tolerance=allowed)
    )
    if as_json:
        typer.echo(orjson.dumps(found.shown()))
    else:
        _print(found, first, last)
    if not found.agrees:
        raise typer.Exit(1)


def _read(file: Path, columns: dict[str, str]) -> list[InvoiceLine]:
    from billing.invoice import InvoiceError, read_invoice

    try:
        with file.open(encoding="utf-8", newline="") as source:
            return read_invoice(source, columns)
    except InvoiceError as error:
        raise CommandError(f"{file}: {error}") from None
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from None


def _print(found: Reconciliation, first: date, last: date) -> None:
    shown = found.shown()
    names = list(shown["total"]["theirs"])
    heads = [f"{name} ({side})" for name in names for side in ("theirs", "ours", "difference")]
    print_row(("day", "model", "verdict", *heads))
    total = {"day": f"{first} to {last - timedelta(days=1)}", "model": "total", "verdict": "", **shown["total"]}
    for line in (*shown["lines"], total):
        print_row((line["day"], line["model"], line["verdict"], *_amounts(line, names)))
    if found.left_out:
        typer.echo(f"{found.left_out} lines of the invoice are of other days", err=True)


def _amounts(line: dict[str, Any], names: list[str]) -> list[str]:
    return [str(line[side][name]) for name in names for side in ("theirs", "ours", "difference")]


def _pairs(option: str, given: list[str] | None) -> dict[str, str]:
    pairs = {}
    for text in given or []:
        name, separator, value = text.partition("=")
        if not separator or not name or not value:
            raise UsageError(f"{option}: {text!r} must be two names with = between")
        pairs[name] = value
    return pairs


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise UsageError(f"--tolerance: {text!r} is no amount like 0.01")
    return amount
