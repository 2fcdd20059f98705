"""The sums kept beside the rows are the rows' sums, whoever writes how often and in whatever order."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from billkit import NOON, entry, ids_in
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from billing.entry import UsageEntry
from billing.money import MAX_PICO, from_pico
from billing.rollup import MICROS
from billing.store import UsageStore
from billing.tables import TEXT_LENGTH, metadata, to_micros, usage_sums
from billing.usage import Usage

AMOUNTS = ("requests", "input_tokens", "cached_input_tokens", "output_tokens", "cost_pico")


async def stored(db: AsyncEngine) -> dict[tuple[Any, ...], tuple[int, ...]]:
    """The amounts of every sum by where it stands."""
    async with db.connect() as connection:
        rows = (await connection.execute(select(usage_sums))).all()
    return {
        (row.dimension, row.value, row.span, row.start, row.model, row.label): (
            *(row.requests, row.input_tokens, row.cached_input_tokens, row.output_tokens),
            row.cost_micro * 10**6 + row.cost_pico_rest,
        )
        for row in rows
    }


def expected(made: Sequence[UsageEntry]) -> dict[tuple[Any, ...], tuple[int, ...]]:
    """The same by counting one entry after the other."""
    sums: dict[tuple[Any, ...], Counter[str]] = {}
    labels: dict[tuple[Any, ...], str] = {}
    for one in made:
        row = one.row()
        places = [("", ""), ("key", one.key_id)]
        places += [
            (name, row[name]) for name in ("team", "user", "key_user", "target", "endpoint") if row[name] is not None
        ]
        places += [(f"tag:{name}", value) for name, value in one.tags.items() if len(name) <= 128]
        for dimension, value in places:
            for span, length in MICROS.items():
                place = dimension, value, span, to_micros(one.at) // length * length, one.model or ""
                sums.setdefault(place, Counter()).update({**{name: row[name] for name in AMOUNTS[1:]}, "requests": 1})
                labels[place] = max(labels.get(place, ""), one.key_name if dimension == "key" else "")
    return {(*place, labels[place]): tuple(amounts[name] for name in AMOUNTS) for place, amounts in sums.items()}


def some(count: int, seed: int = 1) -> list[UsageEntry]:
    dice = random.Random(seed)

    def one() -> UsageEntry:
        key = dice.choice(["k1", "k2"])
        return entry(
            at=NOON + timedelta(minutes=dice.randrange(-2_000, 2_000)),
            key_id=key,
            key_name=f"{key} {dice.choice('ab')}",
            team=dice.choice(["a", None, ""]),
            user=dice.choice(["ann", "böb", None]),
            model=dice.choice(["m1", "m2", None]),
            target=dice.choice(["t", None]),
            tags=dice.choice([{}, {"feature": "find"}, {"feature": "", "b": "é\"'"}, {"x" * 129: "long"}]),
            usage=Usage(input_tokens=dice.randrange(10**12), cached_input_tokens=0, output_tokens=dice.randrange(99)),
            cost=from_pico(dice.choice([0, 1, 999_999, 1_000_000, dice.randrange(10**15), MAX_PICO])),
        )

    return [one() for _ in range(count)]


async def test_the_sums_are_those_of_the_rows(db: AsyncEngine) -> None:
    made = some(120)
    for start in range(0, 120, 17):
        await UsageStore(db).write(made[start : start + 17])
    assert await stored(db) == expected(made)


async def test_what_is_written_again_is_summed_once(db: AsyncEngine) -> None:
    made = some(30)
    store = UsageStore(db)
    await store.write(made[:20])
    await store.write([*made[10:], *made[10:]])
    await store.write(made)
    assert await stored(db) == expected(made)


async def test_a_row_that_is_not_stored_is_not_summed(db: AsyncEngine) -> None:
    made = some(5)
    await UsageStore(db).write(made)
    bad = entry(usage=Usage(compute_us=2**70))  # more than a column holds
    with pytest.raises(Exception, match=r"(?i)large|range"):
        await UsageStore(db).write([*some(5, seed=2), bad])
    assert await stored(db) == expected(made)


async def test_names_of_any_length_fit_the_index(db: AsyncEngine) -> None:
    # Random letters: a database compresses what repeats before it measures a key.
    dice = random.Random(3)
    name, value, model = (
        "".join(chr(dice.randrange(0x20000, 0x2A000)) for _ in range(n)) for n in (128, TEXT_LENGTH, TEXT_LENGTH)
    )
    made = [entry(team=value, key_id=value, model=model, tags={name: value, "a": value}) for _ in range(2)]
    await UsageStore(db).write(made)
    assert await stored(db) == expected(made)


async def test_replicas_that_write_the_same_sums_do_not_block_each_other(postgres_url: str) -> None:
    replicas = [create_async_engine(postgres_url) for _ in range(4)]
    async with replicas[0].begin() as connection:
        await connection.run_sync(metadata.create_all)
    made = some(400)

    async def write(replica: AsyncEngine, seed: int) -> None:
        # Each in an order of its own, and half of it written by another one too, as after a hand-over.
        mine = random.Random(seed).sample(made, 300)
        for start in range(0, 300, 20):
            await UsageStore(replica).write(mine[start : start + 20])

    await asyncio.gather(*(write(replica, seed) for seed, replica in enumerate(replicas)))
    await UsageStore(replicas[0]).write(made)
    assert len(await ids_in(replicas[0])) == 400
    assert await stored(replicas[0]) == expected(made)
    for replica in replicas:
        await replica.dispose()
