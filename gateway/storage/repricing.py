"""Re-pricing with its entry in the audit log: who asked for it, and what it was to change."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from billing.reprice import PriceOf, Repricing, Selection, reprice
from gateway.storage.audit import Actor, Change, write_audit


async def reprice_audited(
    database: AsyncEngine, selection: Selection, price_of: PriceOf, actor: Actor, now: datetime
) -> Repricing:
    """Price the rows of `selection` anew and return what that changed. Raises RepriceError.

    The entry is written before the first row is changed, with the sums of a dry run: no change is without one, also
    when the work is cut off.
    """
    planned = (await reprice(database, selection, price_of, apply=False)).total.shown()
    asked: dict[str, Any] = {"since": selection.since.isoformat(), "until": selection.until.isoformat()}
    for name in ("model", "target", "key"):
        if (value := getattr(selection, name)) is not None:
            asked[name] = value
    change = Change(
        "usage.reprice",
        "usage",
        {"cost_usd": planned["before_usd"]},
        {"cost_usd": planned["after_usd"], "rows": planned["rows"], "changed": planned["changed"], "selection": asked},
    )
    async with database.begin() as connection:
        await write_audit(connection, actor, change, now)
    return await reprice(database, selection, price_of, apply=True)
