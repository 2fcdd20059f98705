"""What routing by difficulty saved, from the ledger: each request's bill beside the same usage at another tier's price.

"The same usage" is an assumption: another model would have answered at another length, and its tokenizer may count
otherwise. A price by engine time shows nothing for tokens that no engine of ours made. What was not served by a model
with `routing: difficulty` under its own name (a fallback into one) is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.cost import cost
from billing.money import display, from_pico, to_pico
from billing.prices import Price
from billing.tables import usage_records
from billing.usage import Usage
from gateway.config import Config
from gateway.routing.difficulty.decision import SHADOW_TAG, TIER_TAG
from gateway.routing.difficulty.model import TIERS, Tier

PAGE_ROWS = 500

PriceOf = Callable[[str, datetime], Price | None]
Targets = Mapping[str, Mapping[Tier, str]]  # by configured model: the target whose price stands for each tier

_USAGE = Usage.__struct_fields__
_COLUMNS = [usage_records.c[name] for name in ("id", "at", "requested_model", "target", "tags", "cost_pico", *_USAGE)]


@dataclass(slots=True)
class Sum:
    """Requests of one tier. Money is pico-dollars; of `requests` less `unpriced`, whose other price nobody knows.

    `other` is what the same usage costs elsewhere: at the hard tier for what was routed, at the decided tier for what
    was only watched.
    """

    requests: int = 0
    unpriced: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    billed: int = 0
    other: int = 0

    def add(self, usage: Usage, billed: int, other: int | None) -> None:
        self.requests += 1
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        if other is None:
            self.unpriced += 1
        else:
            self.billed += billed
            self.other += other


@dataclass(slots=True)
class ModelSavings:
    """One model's requests by decided tier: those that were routed, and those that were only watched."""

    routed: dict[Tier, Sum] = field(default_factory=lambda: {tier: Sum() for tier in TIERS})
    watched: dict[Tier, Sum] = field(default_factory=lambda: {tier: Sum() for tier in TIERS})
    undecided: int = 0  # without a decision in the row, such as from before the routing was configured

    def shown(self) -> dict[str, Any]:
        """JSON-able; costs are exact decimal strings of USD, negative where routing cost more."""
        return {
            "routed": [_routed(tier, self.routed[tier]) for tier in TIERS],
            "watched": [_watched(tier, self.watched[tier]) for tier in TIERS],
            "undecided": self.undecided,
            "saved_usd": _usd(sum(one.other - one.billed for one in self.routed.values())),
            "would_save_usd": _usd(sum(one.billed - one.other for one in self.watched.values())),
        }


def tier_targets(config: Config) -> dict[str, dict[Tier, str]]:
    """Of each model with `routing: difficulty` the first target of every tier's model: its price stands for the tier.

    Where a tier is itself such a model, its hard tier stands for it.
    """
    models = {model.name: model for model in config.models}
    return {
        model.name: {tier: models[getattr(model.difficulty, tier.value)].targets[0].name for tier in TIERS}
        for model in config.models
        if model.difficulty is not None
    }


async def savings(
    db: AsyncEngine,
    targets: Targets,
    price_of: PriceOf,
    since: datetime,
    until: datetime,
    *,
    page_rows: int = PAGE_ROWS,
) -> dict[str, ModelSavings]:
    """By model, for requests that came in from `since` (included) to `until` (not included), both aware.

    The other price is the one in force when the request came in.
    """
    found = {name: ModelSavings() for name in targets}
    query = _query(targets, since, until).limit(page_rows)
    page = query
    while True:
        async with db.connect() as connection:
            rows = (await connection.execute(page)).all()
        for row in rows:
            _count(found[row.requested_model], row, targets[row.requested_model], price_of)
        if len(rows) < page_rows:
            return found
        page = query.where(tuple_(usage_records.c.at, usage_records.c.id) > (rows[-1].at, rows[-1].id))


def _query(targets: Targets, since: datetime, until: datetime) -> Select[Any]:
    columns = usage_records.c
    query = select(*_COLUMNS).where(columns.at >= since, columns.at < until)
    return query.where(columns.requested_model.in_(list(targets))).order_by(columns.at, columns.id)


def _count(model: ModelSavings, row: Row[Any], targets: Mapping[Tier, str], price_of: PriceOf) -> None:
    try:
        tier = Tier(row.tags.get(TIER_TAG))
    except ValueError:
        model.undecided += 1
        return
    usage = Usage(**{name: getattr(row, name) for name in _USAGE})
    watched = SHADOW_TAG in row.tags
    # What was sent to the hard tier cost what it cost there, also where a second target of it answered.
    changed = row.tags[SHADOW_TAG] != tier if watched else tier is not Tier.HARD
    other: int | None = row.cost_pico
    if changed:
        price = price_of(targets[tier if watched else Tier.HARD], row.at)
        other = None if price is None else to_pico(cost(usage, price))
    (model.watched if watched else model.routed)[tier].add(usage, row.cost_pico, other)


def _routed(tier: Tier, found: Sum) -> dict[str, Any]:
    prices = {"billed_usd": found.billed, "at_hard_usd": found.other, "saved_usd": found.other - found.billed}
    return _counts(tier, found) | {name: _usd(pico) for name, pico in prices.items()}


def _watched(tier: Tier, found: Sum) -> dict[str, Any]:
    prices = {"billed_usd": found.billed, "at_tier_usd": found.other, "would_save_usd": found.billed - found.other}
    return _counts(tier, found) | {name: _usd(pico) for name, pico in prices.items()}


def _counts(tier: Tier, found: Sum) -> dict[str, Any]:
    return {
        "tier": tier.value,
        "requests": found.requests,
        "unpriced": found.unpriced,
        "input_tokens": found.input_tokens,
        "output_tokens": found.output_tokens,
    }


def _usd(pico: int) -> str:
    return display(from_pico(pico))
