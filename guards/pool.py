"""Processes for work that would hold the event loop up: it is sent to a worker (`guards.worker`) and awaited.

A worker does one job at a time. One that hangs, dies or is killed fails its job and nobody else's, and is replaced; what
was loaded into it is loaded into the next before that gets a job. Workers end with this process, however it ends.
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
from collections.abc import Callable
from typing import Any, TypeVar, TypeVarTuple

from guards import worker
from guards.worker import Done, Job, Raised

logger = logging.getLogger(__name__)

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")

START_LIMIT = 60.0  # seconds a process may take until it listens
LOAD_LIMIT = 120.0  # seconds


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
        self._queue = queue
        self._idle = [_Lane(self) for _ in range(workers)]
        self._lanes = tuple(self._idle)
        self._waiting: deque[asyncio.Future[_Lane]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._loading: asyncio.Lock | None = None
        self.loads: dict[bytes, Job] = {}

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
        job = Job(_name(function), list(arguments), limit)
        data = worker.frame(job)
        lane = await self._take()
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._spawn(self._do(lane, data, limit, answer))
        result: _Result = await answer
        return result

    async def load(self, function: Callable[[*_Arguments], _Result], *arguments: *_Arguments) -> _Result:
        """Call `function` once in every worker, now and whenever one is replaced: to have there what jobs work with.

        Returns what the first worker answered. Raises like `run`; if it fails it is forgotten.
        """
        job = Job(_name(function), list(arguments), LOAD_LIMIT, loading=True)
        data = worker.frame(job)
        if self._loading is None:
            self._loading = asyncio.Lock()
        async with self._loading:  # two that each hold half of the workers would wait for ever
            self.loads[data] = job
            lanes: list[_Lane] = []
            try:
                for _ in range(self.workers):
                    lanes.append(await self._take(jumps_queue=True))  # noqa: PERF401  # those taken are given back
                results = await asyncio.gather(*(lane.bring(data) for lane in lanes), return_exceptions=True)
                for result in results:
                    if isinstance(result, BaseException):
                        raise result
            except BaseException:
                self.loads.pop(data, None)
                raise
            finally:
                for lane in lanes:
                    self._give(lane)
        first: _Result = results[0]  # type: ignore[assignment]
        return first

    def forget(self, function: Callable[[*_Arguments], _Result], *arguments: *_Arguments) -> None:
        """Workers that are started from now on do not load this any more."""
        self.loads.pop(worker.frame(Job(_name(function), list(arguments), LOAD_LIMIT, loading=True)), None)

    async def close(self) -> None:
        """End every process. Jobs that run or wait raise PoolClosed."""
        self._closed = True
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(PoolClosed("the pool was closed"))
        self._waiting.clear()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(lane.stop() for lane in self._lanes))

    async def _do(self, lane: _Lane, data: bytes, limit: float, answer: asyncio.Future[Any]) -> None:
        try:
            result = await lane.ask(data, limit)
        except PoolError as error:
            if not answer.done():
                answer.set_exception(error)
        except asyncio.CancelledError:
            if not answer.done():
                answer.set_exception(PoolClosed("the pool was closed"))
            raise
        else:
            if not answer.done():
                answer.set_result(result)
        finally:
            if lane.process is None and self.loads and not self._closed:
                with contextlib.suppress(PoolError):  # the next job tries again
                    await lane.start()
            self._give(lane)

    async def _take(self, *, jumps_queue: bool = False) -> _Lane:
        if self._closed:
            raise PoolClosed("the pool was closed")
        if self._idle:
            return self._idle.pop()
        waiter: asyncio.Future[_Lane] = asyncio.get_running_loop().create_future()
        if jumps_queue:
            self._waiting.appendleft(waiter)
        elif sum(not other.done() for other in self._waiting) >= self._queue:
            raise PoolBusy(f"{self._queue} jobs wait already")
        else:
            self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._give(waiter.result())
            raise

    def _give(self, lane: _Lane) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(lane)
                return
        self._idle.append(lane)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Lane:
    """The place of one worker, whichever process is in it."""

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
        """What loading `data` came to in this worker. Raises PoolError."""
        await self.start()
        if isinstance(error := self._loaded[data], PoolError):
            raise error
        return self._loaded[data]

    async def start(self) -> None:
        """Have a process, with all loaded that is to be. Raises WorkerLost."""
        if self.process is None:
            await self._open()
        for data, job in list(self._pool.loads.items()):
            if data in self._loaded:
                continue
            try:
                self._loaded[data] = await self._exchange(data, job.limit)
            except JobFailed as error:  # other jobs need not care
                logger.error("a worker could not load: %s", error)
                self._loaded[data] = error

    async def stop(self) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        self._loaded = {}
        self._writer.transport.abort()
        process.kill()
        await asyncio.shield(asyncio.to_thread(process.wait))

    async def _open(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                # Starting a process can take longer than the loop may be held up.
                starting = asyncio.ensure_future(asyncio.to_thread(_start_process, theirs.fileno()))
                try:
                    process = await asyncio.shield(starting)
                except asyncio.CancelledError:
                    starting.add_done_callback(_kill)
                    await asyncio.wait([starting])
                    raise
            except BaseException as error:
                ours.close()
                if isinstance(error, OSError):
                    raise WorkerLost(f"no process could be started: {error.strerror}") from None
                raise
        self._reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        self.process = process
        await self._exchange(_READY, START_LIMIT)

    async def _exchange(self, data: bytes, limit: float) -> Any:
        """The answer to one frame. Ends the process unless it answered in time."""
        try:
            async with asyncio.timeout(limit):
                self._writer.write(data)
                head = await self._reader.readexactly(worker.LENGTH.size)
                answer = worker.answer_of.decode(await self._reader.readexactly(*worker.LENGTH.unpack(head)))
        except TimeoutError:
            await self.stop()
            raise JobTimeout(f"no answer in {limit:g} s") from None
        except (asyncio.IncompleteReadError, OSError):
            await self.stop()
            raise WorkerLost("the worker ended without an answer") from None
        except BaseException:
            await self.stop()
            raise
        if isinstance(answer, Raised):
            raise JobFailed(answer.error if answer.message is None else f"{answer.error}: {answer.message}")
        assert isinstance(answer, Done)
        return answer.result


def _name(function: Callable[..., Any]) -> str:
    module, name = function.__module__, function.__qualname__
    if "." in name or "<" in name or module == "__main__":
        raise ValueError(f"{name} is not a function of a module, so a worker cannot import it")
    return f"{module}:{name}"


_READY = worker.frame(Job("guards.worker:ready", [], START_LIMIT, loading=True))


def _start_process(fd: int) -> subprocess.Popen[bytes]:
    """A worker that inherits `fd` and sees the modules that this process sees.

    What libraries print is dropped: it may quote a text that they read.
    """
    path = os.pathsep.join(entry or str(os.curdir) for entry in sys.path)
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "guards.worker", str(fd)],
        pass_fds=(fd,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path, **one_thread},
    )


def _kill(started: asyncio.Future[subprocess.Popen[bytes]]) -> None:
    if not started.cancelled() and started.exception() is None:
        started.result().kill()
        started.result().wait()
