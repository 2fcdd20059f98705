"""Keys in the database: made, found by their hash, listed, revoked. The secret itself is seen once, by its maker."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.admission.principals import Principal, Role
from gateway.storage.tables import api_keys

PREFIX = "sg-"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """What an operator decides about a key."""

    name: str
    role: Role = Role.CLIENT
    team: str | None = None
    user: str | None = None
    models: tuple[str, ...] | None = None
    guards: tuple[str, ...] = ()
    tags: dict[str, str] | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """A key as it is stored. `hint` is the end of its secret."""

    id: str
    hint: str
    name: str
    role: Role
    team: str | None
    user: str | None
    models: tuple[str, ...] | None
    guards: tuple[str, ...]
    tags: dict[str, str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def usable(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def principal(self) -> Principal:
        return Principal(
            key_id=self.id,
            key_name=self.name,
            role=self.role,
            team=self.team,
            user=self.user,
            models=self.models,
            guards=self.guards,
            tags=self.tags,
        )


def hash_secret(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


class KeyRepository:
    def __init__(self, database: AsyncEngine) -> None:
        self._database = database

    async def create(self, new: NewKey, now: datetime) -> tuple[StoredKey, str]:
        """Store a new key; return it with its secret, which cannot be had again."""
        secret = PREFIX + secrets.token_urlsafe(32)
        values: dict[str, Any] = {
            "id": "key_" + secrets.token_hex(12),
            "hash": hash_secret(secret),
            "hint": secret[-4:],
            "name": new.name,
            "role": new.role.value,
            "team": new.team,
            "user": new.user,
            "models": None if new.models is None else list(new.models),
            "guards": list(new.guards),
            "tags": dict(new.tags or {}),
            "created_at": now,
            "expires_at": new.expires_at,
        }
        async with self._database.begin() as connection:
            row = (await connection.execute(insert(api_keys).values(values).returning(*_COLUMNS))).one()
        return _stored(row), secret

    async def find_by_hash(self, digest: str) -> StoredKey | None:
        return await self._one(select(*_COLUMNS).where(api_keys.c.hash == digest))

    async def get(self, key_id: str) -> StoredKey | None:
        return await self._one(select(*_COLUMNS).where(api_keys.c.id == key_id))

    async def page(self, limit: int, after: tuple[datetime, str] | None = None) -> Sequence[StoredKey]:
        """Keys in the order they were made, from behind `after` (a key's created_at and id) on."""
        query = select(*_COLUMNS).order_by(api_keys.c.created_at, api_keys.c.id).limit(limit)
        if after is not None:
            query = query.where(tuple_(api_keys.c.created_at, api_keys.c.id) > after)
        async with self._database.connect() as connection:
            return [_stored(row) for row in await connection.execute(query)]

    async def revoke(self, key_id: str, now: datetime) -> StoredKey | None:
        """Revoke a key, once: a second call keeps the first one's time. None if there is no such key."""
        change = update(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
        async with self._database.begin() as connection:
            await connection.execute(change.values(revoked_at=now))
        return await self.get(key_id)

    async def _one(self, query: Any) -> StoredKey | None:
        async with self._database.connect() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _stored(row)


_COLUMNS = [column for column in api_keys.c if column.name != "hash"]


def _stored(row: Row[Any]) -> StoredKey:
    fields = dict(row._mapping)
    models = fields.pop("models")
    return StoredKey(
        **{**fields, "role": Role(fields["role"]), "guards": tuple(fields["guards"])},
        models=None if models is None else tuple(models),
    )
