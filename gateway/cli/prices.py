"""`sluicegate prices`: what each target costs, and a newer price list, without a running gate."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.common import CommandError, ConfigOption, UsageError, load, print_row, printable, with_database

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from billing.prices import Price

app = typer.Typer(help="What models cost.", no_args_is_help=True)

REASONS_SHOWN = 5


@app.command("list")
def list_prices(config: ConfigOption = Path("sluicegate.yaml")) -> None:
    """Print every target, where its price is from, and the price (USD; tokens by the million)."""
    from billing.bundled import PriceListError
    from gateway.routing.catalogue import Catalogue
    from gateway.storage.prices import PriceRepository

    loaded = load(config, check_files=False)
    try:
        book = Catalogue(loaded, {}).price_book()
    except PriceListError as error:
        raise CommandError(str(error)) from None
    book.replace_overrides(with_database(loaded, lambda database: PriceRepository(database).list()))
    now = datetime.now(UTC)
    for target in book.targets:
        quote = book.quote(target, now)
        if quote is None:
            print_row((target, "-", book.reason(target) or "no price"))
        else:
            print_row((target, quote.source.value, _shown(quote.price)))


@app.command()
def update(
    file: Annotated[Path, typer.Argument(help="A price list in litellm's format (JSON).")],
    config: ConfigOption = Path("sluicegate.yaml"),
) -> None:
    """Check a price list and use it from the next start on, in place of the bundled one. Noted in the audit log."""
    from billing.bundled import BundledList, PriceListError
    from gateway.routing.catalogue import PRICES_FILE
    from gateway.storage.audit import Actor, Change, write_audit

    loaded = load(config, check_files=False)
    if loaded.prices.file is not None:
        raise UsageError(f"{config} names its own list (prices.file: {loaded.prices.file}), which goes before this one")
    try:
        models = list(BundledList(file).every())
    except PriceListError as error:
        raise CommandError(str(error)) from None
    priced = sum(facts.price is not None for facts in models)
    if not priced:
        raise CommandError(f"{file} has no price in litellm's format that can be used")
    target = loaded.server.state_dir / PRICES_FILE
    content = file.read_bytes()
    change = Change("prices.update", printable(file.name), _facts(target), _facts(file))
    now = datetime.now(UTC)

    async def work(database: AsyncEngine) -> None:
        async with database.begin() as connection:
            await write_audit(connection, Actor(id="cli", name="cli"), change, now)
            try:
                await asyncio.to_thread(_put, content, target)
            except OSError as error:  # takes the entry back
                raise CommandError(f"{target} cannot be written: {error.strerror}") from None

    with_database(loaded, work)
    typer.echo(f"{target}: {len(models)} models, {priced} with a price; used from the next start on")
    reasons = Counter(facts.reason for facts in models if facts.reason is not None)
    for reason, count in reasons.most_common(REASONS_SHOWN):
        typer.echo(f"{count} without: {reason}", err=True)


def _facts(file: Path) -> dict[str, Any] | None:
    """Which list it is, for the audit log; None if there is none."""
    from billing.bundled import BundledList, PriceListError

    try:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    except FileNotFoundError:
        return None
    try:
        models = sum(1 for _ in BundledList(file).every())
    except PriceListError:
        models = 0
    return {"sha256": digest, "models": models}


def _shown(price: Price) -> str:
    parts = {name: value for name, value in price.snapshot().items() if name != "tiers"}
    tiers = [f"above {tier.pop('above')}: {_pairs(tier)}" for tier in price.snapshot().get("tiers", [])]
    return "; ".join([_pairs(parts), *tiers])


def _pairs(parts: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in parts.items())


def _put(content: bytes, target: Path) -> None:
    """Write the whole file or leave the old one: a gate may be starting just now."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
