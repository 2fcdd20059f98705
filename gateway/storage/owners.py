"""Teams and users: whose keys there are, and what binds all of their keys together. Every change is audited.

A key names its team and user by id, whether or not there is a row of that id here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Table, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.admission.principals import Role
from gateway.storage.audit import Actor, Change, changes, write_audit
from gateway.storage.policies import Policy
from gateway.storage.rows import in_pages, insert_if_new, lock_row
from gateway.storage.tables import api_keys, teams, users

MAX_ID = 100  # characters that the tables' columns hold


@dataclass(frozen=True, slots=True)
class Kind:
    """Team or user: its table, and the column of a key that names one."""

    word: str
    table: Table
    of_key: Column[str | None]


TEAM = Kind("team", teams, api_keys.c.team)
USER = Kind("user", users, api_keys.c.user)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerFields:
    """What an operator decides about a team or user. `role` is the highest a user's keys can have; a team has None."""

    name: str
    role: Role | None
    policy: Policy

    def as_json(self) -> dict[str, Any]:
        role = {} if self.role is None else {"role": self.role.value}
        return {"name": self.name, **role, **self.policy.columns()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A team or user as it is stored."""

    id: str
    fields: OwnerFields
    created_at: datetime
    updated_at: datetime
    version: int


async def create(
    connection: AsyncConnection, actor: Actor, kind: Kind, owner_id: str, fields: OwnerFields, now: datetime
) -> Owner | None:
    """Store a new one; None if the id is taken."""
    values = {"id": owner_id, **fields.as_json(), "created_at": now, "updated_at": now, "version": 1}
    if not await insert_if_new(connection, kind.table, values):
        return None
    await write_audit(connection, actor, Change(f"{kind.word}.create", owner_id, None, fields.as_json()), now)
    return Owner(id=owner_id, fields=fields, created_at=now, updated_at=now, version=1)


async def get(connection: AsyncConnection, kind: Kind, owner_id: str) -> Owner | None:
    row = (await connection.execute(select(kind.table).where(kind.table.c.id == owner_id))).one_or_none()
    return None if row is None else from_columns(row._asdict())


async def lock(connection: AsyncConnection, kind: Kind, owner_id: str) -> Owner | None:
    """The one of that id, unchanged by anyone else until the transaction ends."""
    await lock_row(connection, kind.table, owner_id)
    return await get(connection, kind, owner_id)


async def change(
    connection: AsyncConnection, actor: Actor, kind: Kind, owner: Owner, fields: OwnerFields, now: datetime
) -> Owner:
    """Give a locked one new fields. Nothing happens where none differs."""
    before, after = changes(owner.fields.as_json(), fields.as_json())
    if not after:
        return owner
    version = owner.version + 1
    values = {**fields.as_json(), "updated_at": now, "version": version}
    await connection.execute(update(kind.table).where(kind.table.c.id == owner.id).values(values))
    await write_audit(connection, actor, Change(f"{kind.word}.update", owner.id, before, after), now)
    return Owner(id=owner.id, fields=fields, created_at=owner.created_at, updated_at=now, version=version)


async def remove(connection: AsyncConnection, actor: Actor, kind: Kind, owner: Owner, now: datetime) -> None:
    await connection.execute(delete(kind.table).where(kind.table.c.id == owner.id))
    await write_audit(connection, actor, Change(f"{kind.word}.delete", owner.id, owner.fields.as_json(), None), now)


async def page(
    connection: AsyncConnection, kind: Kind, limit: int, after: tuple[datetime, str] | None, q: str | None
) -> Sequence[Owner]:
    """In the order they were made, from behind `after` (created_at and id) on. `q` is in the name or the id."""
    query = in_pages(select(kind.table), kind.table, limit, after, q)
    return [from_columns(row._asdict()) for row in await connection.execute(query)]


async def resolve(connection: AsyncConnection, kind: Kind, label: str | None) -> str | None:
    """The id `label` means: itself, unless it is no id and the name of exactly one."""
    if label is None:
        return None
    table = kind.table
    query = select(table.c.id).where(or_(table.c.id == label, table.c.name == label))
    found = list((await connection.execute(query)).scalars())
    return found[0] if len(found) == 1 else label


def from_columns(columns: Mapping[str, Any]) -> Owner:
    role = columns.get("role")
    policy = Policy.from_columns(columns)
    return Owner(
        id=columns["id"],
        fields=OwnerFields(name=columns["name"], role=None if role is None else Role(role), policy=policy),
        created_at=columns["created_at"],
        updated_at=columns["updated_at"],
        version=columns["version"],
    )
