"""The audit log: who changed what, when and from where. Written in the transaction of the change; nothing alters it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.storage.tables import audit_log


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who makes a change: a key ("admin" is the admin key, "cli" the command line), and where the request came from."""

    id: str
    name: str
    address: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What was changed: `action` like "key.create", `target` an id, its fields before and after. No secrets."""

    action: str
    target: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


async def write_audit(connection: AsyncConnection, actor: Actor, change: Change, now: datetime) -> None:
    """Note a change in the transaction it is made in. `before` and `after` must be JSON-able."""
    values = {
        "at": now,
        "actor_id": actor.id,
        "actor_name": actor.name,
        "address": actor.address,
        "request_id": actor.request_id,
        "action": change.action,
        "target": change.target,
        "before": change.before,
        "after": change.after,
    }
    await connection.execute(insert(audit_log).values(values))
