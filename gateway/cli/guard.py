"""`sluicegate guard`: what a configured guard says of a text."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import orjson
import typer

from gateway.cli.common import ConfigOption, UsageError, load

app = typer.Typer(help="Try the configured guards.", no_args_is_help=True)


@app.command("test")
def test_guard(
    name: Annotated[str, typer.Argument(help="The guard's name in the configuration.")],
    config: ConfigOption = Path("sluicegate.yaml"),
) -> None:
    """Read a text from standard input; print the guard's verdict as JSON."""
    from gateway.parts.guards import build_guards
    from guards.check import check_text
    from guards.types import Stage

    runner = build_guards(load(config, check_files=False))
    guard = runner.guard(name)
    if guard is None:
        known = ", ".join(runner.names) or "none"
        raise UsageError(f"there is no guard {name!r}; configured: {known}")
    text = sys.stdin.buffer.read().decode("utf-8", "replace")
    verdict = asyncio.run(check_text(guard, text, Stage.INPUT))
    typer.echo(orjson.dumps(verdict, option=orjson.OPT_INDENT_2))
