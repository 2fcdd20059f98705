"""Sums over the ledger: what was used and what it cost, by key, team, user, model, target, endpoint or tag.

Whole hours and days come from `usage_sums`, the edges of a period from the rows, in one statement and so from one
state of the database; a report along more than one dimension beside the model is made from the rows alone. Money is
summed as integers inside SQL and never rounded; see `billing.money` for the ranges.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from sqlalchemy import Row, union_all
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.groups import ReportError
from billing.money import display, from_pico
from billing.periods import Bucket
from billing.plan import TOKENS, Plan
from billing.rollup import PICO_PER_MICRO, TAG
from billing.tables import from_micros

__all__ = ["Bucket", "Report", "ReportError", "spent", "usage"]

MAX_ROWS = 100_000
FOREVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Report:
    """`rows` are sorted by bucket, then by the groups in the order asked, with missing ids last.

    A row holds `bucket` (its beginning, "2026-01-31T10:00:00Z") if asked, each group's id or None under the
    group's name, `key_name` beside `key`, and like `total` the sums `requests`, `input_tokens`,
    `cached_input_tokens`, `output_tokens` and `cost_usd` (an exact decimal string).
    """

    rows: list[dict[str, Any]]
    total: dict[str, Any]


async def usage(
    db: AsyncEngine,
    group_by: Sequence[str],
    since: datetime,
    until: datetime,
    bucket: Bucket | None = None,
    where: Mapping[str, str | None] = MappingProxyType({}),
) -> Report:
    """Sum the requests that came in from `since` (included) to `until` (not included), both aware.

    `group_by` takes key, team, user, model, target, endpoint and `tag:NAME`; empty means one sum of all.
    `where` keeps only rows with that id (None: with no id) of such a group. Buckets are hours or days of UTC.
    A key that was renamed has the alphabetically last of its names in the period.
    Raises ReportError for an unknown group, a bad tag name, a naive time, too many groups or more than `MAX_ROWS`.
    """
    plan = Plan(group_by, bucket, where, db.dialect.name)
    if not (queries := plan.queries(since, until)):
        return Report([], _shown(_NOTHING))
    async with db.connect() as connection:
        found = (await connection.execute(union_all(*queries).limit(MAX_ROWS + 1))).all()
    if len(found) > MAX_ROWS:
        raise ReportError(f"the report has more than {MAX_ROWS:,} rows; ask for a shorter period or larger buckets")
    return await asyncio.to_thread(_report, plan, found)  # many rows would hold the event loop up


async def spent(
    db: AsyncEngine,
    *,
    since: datetime,
    until: datetime | None,
    key: str | None = None,
    team: str | None = None,
    user: str | None = None,
    tag: tuple[str, str] | None = None,
) -> int:
    """Pico-dollars spent from `since` (included) to `until` (not included; None: to the end), both aware.

    By one key, team, user (with keys that were the user's then) or tag (name, value), or by all.
    Raises ReportError if more than one is given.
    """
    where = {name: value for name, value in (("key", key), ("team", team), ("key_user", user)) if value is not None}
    if tag is not None:
        where[TAG + tag[0]] = tag[1]
    if len(where) > 1:
        raise ReportError("spending is summed of one key, team, user or tag")
    if not (queries := Plan((), None, where, db.dialect.name).queries(since, until or FOREVER)):
        return 0
    async with db.connect() as connection:
        return sum(_amounts(row)[-1] for row in await connection.execute(union_all(*queries)) if row.requests)


def _report(plan: Plan, found: Iterable[Row[Any]]) -> Report:
    """Put together what the statements found; see `Plan` for what `own` and `left` mean."""
    count = len(plan.group_by)
    width = count if plan.bucket is None else count + 1
    place = plan.group_by.index(plan.dimension) if plan.dimension in plan.group_by else None
    sums: dict[tuple[Any, ...], _Amounts] = {}
    key_names: dict[tuple[Any, ...], str] = {}
    for row in found:
        if not row.requests:
            continue
        head = tuple(row[:width])
        amounts = _amounts(row)
        if row.own:
            _add(sums, head, amounts, 1)
            if "key" in plan.group_by:
                key_names[head] = max(key_names.get(head, ""), row.key_name)
        if row.left:
            if place is not None:
                head = (*head[:place], None, *head[place + 1 :])
            _add(sums, head, amounts, row.left)
    rows = []
    for head in sorted((head for head, amounts in sums.items() if amounts[0]), key=lambda head: _order(head, count)):
        shown: dict[str, Any] = {"bucket": _instant(int(head[count]))} if plan.bucket else {}
        for name, value in zip(plan.group_by, head, strict=False):
            shown[name] = value
            if name == "key":
                shown["key_name"] = key_names[head]
        rows.append(shown | _shown(sums[head]))
    return Report(rows, _shown([sum(column) for column in zip(_NOTHING, *sums.values(), strict=True)]))


_Amounts = list[int]  # requests, the kinds of TOKENS, pico-dollars
_NOTHING = [0] * (len(TOKENS) + 2)


def _amounts(row: Row[Any]) -> _Amounts:
    requests, *tokens, cost_micro, cost_pico_rest = map(int, row[-len(TOKENS) - 3 :])
    return [requests, *tokens, cost_micro * PICO_PER_MICRO + cost_pico_rest]


def _add(sums: dict[tuple[Any, ...], _Amounts], head: tuple[Any, ...], amounts: _Amounts, times: int) -> None:
    known = sums.setdefault(head, _NOTHING)
    sums[head] = [one + times * other for one, other in zip(known, amounts, strict=True)]


def _order(head: tuple[Any, ...], count: int) -> tuple[Any, ...]:
    return *head[count:], *((value is None, value or "") for value in head[:count])


@lru_cache(maxsize=2_048)
def _instant(micros: int) -> str:
    return from_micros(micros).strftime("%Y-%m-%dT%H:%M:%SZ")


def _shown(amounts: _Amounts) -> dict[str, Any]:
    requests, *tokens, cost_pico = amounts
    shown: dict[str, Any] = {"requests": requests}
    shown.update(zip(TOKENS, tokens, strict=True))
    shown["cost_usd"] = display(from_pico(cost_pico))
    return shown
