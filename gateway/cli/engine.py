"""`sluicegate engine`: look at a local model, or talk to it, without a gate."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from gateway.cli.common import CommandError, ConfigOption, UsageError, load

if TYPE_CHECKING:
    from engine.config import EngineConfig

app = typer.Typer(help="The local engine.", no_args_is_help=True)

ModelArgument = Annotated[str | None, typer.Argument(help="A name under engine.models; may be left out for one.")]


@app.command()
def chat(model: ModelArgument = None, config: ConfigOption = Path("sluicegate.yaml")) -> None:
    """Talk to a local model on the terminal."""
    configured = _configured(model, config)
    from engine.terminal import chat_in_terminal

    asyncio.run(chat_in_terminal(configured))


@app.command()
def info(model: ModelArgument = None, config: ConfigOption = Path("sluicegate.yaml")) -> None:
    """Load a local model and print what it is, as JSON."""
    configured = _configured(model, config)
    import msgspec

    from engine.client import EngineClient

    async def ask() -> dict[str, object]:
        client = EngineClient(configured)
        try:
            return msgspec.to_builtins(await client.start())  # type: ignore[no-any-return]
        finally:
            await client.close()

    typer.echo(orjson.dumps(asyncio.run(ask()), option=orjson.OPT_INDENT_2))


def _configured(name: str | None, path: Path) -> EngineConfig:
    models = load(path).engine_configs()
    if not models:
        raise CommandError(f"{path} configures no local model (engine.models)")
    if name is None:
        if len(models) > 1:
            raise UsageError(f"name one of the local models: {', '.join(sorted(models))}")
        return next(iter(models.values()))
    if name not in models:
        raise UsageError(f"there is no local model {name!r}; configured: {', '.join(sorted(models))}")
    return models[name]
