"""A disk that is really full: the ledger says so, keeps what it can, and recovers when there is room again."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from billkit import entry, ids_in, journal_files
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.journal import Journal, JournalError
from billing.ledger import Ledger

DISK = 256 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of `DISK` bytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)  # a failed test may have left files open


class Clock:
    """Seconds, as the test says."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def fill(place: Path) -> Path:
    """Leave no byte free."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4_096))
        except OSError:
            return ballast


@pytest.mark.parametrize("fsync", ["interval", "always", "never"])
async def test_a_full_disk_is_noticed_and_its_end_too(fsync: str, small_disk: Path, sqlite_db: AsyncEngine) -> None:
    clock = Clock()
    ledger = Ledger(Journal(small_disk / "journal", fsync), sqlite_db, clock=clock)  # type: ignore[arg-type]
    await ledger.start()
    ledger.record(entry(0))
    ballast = fill(small_disk)
    number = 1
    with pytest.raises(JournalError, match="No space left"):
        while True:
            ledger.record(entry(number))
            number += 1
    assert not ledger.writable
    clock.now = 1.0
    assert not ledger.writable  # asked, and still full
    async with asyncio.timeout(10):
        await ledger.flush()  # what the journal refused is on its way to the database all the same
    assert len(await ids_in(sqlite_db)) == number + 1
    ballast.unlink()
    clock.now = 2.0
    assert ledger.writable
    ledger.record(entry(number + 1))
    await ledger.close()
    assert len(await ids_in(sqlite_db)) == number + 2
    assert list((small_disk / "journal").iterdir()) == []


async def test_a_disk_with_room_for_one_record_is_no_recovered_disk(small_disk: Path, sqlite_db: AsyncEngine) -> None:
    clock = Clock()
    ledger = Ledger(Journal(small_disk / "journal"), sqlite_db, clock=clock)
    await ledger.start()
    ballast = fill(small_disk)
    with pytest.raises(JournalError):
        ledger.record(entry(0))
    with ballast.open("r+b") as file:
        file.truncate(DISK - 8 * 4_096)  # a few pages free
    clock.now = 1.0
    assert not ledger.writable
    await ledger.close()


async def test_what_a_full_disk_did_take_survives_the_process(small_disk: Path, sqlite_db: AsyncEngine) -> None:
    doomed = Ledger(journal := Journal(small_disk / "journal"), sqlite_db)
    fill(small_disk)
    taken = 0
    with pytest.raises(JournalError):
        while True:
            doomed.record(entry(taken))
            taken += 1
    (small_disk / "ballast").unlink()
    assert len(journal_files(small_disk / "journal")) == 1
    journal.close()  # as its death would: the records stay
    survivor = Ledger(Journal(small_disk / "journal"), sqlite_db)
    await survivor.start()
    await survivor.close()
    assert await ids_in(sqlite_db) == [f"{number:032d}" for number in range(taken)]
