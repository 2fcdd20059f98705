"""What single parts cost a request, in microseconds: the PII guard, the ledger's record, the metrics.

    python bench/parts.py [--rounds 2000]

Medians over rounds in this process, beside the floor they all stand on: one awaited call of an empty coroutine.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from billing.journal import Journal
from billing.ledger import Ledger
from billing.usage import Usage
from gateway.admission.principals import Principal
from gateway.pipeline.record import Attempt, Record
from gateway.pipeline.settlement import entry
from gateway.storage.database import migrate, open_database
from gateway.telemetry.metrics import Metrics
from guards.build import build_guard
from guards.spec import GuardSpec
from guards.types import GuardRequest, Scope

SENTENCE = "The order left our house on time and should be with the customer by the end of the week. "
CLEAN = (SENTENCE * 30)[:2000]
DENSE = ("Mail jane.doe@example.com or call +1 415 555 2671; " * 60)[:2000]


@dataclasses.dataclass
class Text:
    text: str
    scope: Scope = Scope.USER
    context: str = ""


async def median(rounds: int, work: Callable[[], Awaitable[object]]) -> float:
    """Microseconds of one call."""
    taken = []
    for _ in range(rounds):
        started = time.perf_counter_ns()
        await work()
        taken.append(time.perf_counter_ns() - started)
    return statistics.median(taken) / 1e3


def sample(number: int = 0) -> Record:
    now = time.monotonic()
    return Record(
        id=f"{number:032x}", request_id="req_1", endpoint="chat/completions", started_at=datetime.now(UTC), started=now,
        principal=Principal(key_id="key_1", key_name="app", team="search"), requested_model="assistant",
        model="assistant", target="openai/m", served_model="m", usage=Usage(input_tokens=20, output_tokens=7),
        cost=Decimal("0.0000072"), status=200, ended=now + 0.2, attempts=[Attempt("openai/m", now, now + 0.19)],
    )  # fmt: skip


async def measure(rounds: int) -> None:
    async def nothing() -> None:
        return None

    guard = build_guard(GuardSpec(name="pii", kind="pii"))

    async def check(text: str) -> None:
        await guard.open(GuardRequest("tenant")).check_input([Text(text)])

    metrics = Metrics(["assistant"], {"openai/m": "openai"}, ["pii"], engines={}, ledger_lag=lambda: 0.0)

    async def observe() -> None:
        metrics.observe(record)

    record = sample()
    figures = {
        "an empty coroutine (the floor)": await median(rounds, nothing),
        "pii guard, clean text of 2,000 characters": await median(rounds, lambda: check(CLEAN)),
        "pii guard, 2,000 characters full of values": await median(rounds // 10, lambda: check(DENSE)),
        "metrics of one request": await median(rounds, observe),
    }
    with tempfile.TemporaryDirectory() as directory:
        database = open_database(f"sqlite+aiosqlite:///{directory}/bench.db")
        await migrate(database)
        ledger = Ledger(Journal(Path(directory) / "journal", "interval"), database)
        await ledger.start()
        usage, paid = Usage(input_tokens=20, output_tokens=7), Decimal("0.0000072")
        entries = iter([entry(sample(number), usage, paid) for number in range(rounds)])

        async def book() -> None:
            ledger.record(next(entries))

        figures["one ledger record, fsync interval"] = await median(rounds, book)
        await ledger.close()
        await database.dispose()
    for name, microseconds in figures.items():
        print(f"{name:45}{microseconds:10.1f} µs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2000)
    asyncio.run(measure(parser.parse_args().rounds))


if __name__ == "__main__":
    main()
