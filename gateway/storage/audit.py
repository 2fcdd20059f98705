"""The audit log: who changed what, when and from where. Written in the transaction of the change; nothing alters it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.storage.tables import audit_log


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who makes a change: a key ("admin" is the admin key, "cli" the command line), and where the request came from."""

    id: str
    name: str
    address: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What was changed: `action` like "key.create", `target` an id, its fields before and after. No secrets."""

    action: str
    target: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of two descriptions of one thing the fields that differ, before and after."""
    differing = [name for name, value in after.items() if before.get(name) != value]
    return {name: before.get(name) for name in differing}, {name: after[name] for name in differing}


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


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which entries are asked for; `since` is included, `until` is not."""

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def audit_page(
    connection: AsyncConnection, asked: AuditFilter, limit: int, before: int | None = None
) -> Sequence[Row[Any]]:
    """Rows of the log, the newest first, from those older than the row of the id `before` on."""
    log = audit_log.c
    query = select(audit_log).order_by(log.id.desc()).limit(limit)
    conditions = [
        (log.actor_id, asked.actor),
        (log.action, asked.action),
        (log.target, asked.target),
    ]
    for column, value in conditions:
        if value is not None:
            query = query.where(column == value)
    if asked.since is not None:
        query = query.where(log.at >= asked.since)
    if asked.until is not None:
        query = query.where(log.at < asked.until)
    if before is not None:
        query = query.where(log.id < before)
    return (await connection.execute(query)).all()
