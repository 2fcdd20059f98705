"""`sluicegate keys`: give out keys, list them, rotate their secrets, take them back, without a running gate."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from gateway.admission.limits import MAX_LIMIT
from gateway.admission.principals import Role, matches
from gateway.cli.common import CommandError, ConfigOption, UsageError, load, print_row, with_database

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from billing.budgets import Budget
    from gateway.storage.audit import Actor
    from gateway.storage.keys import StoredKey

T = TypeVar("T")

app = typer.Typer(help="Give out keys, list them, take them back.", no_args_is_help=True)

_BUDGET = re.compile(r"(?P<limit>[0-9]+(\.[0-9]+)?)/(?P<window>[a-z]+)(@(?P<zone>.+))?", re.ASCII)
_MAX_NAME = 200


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    config: ConfigOption = Path("sluicegate.yaml"),
    team: Annotated[str | None, typer.Option(help="The team's id, or its name.")] = None,
    user: Annotated[str | None, typer.Option(help="The user's id, or the name.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="A model it may use, or a pattern; may be repeated.")] = None,
    role: Annotated[Role, typer.Option()] = Role.CLIENT,
    rpm: Annotated[int | None, typer.Option(min=1, max=MAX_LIMIT, help="Requests per minute.")] = None,
    tpm: Annotated[int | None, typer.Option(min=1, max=MAX_LIMIT, help="Tokens per minute, in and out.")] = None,
    concurrent: Annotated[int | None, typer.Option(min=1, max=MAX_LIMIT, help="Requests at once.")] = None,
    budget: Annotated[list[str] | None, typer.Option(help="5.00/month[@Europe/Berlin]; may be repeated.")] = None,
    expires: Annotated[str | None, typer.Option(help="How long it works: 12h, 30d.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="feature=search; may be repeated.")] = None,
) -> None:
    """Make a key and print its secret, this once."""
    from gateway.admission.limits import Limits
    from gateway.storage import keys
    from gateway.storage.policies import Policy

    loaded = load(config, check_files=False)
    known = {configured.name for configured in loaded.models}
    for asked in model or []:
        if not any(matches(asked, configured) for configured in known):
            raise CommandError(f"the model {asked!r} is not configured; known: {', '.join(sorted(known))}")
    now = datetime.now(UTC)
    fields = keys.KeyFields(
        name=_label(name, "the name"),
        role=role,
        team=team and _label(team, "--team"),
        user=user and _label(user, "--user"),
        expires_at=now + _duration("--expires", expires) if expires else None,
        policy=Policy(
            models=tuple(model) if model else None,
            tags=dict(_tag(pair) for pair in tag or []),
            limits=Limits(requests_per_minute=rpm, tokens_per_minute=tpm, concurrent_requests=concurrent),
            budgets=_budgets(budget or []),
        ),
    )
    secret = keys.new_secret()

    async def work(database: AsyncEngine) -> StoredKey:
        async with database.begin() as connection:
            return await keys.create(connection, _actor(), fields, secret, now)

    stored = with_database(loaded, work)
    typer.echo(secret)
    typer.echo(f"{stored.id} is shown this once; keep it safe", err=True)


@app.command("list")
def list_keys(config: ConfigOption = Path("sluicegate.yaml")) -> None:
    """Print every key, one a line: id, end of the secret, state, role, team, name."""
    from gateway.storage import keys

    now = datetime.now(UTC)

    async def work(database: AsyncEngine) -> list[StoredKey]:
        found: list[StoredKey] = []
        async with database.connect() as connection:
            while page := await keys.page(connection, keys.KeyFilter(), 500, now, _behind(found)):
                found.extend(page)
        return found

    for key in with_database(load(config, check_files=False), work):
        fields = key.fields
        print_row((key.id, f"…{key.hint}", key.state(now), fields.role.value, fields.team or "-", fields.name))


@app.command()
def rotate(
    key_id: str,
    config: ConfigOption = Path("sluicegate.yaml"),
    grace: Annotated[str | None, typer.Option(help="How long the old secrets go on: 1h; at most 30d.")] = None,
) -> None:
    """Give a key a new secret and print it, this once."""
    from gateway.storage import keys

    now = datetime.now(UTC)
    going_on = _duration("--grace", grace) if grace and grace != "0" else timedelta(0)
    if going_on > keys.MAX_GRACE:
        raise UsageError("--grace: must be at most 30d")
    secret = keys.new_secret()

    async def work(database: AsyncEngine) -> None:
        async with database.begin() as connection:
            key = await _locked(connection, key_id)
            if key.revoked_at is not None:
                raise CommandError(f"{key_id} is revoked")
            await keys.rotate(connection, _actor(), key, secret, now + going_on, now)

    with_database(load(config, check_files=False), work)
    typer.echo(secret)
    typer.echo(f"{key_id} has a new secret, shown this once; keep it safe", err=True)


@app.command()
def revoke(key_id: str, config: ConfigOption = Path("sluicegate.yaml")) -> None:
    """Revoke a key for good."""
    from gateway.storage import keys

    now = datetime.now(UTC)

    async def work(database: AsyncEngine) -> None:
        async with database.begin() as connection:
            await keys.revoke(connection, _actor(), await _locked(connection, key_id), now)

    with_database(load(config, check_files=False), work)
    typer.echo(f"{key_id} is revoked")


def _actor() -> Actor:
    from gateway.storage.audit import Actor

    return Actor(id="cli", name="cli")


async def _locked(connection: AsyncConnection, key_id: str) -> StoredKey:
    from gateway.storage import keys

    key = await keys.lock(connection, key_id)
    if key is None:
        raise CommandError(f"there is no key {key_id!r}")
    return key


def _behind(found: Sequence[StoredKey]) -> tuple[datetime, str] | None:
    return (found[-1].created_at, found[-1].id) if found else None


def _duration(option: str, text: str) -> timedelta:
    from gateway.config.values import parse_duration

    try:
        return timedelta(seconds=parse_duration(text))
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def _label(text: str, what: str) -> str:
    if not text.strip() or len(text) > _MAX_NAME or not text.isprintable():
        raise UsageError(f"{what} must be 1 to {_MAX_NAME} printable characters")
    return text.strip()


def _tag(pair: str) -> tuple[str, str]:
    name, separator, value = pair.partition("=")
    if not separator:
        raise UsageError(f"--tag: {pair!r} must look like feature=search")
    return _label(name, "--tag: the name"), _label(value, "--tag: the value")


def _budgets(texts: Sequence[str]) -> tuple[Budget, ...]:
    from billing.budgets import BudgetError, check_distinct

    budgets = tuple(_budget(text) for text in texts)
    try:
        check_distinct(budgets)
    except BudgetError as error:
        raise UsageError(f"--budget: {error}") from None
    return budgets


def _budget(text: str) -> Budget:
    from billing.budgets import Budget, Window

    match = _BUDGET.fullmatch(text)
    if match is None or match["window"] not in set(Window):
        raise UsageError(f"--budget: {text!r} must look like 5.00/month or 5.00/day@Europe/Berlin")
    try:
        return Budget(limit=Decimal(match["limit"]), window=Window(match["window"]), timezone=match["zone"] or "UTC")
    except ValueError as error:
        raise UsageError(f"--budget: {error}") from None
