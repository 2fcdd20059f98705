"""`sluicegate difficulty`: train and judge the classifier of `routing: difficulty`, and tell what it saved."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import orjson
import typer

from gateway.cli.common import CommandError, ConfigOption, UsageError, load, print_row, with_database
from gateway.cli.usage import instant

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from gateway.routing.difficulty import DifficultyModel
    from gateway.routing.difficulty.rows import Row

T = TypeVar("T")

app = typer.Typer(help="Routing by difficulty: train, evaluate, try, report.", no_args_is_help=True)

DataOption = Annotated[Path, typer.Option("--data", help="Labelled prompts: JSONL with text and label.")]
ModelOption = Annotated[Path | None, typer.Option("--model", help="A weights file; the bundled one, if left out.")]


@app.command()
def train(
    data: DataOption,
    out: Annotated[Path, typer.Option("--out", help="The weights file to write.")],
    everything: Annotated[
        bool, typer.Option("--all", help="Train on held-out rows too; then nothing is told.")
    ] = False,
) -> None:
    """Train on labelled prompts, and tell as JSON how the weights do on the rows kept from training."""
    from gateway.routing.difficulty.evaluation import evaluate as judge
    from gateway.routing.difficulty.training import train as fit

    rows = _rows(data)
    kept = [] if everything else [row for row in rows if row.held_out]
    model = _checked(data, lambda: fit([row for row in rows if everything or not row.held_out]))
    try:
        out.write_bytes(model.to_json())
    except OSError as error:
        raise CommandError(f"{out} cannot be written: {error.strerror}") from None
    held_out = judge(model, kept).shown() if kept else None
    typer.echo(orjson.dumps({"trained_on": model.trained["rows"], "held_out": held_out}, option=orjson.OPT_INDENT_2))


@app.command()
def evaluate(
    data: DataOption,
    model: ModelOption = None,
    everything: Annotated[bool, typer.Option("--all", help="All rows: right for data not trained on.")] = False,
    thresholds: Annotated[str, typer.Option(help="Where the score is parted: two numbers from 0 to 1.")] = "0.35,0.7",
) -> None:
    """Tell as JSON how weights do on the held-out rows of labelled prompts."""
    from gateway.routing.difficulty.evaluation import evaluate as judge

    rows = [row for row in _rows(data) if everything or row.held_out]
    weights, parted = _weights(model), _thresholds(thresholds)
    found = _checked(data, lambda: judge(weights, rows, parted))
    typer.echo(orjson.dumps(found.shown(), option=orjson.OPT_INDENT_2))


@app.command("try")
def try_text(
    model: ModelOption = None,
    thresholds: Annotated[str, typer.Option(help="Where the score is parted: two numbers from 0 to 1.")] = "0.35,0.7",
) -> None:
    """Read a prompt from standard input; print its tier and score as JSON."""
    from gateway.routing.difficulty.decision import tier_of
    from gateway.routing.difficulty.features import Prompt, extract

    weights, parted = _weights(model), _thresholds(thresholds)
    prompt = Prompt(sys.stdin.buffer.read().decode("utf-8", "replace").strip())
    started = time.perf_counter()
    score = weights.score(extract(prompt))
    taken = time.perf_counter() - started
    shown = {"tier": tier_of(score, parted).value, "score": round(score, 4), "milliseconds": round(taken * 1e3, 3)}
    typer.echo(orjson.dumps(shown))


@app.command()
def report(
    config: ConfigOption = Path("sluicegate.yaml"),
    since: Annotated[str, typer.Option(help="How far back (30m, 24h, 7d, 4w), or a date (UTC).")] = "7d",
    until: Annotated[str | None, typer.Option(help="The same; now, if left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What routing saved: the bill beside the same usage at the price of the hard tier."""
    from billing.bundled import PriceListError
    from gateway.routing.catalogue import Catalogue
    from gateway.routing.difficulty.report import ModelSavings, savings, tier_targets
    from gateway.storage.prices import PriceRepository

    now = datetime.now(UTC)
    begin, end = instant("--since", since, now), now if until is None else instant("--until", until, now)
    loaded = load(config, check_files=False)
    if not (targets := tier_targets(loaded)):
        raise UsageError(f"{config} has no model with routing: difficulty")
    try:
        book = Catalogue(loaded, {}).price_book()
    except PriceListError as error:
        raise CommandError(str(error)) from None

    async def work(database: AsyncEngine) -> dict[str, ModelSavings]:
        book.replace_overrides(await PriceRepository(database).list())
        return await savings(database, targets, book.price, begin, end)

    found = {name: saved.shown() for name, saved in with_database(loaded, work).items()}
    if as_json:
        typer.echo(orjson.dumps({"models": [{"model": name, **shown} for name, shown in found.items()]}))
        return
    _print(found)


def _print(found: dict[str, dict[str, Any]]) -> None:
    counts = ("tier", "requests", "unpriced", "input_tokens", "output_tokens", "billed_usd")
    print_row(("model", "", *counts, "other_usd", "saved_usd"))
    for name, shown in found.items():
        for kind, other, saved in (
            ("routed", "at_hard_usd", "saved_usd"),
            ("watched", "at_tier_usd", "would_save_usd"),
        ):
            for line in shown[kind]:
                if line["requests"]:
                    print_row((name, kind, *(line[column] for column in (*counts, other, saved))))
        print_row((name, "saved", *[None] * len(counts), None, shown["saved_usd"]))
        if shown["undecided"]:
            typer.echo(f"{name}: {shown['undecided']} requests have no decision in the ledger", err=True)


def _rows(file: Path) -> list[Row]:
    from gateway.routing.difficulty.rows import read_rows

    try:
        with file.open("rb") as lines:
            return _checked(file, lambda: read_rows(lines))
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from None


def _checked(file: Path, work: Callable[[], T]) -> T:
    """What `work` returns. Raises CommandError for rows that it cannot use."""
    from gateway.routing.difficulty.rows import TrainingDataError

    try:
        return work()
    except TrainingDataError as error:
        raise CommandError(f"{file}: {error}") from None


def _weights(file: Path | None) -> DifficultyModel:
    from gateway.routing.difficulty import DifficultyModel, DifficultyModelError

    try:
        return DifficultyModel.load(file)
    except DifficultyModelError as error:
        raise CommandError(str(error) if file is None else f"{file}: {error}") from None


def _thresholds(text: str) -> tuple[float, float]:
    try:
        first, second = (float(part) for part in text.split(","))
    except ValueError:
        first, second = 1.0, 0.0
    if not 0 <= first <= second <= 1:
        raise UsageError(f"--thresholds: {text!r} must be two rising numbers from 0 to 1 with a comma between")
    return first, second
