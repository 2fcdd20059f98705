"""`GET /admin/audit`: who changed what, when, and from where."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from gateway.admin.deps import Admin, may_read, transaction
from gateway.admin.pages import Filter, Instant, Limit, bad_cursor
from gateway.storage.audit import AuditFilter, audit_page

router = APIRouter(prefix="/admin/audit", tags=["audit"])


class AuditEntry(BaseModel):
    id: int
    at: datetime
    actor_id: str = Field(description='A key\'s id, "admin" for the admin key, "cli", or "signal" (SIGHUP).')
    actor_name: str
    address: str | None
    request_id: str | None
    action: str = Field(examples=["key.create"])
    target: str = Field(description="The id of what was changed.")
    before: dict[str, Any] | None = Field(description="The fields that changed, as they were; null: it was not there.")
    after: dict[str, Any] | None = Field(description="The fields that changed; null: it is there no more.")


class AuditPage(BaseModel):
    data: list[AuditEntry]
    next_cursor: str | None


@router.get("", dependencies=[Depends(may_read)], summary="List changes")
async def list_changes(
    admin: Admin,
    limit: Limit = 50,
    cursor: Annotated[str | None, Query(max_length=20)] = None,
    actor: Annotated[Filter, Query(description="Who made the change, by id.")] = None,
    action: Annotated[Filter, Query(description="Such as `key.create`.")] = None,
    target: Annotated[Filter, Query(description="What was changed, by id.")] = None,
    since: Annotated[Instant | None, Query(description="From this time on.")] = None,
    until: Annotated[Instant | None, Query(description="Before this time.")] = None,
) -> AuditPage:
    """The newest first. Nothing alters or removes an entry, and none has a secret in it."""
    asked = AuditFilter(actor=actor, action=action, target=target, since=since, until=until)
    before = _decode(cursor)
    async with transaction(admin) as connection:
        rows = await audit_page(connection, asked, limit + 1, before)
    entries = [AuditEntry(**row._mapping) for row in rows[:limit]]
    return AuditPage(data=entries, next_cursor=str(entries[-1].id) if len(rows) > limit else None)


def _decode(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdecimal() and int(cursor) < 2**63):
        raise bad_cursor()
    return int(cursor)
