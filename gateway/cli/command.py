"""The command's frame: options every command shares, and errors as one line on standard error.

Exit codes: 0 done, 1 a failure, 2 bad usage or a bad configuration. Never a traceback.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.exceptions import TyperException

from gateway.cli import difficulty, engine, guard, keys, prices, reconcile, reprice, usage
from gateway.cli.common import CommandError, ConfigOption, UsageError, fail, load
from gateway.version import VERSION

if TYPE_CHECKING:
    from gateway.config import Config

HostOption = Annotated[str | None, typer.Option(help="Overrides server.host.")]
PortOption = Annotated[int | None, typer.Option(min=0, max=65535, help="Overrides server.port; 0: any free one.")]

app = typer.Typer(
    name="sluicegate",
    help="One gate in front of every language model a company uses.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(keys.app, name="keys")
app.add_typer(guard.app, name="guard")
app.add_typer(difficulty.app, name="difficulty")
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
    host: HostOption = None,
    port: PortOption = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the port; more than one need Redis.")] = 1,
) -> None:
    """Serve until SIGINT or SIGTERM."""
    read = _reader(config, host, port)
    settings = read()
    if workers > 1:
        raise typer.Exit(_serve_with(workers, settings, config, host, port))
    from gateway.cli.welcome import print_welcome
    from gateway.server import run
    from gateway.server import serve as serve_config
    from gateway.telemetry.logs import configure

    configure(settings.telemetry.log_level)
    model = settings.models[0].name
    run(lambda: serve_config(settings, read, lambda parts, url: print_welcome(url, model, parts.admin_key_file)))


@app.command(hidden=True)
def worker(
    sock: Annotated[int, typer.Option(help="Descriptor of the socket to serve on.")],
    link: Annotated[int, typer.Option(help="Descriptor of the socket to the parent.")],
    config: ConfigOption = Path("sluicegate.yaml"),
    host: HostOption = None,
    port: PortOption = None,
) -> None:
    """One of the processes of `serve --workers`, which starts it."""
    read = _reader(config, host, port)
    settings = read()
    from gateway.server import run, serve_worker
    from gateway.telemetry.logs import configure
    from gateway.telemetry.worker_metrics import VARIABLE
    from gateway.worker_link import WorkerLink

    configure(settings.telemetry.log_level)
    with socket.socket(fileno=sock) as listening, socket.socket(fileno=link) as parent:
        listening.setblocking(False)
        run(lambda: serve_worker(settings, read, listening, WorkerLink(parent), Path(os.environ[VARIABLE])))


def _reader(path: Path, host: str | None, port: int | None) -> Callable[[], Config]:
    """What reads the file, with what the command line overrides."""
    given = {key: value for key, value in (("host", host), ("port", port)) if value is not None}

    def read() -> Config:
        loaded = load(path)
        return loaded.model_copy(update={"server": loaded.server.model_copy(update=given)})

    return read


def _serve_with(workers: int, settings: Config, path: Path, host: str | None, port: int | None) -> int:
    """Be the parent of so many workers. Returns the exit code."""
    if settings.shared_state.url.get_secret_value().startswith("memory:"):
        raise UsageError("--workers needs a shared_state of redis://…: workers count limits and budgets together")
    if settings.engine.models:
        raise UsageError("--workers does not go with engine.models: each worker would load every local model")
    from gateway.admission.admin_key import FILE_NAME
    from gateway.cli.welcome import print_welcome
    from gateway.listening import base_url, bind
    from gateway.telemetry.logs import configure
    from gateway.workers import Workers

    configure(settings.telemetry.log_level)
    key_file = settings.server.state_dir / FILE_NAME if settings.admin_key is None else None
    command = [sys.executable, "-m", "gateway", "worker", "--config", str(path)]
    command += ["--host", host] if host is not None else []
    command += ["--port", str(port)] if port is not None else []
    with bind(settings.server.host, settings.server.port, shared=True) as sock:
        url = base_url(sock)
        parent = Workers(workers, command, sock, lambda: print_welcome(url, settings.models[0].name, key_file))
        return asyncio.run(parent.run())


@app.command()
def check(config: ConfigOption = Path("sluicegate.yaml")) -> None:
    """Check a configuration file: every fault with its line."""
    loaded = load(config)
    from gateway.parts.guards import try_guards
    from gateway.routing.difficulty import build_difficulty_routers

    asyncio.run(try_guards(loaded))
    build_difficulty_routers(loaded)
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
