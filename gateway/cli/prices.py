"""`sluicegate prices`: what each target costs, and a newer price list, without a running gate."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.common import CommandError, ConfigOption, UsageError, load, with_database

if TYPE_CHECKING:
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
            typer.echo("\t".join((target, "-", book.reason(target) or "no price")))
        else:
            typer.echo("\t".join((target, quote.source.value, _shown(quote.price))))


@app.command()
def update(
    file: Annotated[Path, typer.Argument(help="A price list in litellm's format (JSON).")],
    config: ConfigOption = Path("sluicegate.yaml"),
) -> None:
    """Check a price list and use it from the next start on, in place of the bundled one."""
    from billing.bundled import BundledList, PriceListError
    from gateway.routing.catalogue import PRICES_FILE

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
    _put(file.read_bytes(), target)
    typer.echo(f"{target}: {len(models)} models, {priced} with a price; used from the next start on")
    reasons = Counter(facts.reason for facts in models if facts.reason is not None)
    for reason, count in reasons.most_common(REASONS_SHOWN):
        typer.echo(f"{count} without: {reason}", err=True)


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
