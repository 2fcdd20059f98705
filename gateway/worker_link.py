"""What a worker process and its parent tell each other: single bytes over a socket pair. Its end: the other is gone."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

READY = b"r"  # a worker: it answers
CHANGED = b"c"  # a worker: it has put a changed configuration in force, and the others have not
RELOAD = b"R"  # the parent: load the configuration anew, and say so if it is in force
FOLLOW = b"F"  # the parent: load it anew; another worker has checked it and written it into the audit log


class WorkerLink:
    """A worker's end."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self.orphaned = False  # the parent has gone

    def ready(self) -> None:
        self._say(READY)

    def changed(self) -> None:
        self._say(CHANGED)

    @contextmanager
    def listening(
        self, *, reload: Callable[[], None], follow: Callable[[], None], stop: Callable[[], None]
    ) -> Iterator[None]:
        """Do what the parent says. What it said before is not lost."""
        loop = asyncio.get_running_loop()
        actions: Mapping[bytes, Callable[[], None]] = {RELOAD: reload, FOLLOW: follow}

        def hear() -> None:
            try:
                said = self._sock.recv(64)
            except OSError:
                said = b""
            if not said:
                loop.remove_reader(self._sock)
                self.orphaned = True
                stop()
            for number in said:
                actions[bytes([number])]()

        loop.add_reader(self._sock, hear)
        try:
            yield
        finally:
            loop.remove_reader(self._sock)

    def _say(self, word: bytes) -> None:
        with suppress(OSError):  # the parent is gone, which `listening` tells
            self._sock.send(word)
