"""From the hash of a secret to who may use it: the key with its user and team, in one query."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Label, Table, bindparam, select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.admission.principals import Principal, lower
from gateway.storage import keys, owners
from gateway.storage.keys import StoredKey
from gateway.storage.owners import Owner
from gateway.storage.tables import api_keys, key_secrets, teams, users


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A secret that was found. `principal` holds until `ends_at` (None: for good), if the key is not `revoked`."""

    principal: Principal
    revoked: bool
    ends_at: datetime | None

    def usable(self, now: datetime) -> bool:
        return not self.revoked and (self.ends_at is None or now < self.ends_at)


def _labelled(table: Table) -> list[Label[Any]]:
    return [column.label(f"{table.name}_{column.name}") for column in table.c]


def _part(columns: dict[str, Any], table: Table) -> dict[str, Any]:
    return {column.name: columns[f"{table.name}_{column.name}"] for column in table.c}


_LOOK_UP = (
    select(*(label for table in (key_secrets, api_keys, users, teams) for label in _labelled(table)))
    .select_from(key_secrets)
    .join(api_keys, api_keys.c.id == key_secrets.c.key_id)
    .outerjoin(users, users.c.id == api_keys.c.user)
    .outerjoin(teams, teams.c.id == api_keys.c.team)
    .where(key_secrets.c.hash == bindparam("digest"))
)


class Credentials:
    """Looks secrets up. Keys are changed in `gateway.storage.keys`."""

    def __init__(self, database: AsyncEngine) -> None:
        self._database = database

    async def find(self, digest: str) -> Credential | None:
        """The credential of the secret with that hash. Raises what the driver raises."""
        async with self._database.connect() as connection:
            row = (await connection.execute(_LOOK_UP, {"digest": digest})).one_or_none()
        if row is None or not hmac.compare_digest(row.key_secrets_hash, digest):
            return None
        columns = dict(row._mapping)
        secret = _part(columns, key_secrets)
        key = keys.from_columns({**_part(columns, api_keys), "hint": secret["hint"]})
        user = owners.from_columns(_part(columns, users)) if row.users_id is not None else None
        team = owners.from_columns(_part(columns, teams)) if row.teams_id is not None else None
        ends = [end for end in (key.fields.expires_at, secret["expires_at"]) if end is not None]
        return Credential(
            principal=principal_of(key, user, team), revoked=key.revoked_at is not None, ends_at=min(ends, default=None)
        )


def principal_of(key: StoredKey, user: Owner | None, team: Owner | None) -> Principal:
    """What the three say together: every allow-list, all guards, the nearest's tags, the lower role, all limits."""
    fields = key.fields
    parts = [("key", key.id, fields.policy)]
    parts += [("user", user.id, user.fields.policy)] if user is not None else []
    parts += [("team", team.id, team.fields.policy)] if team is not None else []
    policies = [policy for _, _, policy in parts]
    role = fields.role
    if user is not None and user.fields.role is not None:
        role = lower(role, user.fields.role)
    bindings = (policy.binding(kind, owner_id) for kind, owner_id, policy in parts)
    return Principal(
        key_id=key.id,
        key_name=fields.name,
        role=role,
        team=fields.team,
        user=fields.user,
        models=tuple(policy.models for policy in policies if policy.models is not None),
        guards=tuple(dict.fromkeys(guard for policy in policies for guard in policy.guards)),
        tags={name: value for policy in reversed(policies) for name, value in policy.tags.items()},
        bindings=tuple(binding for binding in bindings if binding is not None),
    )
