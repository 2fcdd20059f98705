"""`sluicegate keys`: give out keys, list them, take them back, without a running gate."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from gateway.admission.principals import Role
from gateway.cli.common import CommandError, ConfigOption, load, with_database

app = typer.Typer(help="Give out keys, list them, take them back.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    config: ConfigOption = Path("sluicegate.yaml"),
    team: Annotated[str | None, typer.Option()] = None,
    user: Annotated[str | None, typer.Option()] = None,
    model: Annotated[list[str] | None, typer.Option(help="A model the key may use; may be repeated.")] = None,
    role: Annotated[Role, typer.Option()] = Role.CLIENT,
) -> None:
    """Make a key and print its secret, this once."""
    from gateway.storage.keys import KeyRepository, NewKey

    loaded = load(config, check_files=False)
    known = {configured.name for configured in loaded.models}
    for asked in model or []:
        if asked not in known:
            raise CommandError(f"the model {asked!r} is not configured; known: {', '.join(sorted(known))}")
    new = NewKey(name=name, team=team, user=user, models=tuple(model) if model else None, role=role)
    stored, secret = with_database(loaded, lambda db: KeyRepository(db).create(new, datetime.now(UTC)))
    typer.echo(secret)
    typer.echo(f"{stored.id} is shown this once; keep it safe", err=True)


@app.command("list")
def list_keys(config: ConfigOption = Path("sluicegate.yaml")) -> None:
    """Print every key, one a line."""
    from gateway.storage.keys import KeyRepository, StoredKey

    async def all_keys(repository: KeyRepository) -> list[StoredKey]:
        found: list[StoredKey] = []
        while page := await repository.page(500, (found[-1].created_at, found[-1].id) if found else None):
            found.extend(page)
        return found

    loaded = load(config, check_files=False)
    now = datetime.now(UTC)
    for key in with_database(loaded, lambda db: all_keys(KeyRepository(db))):
        state = "usable" if key.usable(now) else ("revoked" if key.revoked_at else "expired")
        typer.echo("\t".join((key.id, f"…{key.hint}", state, key.role.value, key.team or "-", key.name)))


@app.command()
def revoke(key_id: str, config: ConfigOption = Path("sluicegate.yaml")) -> None:
    """Revoke a key for good."""
    from gateway.storage.keys import KeyRepository

    loaded = load(config, check_files=False)
    if with_database(loaded, lambda db: KeyRepository(db).revoke(key_id, datetime.now(UTC))) is None:
        raise CommandError(f"there is no key {key_id!r}")
    typer.echo(f"{key_id} is revoked")
