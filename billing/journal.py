"""An append-only journal on the local disk: what `append` has returned from survives the death of the process.

Each journal owns a directory of its own below the one it is given, held by a lock; several processes may share
the parent. A journal whose process died is found there by its free lock and adopted by any other. A file is
deleted only once all its records are told to be settled. What the records mean, and the database, are the
ledger's affair (`billing.ledger`).

Durability by `fsync`: a killed process loses nothing under any setting. A power cut loses nothing under
"always" (a disk write on the caller's time for every record), at most the last `sync_seconds` under "interval"
(a thread syncs for all), and what the kernel had not yet written under "never".

Locks are `flock`: the directory must be on a file system that has them (a local disk, not old NFS).
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Literal

from billing.group_sync import GroupSync
from billing.segment import Scan, pack, scan

logger = logging.getLogger(__name__)

Fsync = Literal["always", "interval", "never"]

PROBE_BYTES = 65_536  # about a hundred records

_LOCK = "lock"


class JournalError(Exception):
    """The journal cannot be opened or written: a full disk, missing rights, a broken device."""


@dataclass(slots=True)
class _Segment:
    path: Path
    appended: int = 0
    settled: int = 0


class Journal:
    """Takes records (bytes of UTF-8) and keeps them until told that they are settled. Not thread-safe.

    `segment_bytes` is the size at which a new file begins, so also about what a start after a crash reads
    again. Raises JournalError if the directory cannot be used.
    """

    def __init__(
        self,
        directory: Path,
        fsync: Fsync = "interval",
        *,
        segment_bytes: int = 2**20,
        sync_seconds: float = 0.05,
    ) -> None:
        self._root = directory
        self._fsync = fsync
        self._segment_bytes = segment_bytes
        self._segments: dict[int, _Segment] = {}
        self._last = 0
        self._fd: int | None = None
        self._size = 0
        self._closed = False
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.directory = directory / f"{os.getpid()}-{token_hex(4)}"
            self._lock_fd = _create_locked(self.directory)
            self._directory_fd = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise JournalError(f"the journal cannot use {directory}: {error.strerror}") from error
        self._sync = GroupSync(self._directory_fd, sync_seconds) if fsync == "interval" else None

    @property
    def sync_failures(self) -> int:
        """How often the disk refused to make records durable."""
        return 0 if self._sync is None else self._sync.failures

    def append(self, payload: bytes) -> int:
        """Write one record; return the number of its segment, for `settle`. Raises JournalError, and then
        the record is not in the journal and the journal is as it was."""
        if self._closed:
            raise JournalError("the journal is closed")
        try:
            if self._fd is None or self._size >= self._segment_bytes:
                self._begin_segment()
            self._write(pack(payload))
        except OSError as error:
            raise JournalError(f"the journal cannot be written: {error.strerror}") from error
        self._segments[self._last].appended += 1
        return self._last

    def probe(self) -> None:
        """Find out whether records can be written, by writing `PROBE_BYTES` and taking them back. Raises JournalError.

        So many that a disk with room for one more record is not taken for one that has recovered.
        """
        if self._closed:
            raise JournalError("the journal is closed")
        try:
            if self._fd is None:
                self._begin_segment()
            self._write(bytes(PROBE_BYTES))
            self._size -= PROBE_BYTES
            self._cut()
        except OSError as error:
            raise JournalError(f"the journal cannot be written: {error.strerror}") from error

    def settle(self, segment: int, count: int) -> None:
        """`count` more records of `segment` are stored elsewhere; the file goes when all are."""
        if (state := self._segments.get(segment)) is not None:
            state.settled += count
            self._drop_settled(segment)

    def settle_all(self, segment: int) -> None:
        """Every record of `segment` is stored elsewhere."""
        if (state := self._segments.get(segment)) is not None:
            state.settled = state.appended
            self._drop_settled(segment)

    def seal(self) -> None:
        """End the current segment; the next record begins a new one."""
        if self._fd is None:
            return
        fd, self._fd = self._fd, None
        if self._sync is not None:
            self._sync.retire(fd)
        else:
            os.close(fd)
        self._drop_settled(self._last)

    def read(self, segment: int) -> Scan:
        """The records of one of this journal's own segments. Raises JournalError."""
        try:
            return scan(self._segments[segment].path.read_bytes())
        except OSError as error:
            raise JournalError(f"the journal cannot be read: {error.strerror}") from error

    def leftovers(self) -> Iterator[Leftover]:
        """The journals beside this one whose processes are gone, each locked until it is released."""
        for path in sorted(self._root.iterdir()):
            if path == self.directory or path.name.startswith(".") or not path.is_dir():
                continue
            if (lock := _take_lock(path / _LOCK)) is not None:
                yield Leftover(path, lock)

    def close(self) -> None:
        """Make everything durable and let go. The directory stays only if unsettled records are in it."""
        if self._closed:
            return
        self._closed = True
        self.seal()
        if self._sync is not None:
            self._sync.stop()
        os.close(self._directory_fd)
        if not self._segments:
            _remove_directory(self.directory)
        os.close(self._lock_fd)

    def _begin_segment(self) -> None:
        self.seal()
        number = self._last + 1
        path = self.directory / f"{number:08d}.journal"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)
        self._last, self._size = number, 0
        self._segments[number] = _Segment(path)
        if self._sync is not None:
            self._sync.open(self._fd)
        elif self._fsync == "always":
            os.fsync(self._directory_fd)

    def _write(self, data: bytes) -> None:
        assert self._fd is not None
        try:
            written = os.write(self._fd, data)
            while written < len(data):  # a nearly full disk takes a part, and says so only to the next write
                written += os.write(self._fd, data[written:])
            if self._fsync == "always":
                os.fdatasync(self._fd)
        except OSError:
            self._cut()
            raise
        self._size += len(data)
        if self._sync is not None:
            self._sync.touch()

    def _cut(self) -> None:
        """Take back what is no record. If even that fails, a new segment begins, and readers skip the rest."""
        assert self._fd is not None
        try:
            os.ftruncate(self._fd, self._size)
        except OSError as error:
            logger.error("what is no record could not be cut from the journal: %s", error.strerror)
            self.seal()

    def _drop_settled(self, number: int) -> None:
        segment = self._segments[number]
        is_current = number == self._last and self._fd is not None
        if is_current or segment.settled < segment.appended:
            return
        del self._segments[number]
        try:
            segment.path.unlink(missing_ok=True)
        except OSError as error:  # harmless: the next start stores its records again, which changes nothing
            logger.error("%s could not be deleted: %s", segment.path, error.strerror)


