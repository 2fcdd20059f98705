"""Budgets and the ledger: what it knows reaches their counters, whatever was lost or is still under way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.budgets import Budget, Window
from billing.entry import UsageEntry
from billing.journal import Journal
from billing.ledger import Ledger
from billing.usage import Usage
from gateway.admission.claims import Demand, Need, needs
from gateway.admission.limits import Binding
from gateway.admission.seeding import Seeder
from gateway.admission.stores.base import Granted, Unseeded
from gateway.admission.stores.memory import MemoryStore
from gateway.errors import StorageUnavailable
from gateway.storage.database import migrate, open_database

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
USD = 10**12


@dataclass
class House:
    """A ledger on a database, a store of counters, and what reads the one for the other."""

    database: AsyncEngine
    ledger: Ledger
    store: MemoryStore
    seeder: Seeder
    now: datetime = NOON
    made: int = 0
    queries: list[str] = field(default_factory=list)

    def spend(self, usd: str, *, at: datetime = NOON, **whose: object) -> None:
        """Book a finished request."""
        self.made += 1
        fields = {
            "key_id": "k1",
            "team": "search",
            "user": "ann",
            "key_user": "ann",
            "tags": {"customer": "acme"},
            **whose,
        }
        self.ledger.record(
            UsageEntry(
                id=f"e{self.made}", request_id="r", at=at, key_name="k", endpoint="chat/completions", status=200,
                outcome="ok", usage=Usage(), cost=Decimal(usd), **fields,  # type: ignore[arg-type]
            )
        )  # fmt: skip

    async def spent(self, need: Need) -> int:
        return (await self.store.budget(need.claim.counter))[0]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    database = open_database(f"sqlite+aiosqlite:///{tmp_path / 'test.db'}")
    await migrate(database)
    ledger = Ledger(Journal(tmp_path / "journal"), database)
    await ledger.start()
    found: House
    store = MemoryStore(lambda: found.now.timestamp())
    found = House(database, ledger, store, Seeder(database, ledger, store, now=lambda: found.now))

    def note(_: object, __: object, statement: str, *___: object) -> None:
        if "usage_" in statement and statement.startswith(("SELECT", "WITH")):
            found.queries.append(statement)

    event.listen(database.sync_engine, "before_cursor_execute", note)
    yield found
    await found.seeder.close()
    await ledger.close()
    await database.dispose()


def need(kind: str = "key", owner: str = "k1", window: Window = Window.DAY) -> Need:
    budget = Budget(limit=Decimal(100), window=window)
    demand = Demand(NOON, ("assistant",), 1, 1, True, USD)
    return needs([Binding(kind=kind, id=owner, budgets=(budget,))], demand)[0]


async def reserve(house: House, wanted: Need) -> None:
    assert isinstance(await house.store.reserve(f"h{house.made}", [wanted.claim]), Unseeded)
    await house.seeder.seed([wanted])
    assert isinstance(await house.store.reserve(f"h{house.made}", [wanted.claim]), Granted)


@pytest.mark.parametrize(
    ("kind", "owner", "spent"),
    [("key", "k1", 5), ("team", "search", 7), ("user", "ann", 7), ("tag", "customer=acme", 7), ("key", "nobody", 0)],
)
async def test_a_budget_is_told_what_its_owner_spent_in_its_window(
    house: House, kind: str, owner: str, spent: int
) -> None:
    house.spend("5")  # still on its way to the database
    house.spend("2", key_id="k2")
    house.spend("11", key_id="k3", team="other", user="bob", key_user="bob", tags={"customer": "else"})
    house.spend("13", at=NOON - timedelta(days=1))
    house.spend("17", at=NOON + timedelta(days=1))
    wanted = need(kind, owner)
    await reserve(house, wanted)
    assert await house.spent(wanted) == spent * USD


async def test_what_strangers_spend_in_a_users_name_is_not_the_users(house: House) -> None:
    house.spend("5")
    house.spend("90", key_id="stranger", key_user=None)  # its callers wrote {"user": "ann"}
    wanted = need("user", "ann")
    await reserve(house, wanted)
    assert await house.spent(wanted) == 5 * USD


async def test_what_a_key_spent_stays_the_users_that_it_belonged_to(house: House) -> None:
    house.spend("5", key_id="moved")
    house.spend("90", key_id="moved", user="bob", key_user="bob")
    for owner, spent in (("ann", 5), ("bob", 90)):
        wanted = need("user", owner)
        house.made += 1
        await reserve(house, wanted)
        assert await house.spent(wanted) == spent * USD


async def test_a_total_budget_is_told_everything(house: House) -> None:
    house.spend("5")
    house.spend("13", at=NOON - timedelta(days=900))
    wanted = need(window=Window.TOTAL)
    await reserve(house, wanted)
    assert await house.spent(wanted) == 18 * USD


async def test_sums_asked_at_once_are_made_once(house: House) -> None:
    house.spend("5")
    await house.ledger.flush()
    wanted = need()
    house.queries.clear()
    await asyncio.gather(*(house.seeder.seed([wanted]) for _ in range(50)))
    alone = len(house.queries)
    house.queries.clear()
    await house.seeder.seed([wanted])
    assert alone == len(house.queries) > 0


async def test_one_that_gives_up_waiting_takes_the_sum_from_nobody_else(house: House) -> None:
    wanted = need()
    first, second = (asyncio.create_task(house.seeder.seed([wanted])) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert isinstance(await house.store.reserve("h", [wanted.claim]), Granted)


async def test_a_ledger_that_cannot_be_read_refuses(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object, **__: object) -> int:
        raise OSError("no route")

    monkeypatch.setattr("gateway.admission.seeding.spent", away)
    with pytest.raises(StorageUnavailable):
        await house.seeder.seed([need()])


async def test_a_ledger_that_hangs_refuses_in_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(*_: object, **__: object) -> int:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("gateway.admission.seeding.spent", hangs)
    monkeypatch.setattr("gateway.admission.seeding.SEED_SECONDS", 0.01)
    with pytest.raises(StorageUnavailable):
        await house.seeder.seed([need()])


async def test_reconciling_raises_a_counter_to_the_ledger_and_never_lowers_it(house: House) -> None:
    wanted = need()
    await reserve(house, wanted)
    house.seeder.watch([wanted])
    house.spend("5")  # by a process that died before it could settle
    await house.ledger.flush()
    await house.seeder.reconcile()
    assert await house.spent(wanted) == 5 * USD
    await house.store.settle("h0", [wanted.claim], [9 * USD])  # its row is not there yet
    await house.seeder.reconcile()
    assert await house.spent(wanted) == 14 * USD


async def test_a_request_between_its_bill_and_its_settlement_is_not_counted_twice(house: House) -> None:
    wanted = need()
    await reserve(house, wanted)
    house.seeder.watch([wanted])
    for _ in range(2):
        house.seeder.billed([wanted])
    house.spend("5")
    house.spend("2")
    await house.ledger.flush()
    await house.seeder.reconcile()  # while a slow caller takes its answer
    assert await house.spent(wanted) == 0
    await house.store.settle("h0", [wanted.claim], [5 * USD])
    house.seeder.settled([wanted])
    await house.seeder.reconcile()
    assert await house.spent(wanted) == 5 * USD
    house.seeder.settled([wanted])
    await house.seeder.reconcile()
    assert await house.spent(wanted) == 7 * USD


async def test_a_window_that_is_over_is_reconciled_no_more(house: House) -> None:
    wanted = need()
    await reserve(house, wanted)
    house.seeder.watch([wanted])
    house.now = NOON + timedelta(days=2)
    house.queries.clear()
    await house.seeder.reconcile()
    house.now = NOON
    await house.seeder.reconcile()
    assert house.queries == []


async def test_reconciling_goes_round_and_survives_a_database_that_is_away(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: asyncio.Queue[None] = asyncio.Queue()

    async def next_round(_: float) -> None:
        await rounds.get()

    calls = 0

    async def failing(*_: object, **__: object) -> int:
        nonlocal calls
        calls += 1
        raise OSError("no route")

    seeder = Seeder(house.database, house.ledger, house.store, now=lambda: NOON, sleep=next_round)
    wanted = need()
    seeder.watch([wanted])
    monkeypatch.setattr("gateway.admission.seeding.spent", failing)
    await seeder.start()
    for done in range(1, 4):
        rounds.put_nowait(None)
        await _until(lambda done=done: calls == done)  # type: ignore[misc]
    await seeder.close()


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0)
