"""The parent of several worker processes that serve on one port. It answers no request itself.

It starts the first worker alone, so that what is made or migrated at a first start is so once, then the rest. One that
dies is started again; only when none is left that answers, and none can be started, it gives up. Signals go to all:
SIGTERM and SIGINT as they are, SIGHUP to one, and to the others when that one has taken over the new configuration.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import tempfile
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic

import structlog

from gateway.listening import beside
from gateway.telemetry.worker_metrics import VARIABLE, forget_worker
from gateway.worker_link import CHANGED, FOLLOW, READY, RELOAD

log = structlog.get_logger(__name__)

FIRST_WAIT = 0.5  # seconds until a worker that died is started again; doubled each time it dies early
MAX_WAIT = 10.0
SETTLED_SECONDS = 30.0  # a worker that lived so long did not die of its start
ENDED_WELL = (0, -signal.SIGTERM, -signal.SIGINT)  # of a worker told to stop; some had not begun to listen to that
STOP_SECONDS = 45.0  # longer than a worker's own limit for requests in flight and for writing what they cost


class _Worker:
    """One process, and the parent's end of the link to it."""

    def __init__(self, process: Process, link: socket.socket) -> None:
        self.process = process
        self.link = link
        self.began = monotonic()
        self.ready = False

    def say(self, word: bytes) -> None:
        with suppress(OSError):  # it is gone, which its process tells
            self.link.send(word)

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(number)


class Workers:
    """`command` serves as one worker when it is given `--sock` and `--link`. `on_ready`: all of them answer.

    `sock` is bound as shared and only holds the port: each worker gets one beside it, and so its share of connections.
    """

    def __init__(
        self,
        count: int,
        command: Sequence[str],
        sock: socket.socket,
        on_ready: Callable[[], None],
    ) -> None:
        self._count = count
        self._command = list(command)
        self._sock = sock
        self._on_ready = on_ready
        self._workers: set[_Worker] = set()
        self._begun = asyncio.Event()  # the first worker answers, or none will
        self._stopping = asyncio.Event()
        self._complete = False  # all of them have answered at the same time
        self._failed = False

    async def run(self) -> int:
        """Serve until told to stop. Returns the exit code: 0 if all workers ended well."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        with tempfile.TemporaryDirectory(prefix="sluicegate-metrics-") as metrics:
            async with asyncio.TaskGroup() as keepers:
                keepers.create_task(self._keep(Path(metrics)))
                await self._begun.wait()
                if not self._stopping.is_set():
                    for _ in range(self._count - 1):
                        keepers.create_task(self._keep(Path(metrics)))
        return 1 if self._failed else 0

    async def _keep(self, metrics: Path) -> None:
        """Have one worker, and another when it dies."""
        wait = FIRST_WAIT
        while not self._stopping.is_set():
            worker = await self._start(metrics)
            code = await worker.process.wait()
            self._forget(worker, metrics)
            if self._stopping.is_set():
                self._failed = self._failed or code not in ENDED_WELL
                return
            if not worker.ready and not (self._complete and any(other.ready for other in self._workers)):
                log.error("a worker cannot start: giving up", pid=worker.process.pid, code=code)
                self._failed = True
                self._stop(signal.SIGTERM)
                return
            if monotonic() - worker.began > SETTLED_SECONDS:
                wait = FIRST_WAIT
            log.error("a worker died; another is started", pid=worker.process.pid, code=code, wait=wait)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait)
            wait = min(wait * 2, MAX_WAIT)

    async def _start(self, metrics: Path) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs, beside(self._sock) as own:
            descriptors = (own.fileno(), theirs.fileno())
            process = await asyncio.create_subprocess_exec(
                *self._command,
                *("--sock", str(descriptors[0]), "--link", str(descriptors[1])),
                stdin=DEVNULL,
                pass_fds=descriptors,
                process_group=0,  # a terminal's Ctrl-C is for the parent, which tells its workers
                env={**os.environ, VARIABLE: str(metrics)},
            )
        ours.setblocking(False)
        worker = _Worker(process, ours)
        self._workers.add(worker)
        asyncio.get_running_loop().add_reader(ours, self._hear, worker)
        if self._stopping.is_set():
            worker.signal(signal.SIGTERM)
        return worker

    def _forget(self, worker: _Worker, metrics: Path) -> None:
        asyncio.get_running_loop().remove_reader(worker.link)
        worker.link.close()
        self._workers.discard(worker)
        forget_worker(metrics, worker.process.pid)

    def _hear(self, worker: _Worker) -> None:
        try:
            said = worker.link.recv(64)
        except OSError:
            said = b""
        if not said:
            asyncio.get_running_loop().remove_reader(worker.link)
        if READY in said:
            worker.ready = True
            self._begun.set()
            if not self._complete and sum(one.ready for one in self._workers) == self._count:
                self._complete = True
                self._on_ready()
        if CHANGED in said:
            for other in self._workers - {worker}:
                other.say(FOLLOW)

    def _reload(self) -> None:
        """One worker checks the file and writes the audit log; see CHANGED for the others."""
        for worker in sorted(self._workers, key=lambda worker: not worker.ready)[:1]:
            worker.say(RELOAD)

    def _stop(self, number: int) -> None:
        """Let all workers end; told again, they are told again, and cut short what is in flight."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._begun.set()
            asyncio.get_running_loop().call_later(STOP_SECONDS, self._kill)
        for worker in self._workers:
            worker.signal(number)

    def _kill(self) -> None:
        for worker in self._workers:
            log.error("a worker does not end; it is killed", pid=worker.process.pid)
            worker.signal(signal.SIGKILL)
