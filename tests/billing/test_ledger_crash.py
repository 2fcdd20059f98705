"""A process killed at any moment loses no record it has taken, and writes none twice."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from billkit import entry, ids_in, journal_files
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.journal import Journal
from billing.ledger import Ledger

CHILD = Path(__file__).with_name("ledger_child.py")
ROOT = CHILD.parents[2]


async def start_child(mode: str, url: str, directory: Path, count: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(CHILD),
        mode,
        url,
        str(directory),
        str(count),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{CHILD.parent}"},
    )


async def restart(db: AsyncEngine, directory: Path) -> None:
    """Start and end a ledger, as the next process would."""
    ledger = Ledger(Journal(directory), db)
    await ledger.start()
    await ledger.close()


@pytest.mark.parametrize("mode", ["nothing-written", "half-written", "before-deletion"])
async def test_killed_right_after_the_last_record(mode: str, db: AsyncEngine, db_url: str, tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    count = 20 if mode == "before-deletion" else 50
    child = await start_child(mode, db_url, directory, count)
    output, _ = await child.communicate()
    assert child.returncode == -signal.SIGKILL
    taken = sorted(output.decode().split())
    assert len(taken) == count
    assert journal_files(directory)
    written_before = {"nothing-written": 0, "half-written": count // 2 + 1, "before-deletion": count}[mode]
    assert len(await ids_in(db)) == written_before
    await restart(db, directory)
    assert await ids_in(db) == taken
    assert list(directory.iterdir()) == []


async def test_killed_from_outside_in_the_middle_of_work(sqlite_db: AsyncEngine, tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    child = await start_child("under-load", str(sqlite_db.url), directory, 1_000_000)
    assert child.stdout is not None
    taken = [await child.stdout.readline() for _ in range(500)]
    child.kill()
    taken += (await child.stdout.read()).splitlines()
    await child.wait()
    await restart(sqlite_db, directory)
    rows = await ids_in(sqlite_db)
    assert len(set(rows)) == len(rows)
    assert {name.decode().strip() for name in taken} <= set(rows)
    assert len(rows) <= len(taken) + 1  # the last may have been taken and not yet told


async def test_replaying_twice_changes_nothing(db: AsyncEngine, tmp_path: Path) -> None:
    dead = Ledger(Journal(tmp_path / "journal"), db)
    for number in range(30):
        dead.record(entry(number))
    shutil.copytree(tmp_path / "journal", tmp_path / "copy")
    await restart(db, tmp_path / "copy")
    once = await ids_in(db)
    assert once == [f"{number:032d}" for number in range(30)]
    await dead.start()
    await dead.close()
    assert await ids_in(db) == once


async def test_two_processes_that_start_together_store_a_leftover_once(db: AsyncEngine, tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    dead = Journal(directory)
    doomed = Ledger(dead, db)
    for number in range(30):
        doomed.record(entry(number))
    dead.close()
    await asyncio.gather(*(restart(db, directory) for _ in range(3)))
    assert await ids_in(db) == [f"{number:032d}" for number in range(30)]
    assert list(directory.iterdir()) == []


async def test_a_running_ledger_takes_over_from_a_process_that_died(sqlite_db: AsyncEngine, tmp_path: Path) -> None:
    ledger = Ledger(Journal(tmp_path / "journal"), sqlite_db, adopt_seconds=0.01)
    await ledger.start()
    dead = Journal(tmp_path / "journal")
    Ledger(dead, sqlite_db).record(entry(1))
    dead.close()
    async with asyncio.timeout(10):
        while not await ids_in(sqlite_db):
            await asyncio.sleep(0.01)
    await ledger.close()
    assert list((tmp_path / "journal").iterdir()) == []


async def test_what_is_no_usage_entry_is_put_aside_and_stops_nothing(sqlite_db: AsyncEngine, tmp_path: Path) -> None:
    dead = Journal(tmp_path / "journal")
    dead.append(b'{"some": "thing"}')
    Ledger(dead, sqlite_db).record(entry(1))
    dead.close()
    await restart(sqlite_db, tmp_path / "journal")
    assert await ids_in(sqlite_db) == [f"{1:032d}"]
    assert [path.name.split("-")[0] for path in (tmp_path / "journal").iterdir()] == ["damaged"]