class Leftover:
    """The journal of a process that is gone; ours to settle while we hold its lock."""

    def __init__(self, directory: Path, lock_fd: int) -> None:
        self.directory = directory
        self._lock_fd = lock_fd

    def segments(self) -> list[Path]:
        """Its files, oldest first."""
        return sorted(self.directory.glob("*.journal"))

    def read(self, segment: Path) -> Scan:
        """The intact records of a file; what is not intact is counted and logged."""
        result = scan(segment.read_bytes())
        if result.torn:
            logger.warning("%s: cut an unfinished record of %d bytes at the end", segment, result.torn)
        if result.damaged:
            logger.error("%s: %d damaged bytes; the records around them are intact", segment, result.damaged)
        return result

    def settle(self, segment: Path, *, keep: bool) -> None:
        """All records of the file are stored elsewhere. `keep` puts it aside for a person to look at."""
        if keep:
            segment.rename(self.directory.parent / f"damaged-{self.directory.name}-{segment.name}")
        else:
            segment.unlink()

    def release(self) -> None:
        """Let go of the lock; an emptied directory is removed."""
        if not self.segments():
            _remove_directory(self.directory)
        os.close(self._lock_fd)


def _create_locked(directory: Path) -> int:
    """Make `directory` with a lock that is ours; it appears under its name only once it is."""
    hidden = directory.with_name(f".new-{directory.name}")
    hidden.mkdir(mode=0o700)
    fd = os.open(hidden / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    hidden.rename(directory)
    return fd


def _take_lock(path: Path) -> int | None:
    """The locked file, or None if somebody holds it, has just removed it, or it is another user's."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    if os.fstat(fd).st_nlink == 0:
        os.close(fd)
        return None
    return fd


def _remove_directory(directory: Path) -> None:
    (directory / _LOCK).unlink(missing_ok=True)
    with suppress(OSError):  # something of another's lies in it: it stays, and without a lock nobody adopts it
        directory.rmdir()
