"""The command's frame: options every command shares, and errors as one line on standard error.

Exit codes: 0 done, 1 a failure, 2 bad usage or a bad configuration. Never a traceback.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from gateway.cli import engine, guard, keys, prices, reconcile, reprice, usage
from gateway.cli.common import CommandError, ConfigOption, UsageError, fail, load
from gateway.version import VERSION

app = typer.Typer(
    name="sluicegate",
    help="One gate in front of every language model a company uses.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(keys.app, name="keys")
app.add_typer(guard.app, name="guard")
app.add_typer(engine.app, name="engine")
app.add_typer(prices.app, name="prices")
prices.app.command("reprice")(reprice.reprice)
app.command("usage")(usage.usage)
app.command("reconcile")(reconcile.reconcile)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"sluicegate {VERSION}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """One gate in front of every language model a company uses."""


@app.command()
def serve(
    config: ConfigOption = Path("sluicegate.yaml"),
    host: Annotated[str | None, typer.Option(help="Overrides server.host.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Overrides server.port; 0: any free one.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes. This version serves with one.")] = 1,
) -> None:
    """Serve until SIGINT or SIGTERM."""
    if workers != 1:
        raise UsageError(
            "this version serves with one worker a process; "
            "run replicas on ports of their own with shared_state in a Valkey"
        )
    loaded = load(config)
    server = loaded.server.model_copy(
        update={key: value for key, value in (("host", host), ("port", port)) if value is not None}
    )
    from gateway.cli.welcome import print_welcome
    from gateway.server import run
    from gateway.server import serve as serve_config
    from gateway.telemetry.logs import configure

    configure(loaded.telemetry.log_level)
    settings = loaded.model_copy(update={"server": server})
    run(lambda: serve_config(settings, print_welcome))


@app.command()
def check(config: ConfigOption = Path("sluicegate.yaml")) -> None:
    """Check a configuration file: every fault with its line."""
    loaded = load(config)
    from gateway.parts import build_guards

    build_guards(loaded)
    typer.echo(f"{config}: ok ({len(loaded.models)} models, {len(loaded.guards)} guards)")


@app.command()
def migrate(config: ConfigOption = Path("sluicegate.yaml")) -> None:
    """Bring the database's schema up to date."""
    loaded = load(config, check_files=False)
    from gateway.cli.common import with_database
    from gateway.storage import database as storage

    async def work(database: Any) -> None:
        await storage.migrate(database)

    with_database(loaded, work)
    typer.echo("the database is up to date")


def main() -> None:
    """The console script's entry point."""
    try:
        code = app(standalone_mode=False)
    except typer.Exit as leaving:
        code = leaving.exit_code
    except CommandError as error:
        code = fail(str(error), error.exit_code)
    except TyperException as error:
        code = fail(error.format_message(), 2)
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at exit
        code = 1
    except Exception as error:
        code = _failed(error)
    sys.exit(code if isinstance(code, int) else 0)


def _failed(error: Exception) -> int:
    from gateway.config import ConfigError

    if isinstance(error, ConfigError):
        print(error, file=sys.stderr)
        return 2
    from gateway.telemetry.scrub import scrub

    return fail(scrub(f"{error}" if str(error) else type(error).__name__), 1)
