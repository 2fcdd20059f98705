"""`sluicegate prices reprice`: the cost of past requests at the prices known now, as a dry run or for real."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from gateway.cli.common import CommandError, ConfigOption, load, print_row, with_database
from gateway.cli.usage import instant

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from billing.reprice import Repricing


def reprice(
    since: Annotated[str, typer.Option(help="How far back (7d, 4w), or a date (UTC).")],
    until: Annotated[str | None, typer.Option(help="The same; now, if left out.")] = None,
    config: ConfigOption = Path("sluicegate.yaml"),
    model: Annotated[str | None, typer.Option(help="Only what this configured model answered.")] = None,
    target: Annotated[str | None, typer.Option()] = None,
    key: Annotated[str | None, typer.Option(help="Only what was booked to this key, by id.")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Change the rows; else only tell what would change.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compute the cost of past requests anew, at the prices known now for when they came in."""
    from billing.bundled import PriceListError
    from billing.reprice import RepriceError, Selection
    from billing.reprice import reprice as reprice_rows
    from gateway.routing.catalogue import Catalogue
    from gateway.storage.audit import Actor
    from gateway.storage.prices import PriceRepository
    from gateway.storage.repricing import reprice_audited

    now = datetime.now(UTC)
    begin, end = instant("--since", since, now), now if until is None else instant("--until", until, now)
    loaded = load(config, check_files=False)

    async def work(database: AsyncEngine) -> Repricing:
        book.replace_overrides(await PriceRepository(database).list())
        if apply:
            return await reprice_audited(database, chosen, book.price, Actor(id="cli", name="cli"), now)
        return await reprice_rows(database, chosen, book.price, apply=False)

    try:
        chosen = Selection(since=begin, until=end, model=model, target=target, key=key)
        book = Catalogue(loaded, {}).price_book()
        done = with_database(loaded, work)
    except (RepriceError, PriceListError) as error:
        raise CommandError(str(error)) from None
    if as_json:
        typer.echo(orjson.dumps({"dry_run": not apply, **done.shown()}))
        return
    shown = done.shown()
    columns = ["model", *(name for name in shown if name != "models")]
    print_row(columns)
    for row in (*shown["models"], {**shown, "model": "total"}):
        print_row(row[column] or "-" if column == "model" else row[column] for column in columns)
    if not apply:
        typer.echo("nothing is changed; --apply does it", err=True)
