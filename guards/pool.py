"""Processes for work that would hold the event loop up: it is sent to a worker (`guards.worker`) and awaited.

A worker does one job at a time. One that hangs, dies or is killed fails its job and nobody else's, and is replaced;
what was loaded into it is loaded into the next before that gets a job. Workers end with this process, however it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

import msgspec

from guards import worker
from guards.worker import Done, Job, Raised

logger = logging.getLogger(__name__)

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")

START_LIMIT = 60.0  # seconds a process may take until it listens
LOAD_LIMIT = 120.0  # seconds

_CLOSED = "the pool was closed"


class PoolError(Exception):
    """A job was not done. The message never holds an argument of it."""


class PoolBusy(PoolError):
    """Too many jobs wait already; this one was not taken."""


class PoolClosed(PoolError):
    """The pool ends, or has ended."""


class JobFailed(PoolError):
    """The function raised. The message says what and where; of a function that loads, also what it said."""


class JobTimeout(PoolError):
    """The function took longer than it may; its worker was ended."""


class WorkerLost(PoolError):
    """The worker ended while it had the job, or could not be started."""


class WorkerPool:
    """`workers` processes at most, none before the first job. `queue`: jobs that may wait for one.

    Belongs to the event loop that first uses it. End it with `close`.
    """

    def __init__(self, workers: int = 1, queue: int = 256) -> None:
        if workers < 1 or queue < 1:
            raise ValueError("a pool needs a worker, and a place in the queue")
        self.workers = workers
        self.closed = False
        self.loads: dict[bytes, int] = {}  # the frames that load what jobs work with, and for how many
        self._queue = queue
        self._idle = [_Lane(self) for _ in range(workers)]
        self._lanes = tuple(self._idle)
        self._waiting: deque[asyncio.Future[_Lane]] = deque()
        self._load_lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def pids(self) -> list[int]:
        """Of the workers that run now."""
        return [lane.process.pid for lane in self._lanes if lane.process is not None]

    async def run(
        self, function: Callable[[*_Arguments], _Result], *arguments: *_Arguments, limit: float = 10.0
    ) -> _Result:
        """What `function` returns, called in a worker.

        It is a module's own function; arguments and result are what msgpack can carry (a tuple arrives as a list).
        `limit`: seconds it may take, from when a worker has it. A caller that no longer waits does not stop it.
        Raises PoolBusy, PoolClosed, JobFailed, JobTimeout and WorkerLost; TypeError or ValueError for what cannot be
        sent, lone surrogates among it.
        """
        data = worker.frame(Job(_name(function), list(arguments), limit))
        lane = await self._take()
        result: _Result = await self._begin(lane, lane.ask(data, limit))
        return result

    async def load(self, function: Callable[[*_Arguments], _Result], *arguments: *_Arguments) -> _Result:
        """Call `function` once in every worker, now and whenever one is replaced: to have there what jobs work with.

        Returns what the first worker answered. Raises like `run`; if it fails it is forgotten.
        """
        data = _loading(function, arguments)
        async with self._load_lock:  # two that each hold half of the workers would wait for ever
            lanes: list[_Lane] = []
            try:
                while len(lanes) < self.workers:
                    lanes.append(await self._take(jumps_queue=True))
            except BaseException:
                for lane in lanes:
                    self._give(lane)
                raise
            self.loads[data] = self.loads.get(data, 0) + 1
            try:
                results = await asyncio.gather(*(self._begin(lane, lane.bring(data)) for lane in lanes))
            except BaseException:
                self._forget(data)
                raise
        first: _Result = results[0]
        return first

    def forget(self, function: Callable[[*_Arguments], _Result], *arguments: *_Arguments) -> None:
        """Take one `load` back: once all are, workers that start from then on do not load it any more."""
        self._forget(_loading(function, arguments))

    async def close(self) -> None:
        """End every process. Jobs that run or wait raise PoolError."""
        self.closed = True
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(PoolClosed(_CLOSED))
        self._waiting.clear()
        await asyncio.gather(*(lane.stop() for lane in self._lanes))
        await asyncio.gather(*self._tasks)

    def _forget(self, data: bytes) -> None:
        count = self.loads.pop(data, 0) - 1
        if count > 0:
            self.loads[data] = count

    def _begin(self, lane: _Lane, work: Coroutine[Any, Any, Any]) -> asyncio.Future[Any]:
        """Work in a lane that goes on when nobody waits for its answer any more."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        task = loop.create_task(self._do(lane, work, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return answer

    async def _do(self, lane: _Lane, work: Coroutine[Any, Any, Any], answer: asyncio.Future[Any]) -> None:
        """The lane has a worker again, if that can be, when it is given back."""
        try:
            try:
                result = await work
            except Exception as error:
                if not answer.done():
                    answer.set_exception(error)
            else:
                if not answer.done():
                    answer.set_result(result)
            if lane.process is None and self.loads and not self.closed:
                with contextlib.suppress(PoolError):  # the next job tries again
                    await lane.start()
        finally:
            self._give(lane)

    async def _take(self, *, jumps_queue: bool = False) -> _Lane:
        if self.closed:
            raise PoolClosed(_CLOSED)
        if self._idle:
            return self._idle.pop()
        waiter: asyncio.Future[_Lane] = asyncio.get_running_loop().create_future()
        if jumps_queue:
            self._waiting.appendleft(waiter)
        elif len(self._waiting) >= self._queue:
            raise PoolBusy(f"{self._queue} jobs wait already")
        else:
            self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            elif not waiter.cancelled() and waiter.exception() is None:  # it was its turn
                self._give(waiter.result())
            raise

    def _give(self, lane: _Lane) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(lane)
                return
        self._idle.append(lane)


