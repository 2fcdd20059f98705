"""`sluicegate guard`: what a configured guard says of a text."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import orjson
import typer

from gateway.cli.common import ConfigOption, UsageError, load
from gateway.config import Config
from guards.types import GuardConfigError, Scope, Stage

app = typer.Typer(help="Try the configured guards.", no_args_is_help=True)


@app.command("test")
def test_guard(
    name: Annotated[str, typer.Argument(help="The guard's name in the configuration.")],
    config: ConfigOption = Path("sluicegate.yaml"),
    stage: Annotated[Stage, typer.Option(help="Where the text stands.")] = Stage.INPUT,
    scope: Annotated[Scope, typer.Option(help="What the text is in its conversation.")] = Scope.USER,
) -> None:
    """Read a text from standard input; print the guard's verdict as JSON."""
    text = sys.stdin.buffer.read().decode("utf-8", "replace")
    verdict = asyncio.run(_check(load(config, check_files=False), name, text, stage, scope))
    typer.echo(orjson.dumps(verdict, option=orjson.OPT_INDENT_2))


async def _check(config: Config, name: str, text: str, stage: Stage, scope: Scope) -> dict[str, object]:
    from gateway.parts.guards import build_guards
    from guards.check import check_text
    from guards.resources import Resources

    resources = Resources()
    try:
        guards = build_guards(config, resources)
        entry = guards.installed(name)
        if entry is None:
            known = ", ".join(guards.names) or "none"
            raise UsageError(f"there is no guard {name!r}; configured: {known}")
        try:
            await entry.guard.prepare()
        except GuardConfigError as error:
            raise UsageError(f"the guard {name!r} cannot do what it is asked: {error}") from None
        try:
            return await check_text(entry, text, stage, scope)
        finally:
            await entry.guard.close()
    finally:
        await resources.close()
