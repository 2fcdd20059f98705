"""Makes appended files durable from a thread of its own, many records with one `fdatasync`.

The thread is the only one that closes a file handed to it, so no descriptor is closed under its hands.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque

logger = logging.getLogger(__name__)


class GroupSync:
    """At most `seconds` after `touch` what was written before it is on the disk, or `failures` has grown."""

    def __init__(self, directory_fd: int, seconds: float) -> None:
        self.failures = 0
        self._directory_fd = directory_fd
        self._seconds = seconds
        self._current: int | None = None
        self._retired: deque[int] = deque()
        self._names_changed = False
        self._dirty = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-sync", daemon=True)
        self._thread.start()

    def open(self, fd: int) -> None:
        """`fd` is a new file, written from now on."""
        self._current = fd
        self._names_changed = True
        self.touch()

    def touch(self) -> None:
        """Something was written to the current file."""
        if not self._dirty.is_set():
            self._dirty.set()

    def retire(self, fd: int) -> None:
        """`fd` gets no more writes: make it durable and close it."""
        self._current = None
        self._retired.append(fd)
        self.touch()

    def stop(self) -> None:
        """Make everything durable, close what was retired, end the thread."""
        self._stopping.set()
        self._dirty.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._dirty.wait()
            self._stopping.wait(self._seconds)
            self._dirty.clear()
            self._sync()
        self._sync()

    def _sync(self) -> None:
        while self._retired:
            fd = self._retired.popleft()
            self._make_durable(fd)
            os.close(fd)
        current = self._current
        if current is not None:
            self._make_durable(current)
        if self._names_changed:
            self._names_changed = False
            self._make_durable(self._directory_fd)

    def _make_durable(self, fd: int) -> None:
        try:
            os.fdatasync(fd)
        except OSError as error:
            # The rows are on their way to SQL; only a power cut before they arrive would lose them.
            self.failures += 1
            logger.error("the journal could not be made durable: %s", error.strerror)
