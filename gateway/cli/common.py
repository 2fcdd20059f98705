"""What the commands share: the configuration option, the database, and how to fail."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from gateway.config import Config

T = TypeVar("T")

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")]


class CommandError(Exception):
    """A command cannot do what it was asked; the message is for the person who asked."""

    exit_code = 1


class UsageError(CommandError):
    """The command's words are wrong."""

    exit_code = 2


def load(path: Path, *, check_files: bool = True) -> Config:
    """The configuration. Raises ConfigError with every fault."""
    from gateway.config import load_config

    return load_config(path, os.environ, check_files=check_files)


def with_database(config: Config, work: Callable[[AsyncEngine], Awaitable[T]]) -> T:
    """Run `work` on the configured database, its schema brought up to date. Raises CommandError."""
    from sqlalchemy.exc import SQLAlchemyError

    from gateway.storage.database import migrate, open_database

    async def run() -> T:
        database = open_database(config.storage.url.get_secret_value())
        try:
            await migrate(database)
            return await work(database)
        finally:
            await database.dispose()

    try:
        return asyncio.run(run())
    except (SQLAlchemyError, OSError) as error:
        raise CommandError(f"the database cannot be used: {type(error).__name__}: {error}") from error


def printable(text: str) -> str:
    """With U+FFFD for what would break a table or command a terminal: callers write names, models and tags."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def print_row(cells: Iterable[object]) -> None:
    """A line of a table: cells with tabs between, nothing for None."""
    typer.echo("\t".join("" if cell is None else printable(str(cell)) for cell in cells))


def fail(message: str, code: int) -> int:
    """One line on standard error."""
    print("sluicegate: " + " ".join(message.split()), file=sys.stderr)
    return code
