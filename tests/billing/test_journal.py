"""The journal keeps what it took until it is settled, and says so when it cannot take more."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from billkit import file_size_limit, journal_files

from billing.journal import PROBE_BYTES, Journal, JournalError
from billing.segment import scan


def stored(root: Path) -> list[bytes]:
    return [payload for path in journal_files(root) for payload in scan(path.read_bytes()).payloads]


def abandon(journal: Journal) -> None:
    """Let go of the journal as the death of its process would: the records stay, the lock is free."""
    journal.close()


def adopted(journal: Journal) -> list[bytes]:
    payloads = []
    for leftover in journal.leftovers():
        for segment in leftover.segments():
            found = leftover.read(segment)
            payloads += found.payloads
            leftover.settle(segment, keep=bool(found.damaged))
        leftover.release()
    return payloads


def test_a_record_is_in_the_file_when_append_returns(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "never")
    for number in range(5):
        journal.append(b"record %d" % number)
        assert stored(tmp_path) == [b"record %d" % n for n in range(number + 1)]
    journal.close()


def test_a_file_goes_only_when_all_its_records_are_settled(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "never", segment_bytes=100)
    segments = [journal.append(b"x" * 40) for _ in range(6)]  # two of 52 bytes fill a segment
    assert segments == [1, 1, 2, 2, 3, 3]
    journal.settle(1, 1)
    journal.settle(2, 2)
    journal.settle(3, 2)
    assert [path.name for path in journal_files(tmp_path)] == ["00000001.journal", "00000003.journal"]
    journal.settle(1, 1)
    journal.seal()
    assert journal_files(tmp_path) == []
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_records_that_are_not_settled_outlive_the_journal(tmp_path: Path) -> None:
    first = Journal(tmp_path, "never")
    first.append(b"one")
    abandon(first)
    second = Journal(tmp_path, "never")
    assert adopted(second) == [b"one"]
    assert adopted(second) == []
    second.close()
    assert list(tmp_path.iterdir()) == []


def test_the_journal_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    first, second = Journal(tmp_path, "never"), Journal(tmp_path, "never")
    first.append(b"one")
    assert adopted(second) == []
    assert stored(tmp_path) == [b"one"]
    first.close()
    second.close()


def test_a_leftover_is_adopted_by_one_only(tmp_path: Path) -> None:
    dead, first, second = (Journal(tmp_path, "never") for _ in range(3))
    dead.append(b"one")
    abandon(dead)
    leftovers = first.leftovers()
    held = next(leftovers)
    assert adopted(second) == []
    held.release()
    assert adopted(second) == [b"one"]
    first.close()
    second.close()


def test_an_unfinished_record_is_cut_and_a_damaged_file_is_put_aside(tmp_path: Path) -> None:
    dead = Journal(tmp_path, "never", segment_bytes=1)
    for payload in (b"one", b"two", b"three"):
        dead.append(payload)
    abandon(dead)
    torn, damaged, _ = journal_files(tmp_path)
    torn.write_bytes(torn.read_bytes() + b"\xf5SL1\x10")
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    journal = Journal(tmp_path, "never")
    assert adopted(journal) == [b"one", b"three"]
    journal.close()
    assert [path.name for path in tmp_path.iterdir()] == [f"damaged-{dead.directory.name}-00000002.journal"]


def test_a_full_disk_is_said_and_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "never")
    journal.append(b"before")
    with file_size_limit(60):  # room for a part of the next record
        with pytest.raises(JournalError, match="cannot be written"):
            journal.append(b"x" * 100)
        journal.append(b"small")
        assert stored(tmp_path) == [b"before", b"small"]
    journal.append(b"y" * 100)
    assert stored(tmp_path) == [b"before", b"small", b"y" * 100]
    journal.close()


@pytest.mark.parametrize("before", [[], [b"before"]])
def test_a_probe_says_whether_there_is_room_and_leaves_nothing(tmp_path: Path, before: list[bytes]) -> None:
    journal = Journal(tmp_path, "never")
    for payload in before:
        journal.append(payload)
    with file_size_limit(PROBE_BYTES // 2):
        with pytest.raises(JournalError, match="cannot be written"):
            journal.probe()
        assert stored(tmp_path) == before
    journal.probe()
    assert stored(tmp_path) == before
    journal.append(b"after")
    (path,) = journal_files(tmp_path)
    found = scan(path.read_bytes())
    assert (found.payloads, found.torn, found.damaged) == ([*before, b"after"], 0, 0)
    journal.close()


def test_a_probe_cut_off_by_a_crash_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = Journal(tmp_path, "never")
    dead.append(b"one")
    monkeypatch.setattr(os, "ftruncate", lambda fd, size: None)
    dead.probe()
    abandon(dead)
    journal = Journal(tmp_path, "never")
    assert adopted(journal) == [b"one"]
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_a_half_written_record_that_cannot_be_cut_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int, size: int) -> None:
        raise OSError(5, "Input/output error")

    journal = Journal(tmp_path, "never")
    journal.append(b"before")
    monkeypatch.setattr(os, "ftruncate", refuse)
    with file_size_limit(60), pytest.raises(JournalError):
        journal.append(b"x" * 100)
    journal.append(b"after")
    assert stored(tmp_path) == [b"before", b"after"]
    journal.close()


def test_a_directory_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot use"):
        Journal(tmp_path / "file")


def test_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "never")
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        journal.append(b"late")


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads that made something durable, in order."""
    threads: list[int] = []
    fdatasync = os.fdatasync

    def spy(fd: int) -> None:
        threads.append(threading.get_ident())
        fdatasync(fd)

    monkeypatch.setattr(os, "fdatasync", spy)
    return threads


def test_always_syncs_every_record_before_append_returns(tmp_path: Path, syncs: list[int]) -> None:
    journal = Journal(tmp_path, "always")
    for number in range(1, 4):
        journal.append(b"record")
        assert syncs == [threading.get_ident()] * number
    journal.close()


def test_interval_syncs_many_records_at_once_and_off_the_callers_thread(tmp_path: Path, syncs: list[int]) -> None:
    journal = Journal(tmp_path, "interval", sync_seconds=60)
    for _ in range(300):
        journal.append(b"record")
    journal.close()  # does not wait for the interval
    assert 1 <= len(syncs) <= 3  # the file, its name in the directory
    assert threading.get_ident() not in syncs


def test_interval_syncs_without_being_asked(tmp_path: Path, syncs: list[int]) -> None:
    journal = Journal(tmp_path, "interval", sync_seconds=0.001)
    journal.append(b"record")
    deadline = time.monotonic() + 10
    while not syncs and time.monotonic() < deadline:
        time.sleep(0.001)
    assert syncs
    journal.close()


def test_never_leaves_syncing_to_the_kernel(tmp_path: Path, syncs: list[int]) -> None:
    journal = Journal(tmp_path, "never")
    journal.append(b"record")
    journal.close()
    assert syncs == []


def test_a_disk_that_refuses_to_sync_refuses_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path, "always")
    monkeypatch.setattr(os, "fdatasync", _broken_disk)
    with pytest.raises(JournalError, match="Input/output error"):
        journal.append(b"record")
    assert stored(tmp_path) == []


def test_a_failed_group_sync_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path, "interval")
    monkeypatch.setattr(os, "fdatasync", _broken_disk)
    journal.append(b"record")
    journal.close()
    assert journal.sync_failures > 0
    assert stored(tmp_path) == [b"record"]


def _broken_disk(fd: Any) -> None:
    raise OSError(5, "Input/output error")
