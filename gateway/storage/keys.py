"""Keys in the database: made, listed, changed, rotated, revoked. Every change is audited in its transaction.

A secret is seen once, by its maker; the database has its hash only.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.admission.principals import Role
from gateway.storage import owners
from gateway.storage.audit import Actor, Change, changes, write_audit
from gateway.storage.policies import Policy
from gateway.storage.rows import in_pages, lock_row
from gateway.storage.tables import api_keys, key_secrets

PREFIX = "sg-"
MAX_GRACE = timedelta(days=30)  # how long a replaced secret may go on


class KeyState(StrEnum):
    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFields:
    """What an operator decides about a key. `team` and `user` are ids."""

    name: str
    role: Role = Role.CLIENT
    team: str | None = None
    user: str | None = None
    expires_at: datetime | None = None
    policy: Policy = field(default_factory=Policy)

    def columns(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "role": self.role.value,
            "team": self.team,
            "user": self.user,
            "expires_at": self.expires_at,
            **self.policy.columns(),
        }

    def as_json(self) -> dict[str, Any]:
        return {**self.columns(), "expires_at": self.expires_at and self.expires_at.isoformat()}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """A key as it is stored. `hint` is the end of its newest secret."""

    id: str
    hint: str
    fields: KeyFields
    created_at: datetime
    updated_at: datetime
    revoked_at: datetime | None
    version: int

    def state(self, now: datetime) -> KeyState:
        if self.revoked_at is not None:
            return KeyState.REVOKED
        expires_at = self.fields.expires_at
        return KeyState.ACTIVE if expires_at is None or now < expires_at else KeyState.EXPIRED


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFilter:
    """Which keys are asked for. `q` is in the name or the id."""

    team: str | None = None
    user: str | None = None
    state: KeyState | None = None
    q: str | None = None


def new_secret() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def hash_secret(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


async def create(connection: AsyncConnection, actor: Actor, fields: KeyFields, secret: str, now: datetime) -> StoredKey:
    """Store a new key. Its team and user may be given by name."""
    fields = await _resolved(connection, fields)
    key = StoredKey(
        id="key_" + secrets.token_hex(12),
        hint=_hint(secret),
        fields=fields,
        created_at=now,
        updated_at=now,
        revoked_at=None,
        version=1,
    )
    values = {"id": key.id, **fields.columns(), "created_at": now, "updated_at": now, "version": 1}
    await connection.execute(insert(api_keys).values(values))
    await _add_secret(connection, key.id, secret, now)
    await write_audit(connection, actor, Change("key.create", key.id, None, fields.as_json()), now)
    return key


async def get(connection: AsyncConnection, key_id: str) -> StoredKey | None:
    row = (await connection.execute(_select().where(api_keys.c.id == key_id))).one_or_none()
    return None if row is None else from_columns(row._asdict())


async def lock(connection: AsyncConnection, key_id: str) -> StoredKey | None:
    """The key, unchanged by anyone else until the transaction ends."""
    await lock_row(connection, api_keys, key_id)
    return await get(connection, key_id)


async def change(
    connection: AsyncConnection, actor: Actor, key: StoredKey, fields: KeyFields, now: datetime
) -> StoredKey:
    """Give a locked key new fields. Nothing happens where none differs."""
    fields = await _resolved(connection, fields, key.fields)
    before, after = changes(key.fields.as_json(), fields.as_json())
    if not after:
        return key
    changed = replace(key, fields=fields, updated_at=now, version=key.version + 1)
    await _store(connection, changed, **fields.columns())
    await write_audit(connection, actor, Change("key.update", key.id, before, after), now)
    return changed


async def revoke(connection: AsyncConnection, actor: Actor, key: StoredKey, now: datetime) -> StoredKey:
    """Revoke a locked key, once: a second time changes nothing."""
    if key.revoked_at is not None:
        return key
    revoked = replace(key, revoked_at=now, updated_at=now, version=key.version + 1)
    await _store(connection, revoked, revoked_at=now)
    after = {"revoked_at": now.isoformat()}
    await write_audit(connection, actor, Change("key.revoke", key.id, {"revoked_at": None}, after), now)
    return revoked


async def rotate(
    connection: AsyncConnection, actor: Actor, key: StoredKey, secret: str, old_until: datetime, now: datetime
) -> StoredKey:
    """Give a locked key a new secret; those it has end at `old_until`, if they do not end before."""
    mine = key_secrets.c.key_id == key.id
    ends = key_secrets.c.expires_at
    await connection.execute(delete(key_secrets).where(mine, ends <= now))
    later = or_(ends.is_(None), ends > old_until)
    await connection.execute(update(key_secrets).where(mine, later).values(expires_at=old_until))
    await _add_secret(connection, key.id, secret, now)
    rotated = replace(key, hint=_hint(secret), updated_at=now, version=key.version + 1)
    await _store(connection, rotated)
    after = {"hint": rotated.hint, "old_secrets_until": old_until.isoformat()}
    await write_audit(connection, actor, Change("key.rotate", key.id, {"hint": key.hint}, after), now)
    return rotated


async def page(
    connection: AsyncConnection,
    asked: KeyFilter,
    limit: int,
    now: datetime,
    after: tuple[datetime, str] | None = None,
) -> Sequence[StoredKey]:
    """Keys in the order they were made, from behind `after` (a key's created_at and id) on."""
    column = api_keys.c
    query = in_pages(_select(), api_keys, limit, after, asked.q)
    if asked.team is not None:
        query = query.where(column.team == asked.team)
    if asked.user is not None:
        query = query.where(column.user == asked.user)
    if asked.state is not None:
        query = query.where(_in_state(asked.state, now))
    return [from_columns(row._asdict()) for row in await connection.execute(query)]


async def any_active(connection: AsyncConnection, kind: owners.Kind, owner_id: str, now: datetime) -> bool:
    """Whether a team or user has keys that work."""
    query = select(api_keys.c.id).where(kind.of_key == owner_id, _in_state(KeyState.ACTIVE, now)).limit(1)
    return (await connection.execute(query)).first() is not None


def from_columns(columns: Mapping[str, Any]) -> StoredKey:
    return StoredKey(
        id=columns["id"],
        hint=columns["hint"],
        fields=KeyFields(
            name=columns["name"],
            role=Role(columns["role"]),
            team=columns["team"],
            user=columns["user"],
            expires_at=columns["expires_at"],
            policy=Policy.from_columns(columns),
        ),
        created_at=columns["created_at"],
        updated_at=columns["updated_at"],
        revoked_at=columns["revoked_at"],
        version=columns["version"],
    )


def _select() -> Select[Any]:
    newest = and_(key_secrets.c.key_id == api_keys.c.id, key_secrets.c.expires_at.is_(None))
    return select(api_keys, key_secrets.c.hint).join(key_secrets, newest)


def _in_state(state: KeyState, now: datetime) -> ColumnElement[bool]:
    revoked, expires = api_keys.c.revoked_at, api_keys.c.expires_at
    if state is KeyState.REVOKED:
        return revoked.is_not(None)
    in_time = or_(expires.is_(None), expires > now)
    return and_(revoked.is_(None), in_time if state is KeyState.ACTIVE else ~in_time)


async def _resolved(connection: AsyncConnection, fields: KeyFields, known: KeyFields | None = None) -> KeyFields:
    """With the ids of its team and user, unless they are as they were: a key moves to no team made since."""
    team, user = fields.team, fields.user
    if known is None or team != known.team:
        team = await owners.resolve(connection, owners.TEAM, team)
    if known is None or user != known.user:
        user = await owners.resolve(connection, owners.USER, user)
    return replace(fields, team=team, user=user)


async def _store(connection: AsyncConnection, key: StoredKey, **values: Any) -> None:
    values |= {"updated_at": key.updated_at, "version": key.version}
    await connection.execute(update(api_keys).where(api_keys.c.id == key.id).values(values))


async def _add_secret(connection: AsyncConnection, key_id: str, secret: str, now: datetime) -> None:
    values = {"hash": hash_secret(secret), "key_id": key_id, "hint": _hint(secret), "created_at": now}
    await connection.execute(insert(key_secrets).values(values))


def _hint(secret: str) -> str:
    return secret[-4:]
