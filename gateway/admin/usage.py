"""`GET /admin/usage`: what was used and what it cost, from the ledger."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime

from billing.reports import ReportError, usage
from gateway.admin.deps import AdminContext, context, may_read
from gateway.errors import InvalidRequest

FLUSH_SECONDS = 2.0

router = APIRouter(prefix="/admin", tags=["usage"])


@router.get("/usage", dependencies=[Depends(may_read)])
async def get_usage(
    admin: Annotated[AdminContext, Depends(context)],
    group_by: Annotated[
        str, Query(description="Comma-separated: key, team, user, model, target, endpoint, tag:NAME")
    ] = "",
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    bucket: Literal["hour", "day"] | None = None,
) -> dict[str, Any]:
    """Exact sums, this process's finished requests included. `cost_usd` is a decimal string.

    `since` is included, `until` is not.
    """
    with suppress(TimeoutError):  # a ledger that cannot catch up shows as sluicegate_ledger_lag_seconds
        async with asyncio.timeout(FLUSH_SECONDS):
            await admin.ledger.flush()
    groups = [name.strip() for name in group_by.split(",") if name.strip()]
    try:
        report = await usage(
            admin.database,
            groups,
            since=since or datetime.fromtimestamp(0, UTC),
            until=until or datetime.max.replace(tzinfo=UTC),
            bucket=bucket,
        )
    except ReportError as error:
        raise InvalidRequest(str(error), param="group_by", code="invalid_value") from None
    return {"rows": report.rows, "total": report.total}