class _Lane:
    """The place of one worker, whichever process is in it. Used by one task at a time, but for `stop`."""

    def __init__(self, pool: WorkerPool) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self._pool = pool
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._loaded: dict[bytes, Any] = {}

    async def ask(self, data: bytes, limit: float) -> Any:
        """One job. Raises PoolError."""
        await self.start()
        return await self._exchange(data, limit)

    async def bring(self, data: bytes) -> Any:
        """What loading by `data` came to in this worker. Raises PoolError."""
        await self.start()
        result = self._loaded[data]
        if isinstance(result, PoolError):
            del self._loaded[data]
            raise result
        return result

    async def start(self) -> None:
        """Have a process, with all loaded that is to be. Raises PoolError."""
        if self.process is not None and self.process.poll() is not None:  # it ended while it had nothing to do
            await self.stop()
        if self.process is None:
            await self._open()
        for data in tuple(self._pool.loads):
            if data not in self._loaded:
                try:
                    self._loaded[data] = await self._exchange(data, LOAD_LIMIT)
                except JobFailed as error:  # jobs that work with other things need not care
                    logger.error("a worker could not load: %s", error)
                    self._loaded[data] = error

    async def stop(self) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        self._loaded = {}
        self._writer.transport.abort()
        process.kill()
        await asyncio.to_thread(process.wait)

    async def _open(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:  # in a thread: starting a process can take longer than the loop may be held up
                process = await asyncio.to_thread(_start_process, theirs.fileno())
            except OSError as error:
                ours.close()
                raise WorkerLost(f"no process could be started: {error.strerror}") from None
        self._reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        self.process = process
        await self._exchange(_READY, START_LIMIT)

    async def _exchange(self, data: bytes, limit: float) -> Any:
        """The answer to one frame. The process ends unless it answered in time. Raises PoolError."""
        failure: PoolError
        try:
            if self._pool.closed:  # by whom a process that was being started has not been seen
                raise OSError(_CLOSED)
            async with asyncio.timeout(limit):
                self._writer.write(data)
                answer = await self._read()
        except TimeoutError:
            failure = JobTimeout(f"no answer in {limit:g} s")
        except (asyncio.IncompleteReadError, OSError, msgspec.DecodeError):
            failure = PoolClosed(_CLOSED) if self._pool.closed else WorkerLost("the worker ended without an answer")
        else:
            if isinstance(answer, Raised):
                raise JobFailed(answer.error if answer.message is None else f"{answer.error}: {answer.message}")
            return answer.result
        await self.stop()
        raise failure

    async def _read(self) -> Done | Raised:
        (size,) = worker.LENGTH.unpack(await self._reader.readexactly(worker.LENGTH.size))
        if size > worker.MAX_FRAME:
            raise OSError("not a frame")
        return worker.answer_of.decode(await self._reader.readexactly(size))


def _name(function: Callable[..., Any]) -> str:
    module, name = function.__module__, function.__qualname__
    if "." in name or "<" in name or module == "__main__":
        raise ValueError(f"{name} is not a function of a module, so a worker cannot import it")
    return f"{module}:{name}"


def _loading(function: Callable[..., Any], arguments: tuple[Any, ...]) -> bytes:
    return worker.frame(Job(_name(function), list(arguments), LOAD_LIMIT, loading=True))


_READY = _loading(worker.ready, ())


def _start_process(fd: int) -> subprocess.Popen[bytes]:
    """A worker that inherits `fd` and finds the modules that this process finds.

    What libraries print is dropped: it may quote a text that they read.
    """
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return subprocess.Popen(  # noqa: S603  # nothing in it comes from outside
        [sys.executable, "-P", "-m", "guards.worker", str(fd)],
        pass_fds=(fd,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path, **one_thread},
    )
