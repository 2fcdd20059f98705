"""Holds a provider's invoice against the ledger, by day (UTC) and by the provider's own model name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal, localcontext
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from sqlalchemy import BigInteger, func, literal_column, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.invoice import TOKENS, InvoiceLine
from billing.money import display, from_pico
from billing.rollup import MICROS, PICO_PER_MICRO
from billing.tables import from_micros, usage_records

AMOUNTS = (*TOKENS, "cost")
CENT = Decimal("0.01")
_EXACT = Context(prec=60)

Amounts = dict[str, Decimal]  # by the names of AMOUNTS; what an invoice does not say is missing


class Verdict(StrEnum):
    MATCH = "match"
    DIFFERS = "differs"
    ONLY_THEIRS = "only_theirs"
    ONLY_OURS = "only_ours"


@dataclass(frozen=True, slots=True)
class Match:
    """One model on one day. `ours` and `theirs` hold only what the invoice tells; zeros where one side has nothing."""

    day: date
    model: str
    verdict: Verdict
    theirs: Amounts
    ours: Amounts

    def shown(self) -> dict[str, Any]:
        return {"day": self.day.isoformat(), "model": self.model, "verdict": self.verdict.value} | _sides(
            self.theirs, self.ours
        )


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """`matches` are sorted by day and model. `left_out`: lines of the invoice from other days than were asked for."""

    matches: list[Match]
    theirs: Amounts
    ours: Amounts
    left_out: int

    @property
    def agrees(self) -> bool:
        return all(match.verdict is Verdict.MATCH for match in self.matches)

    def shown(self) -> dict[str, Any]:
        """JSON-able; costs as exact decimal strings of USD. A difference is theirs less ours."""
        return {
            "agrees": self.agrees,
            "lines": [match.shown() for match in self.matches],
            "total": _sides(self.theirs, self.ours),
            "left_out": self.left_out,
        }


async def reconcile(
    db: AsyncEngine,
    invoice: Iterable[InvoiceLine],
    since: date,
    until: date,
    *,
    target: str | None = None,
    models: Mapping[str, str] = MappingProxyType({}),
    tolerance: Decimal = CENT,
) -> Reconciliation:
    """Compare the days from `since` (included) to `until` (not included).

    `target` keeps only what the ledger booked to it. `models` tells an invoice's names of models in the ledger's words
    (`served_model`). Costs may differ by `tolerance` USD a day and model, tokens not at all.
    """
    with localcontext(_EXACT):
        theirs, told, left_out = _theirs(invoice, since, until, models)
        ours = await _ours(db, since, until, target, told)
        matches = [
            _match(day, model, theirs.get((day, model)), ours.get((day, model)), told, tolerance)
            for day, model in sorted({*theirs, *ours})
        ]
        return Reconciliation(
            matches,
            _total([match.theirs for match in matches], told),
            _total([match.ours for match in matches], told),
            left_out,
        )


_Sums = dict[tuple[date, str], Amounts]


def _theirs(
    invoice: Iterable[InvoiceLine], since: date, until: date, models: Mapping[str, str]
) -> tuple[_Sums, list[str], int]:
    """The invoice's sums, which amounts it tells at all, and how many of its lines lie outside."""
    sums: _Sums = defaultdict(lambda: defaultdict(Decimal))
    told: set[str] = set()
    left_out = 0
    for line in invoice:
        if not since <= line.day < until:
            left_out += 1
            continue
        place = sums[line.day, models.get(line.model, line.model)]
        for name in AMOUNTS:
            if (amount := getattr(line, name)) is not None:
                place[name] += amount
                told.add(name)
    return sums, [name for name in AMOUNTS if name in told], left_out


async def _ours(db: AsyncEngine, since: date, until: date, target: str | None, told: list[str]) -> _Sums:
    """The ledger's sums. A model with nothing of what the invoice tells (failed requests) is left out."""
    columns = usage_records.c
    micros = type_coerce(columns.at, BigInteger)
    day = micros - micros % literal_column(str(MICROS["day"]), BigInteger)
    million = literal_column(str(PICO_PER_MICRO), BigInteger)
    query = select(
        day.label("day"),
        func.coalesce(columns.served_model, "").label("served"),
        *(func.sum(columns[name]).label(name) for name in TOKENS),
        func.sum(columns.cost_pico // million).label("cost_micro"),
        func.sum(columns.cost_pico % million).label("cost_pico_rest"),
    ).where(columns.at >= _midnight(since), columns.at < _midnight(until))
    if target is not None:
        query = query.where(columns.target == target)
    async with db.connect() as connection:
        rows = (await connection.execute(query.group_by("day", "served"))).all()
    sums: _Sums = {}
    for row in rows:
        amounts = {name: Decimal(int(getattr(row, name))) for name in TOKENS}
        amounts["cost"] = from_pico(int(row.cost_micro) * PICO_PER_MICRO + int(row.cost_pico_rest))
        if any(amounts[name] for name in told or AMOUNTS):
            sums[from_micros(int(row.day)).date(), row.served] = amounts
    return sums


def _match(
    day: date, model: str, theirs: Amounts | None, ours: Amounts | None, told: list[str], tolerance: Decimal
) -> Match:
    left = {name: (theirs or {}).get(name, Decimal(0)) for name in told}
    right = {name: (ours or {}).get(name, Decimal(0)) for name in told}
    allowed = {"cost": tolerance}
    agrees = all(abs(left[name] - right[name]) <= allowed.get(name, 0) for name in told)
    if agrees and theirs is not None:
        verdict = Verdict.MATCH
    elif ours is None:
        verdict = Verdict.ONLY_THEIRS
    elif theirs is None:
        verdict = Verdict.ONLY_OURS
    else:
        verdict = Verdict.DIFFERS
    return Match(day, model, verdict, left, right)


def _total(sums: list[Amounts], told: list[str]) -> Amounts:
    return {name: sum((amounts[name] for amounts in sums), Decimal(0)) for name in told}


def _sides(theirs: Amounts, ours: Amounts) -> dict[str, Any]:
    difference = {name: theirs[name] - ours[name] for name in theirs}
    return {"theirs": _plain(theirs), "ours": _plain(ours), "difference": _plain(difference)}


def _plain(amounts: Amounts) -> dict[str, Any]:
    """The cost as `cost_usd`, a string; tokens as integers."""
    return {
        "cost_usd" if name == "cost" else name: display(amount) if name == "cost" else int(amount)
        for name, amount in amounts.items()
    }


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
