"""The gate's side of a rails' process: starts it, gives it checks, and asks models for it."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from time import monotonic

from guards.judge.session import Ruling
from guards.nemo.model import RailsFailed
from guards.nemo.wire import Answer, Ask, Cancel, Check, Failed, Load, Loaded, Ruled, ToChild, framed, read, to_gate
from guards.types import GuardConfigError, ModelCaller, ModelUnavailable, Stage

START_SECONDS = 120.0  # until the rails are loaded and tried
RESTART_SECONDS = 5.0  # between two starts
SILENT_SECONDS = 5.0  # how long a process may say nothing after a check in it was given up


class RailsProcess:
    """One process that serves one folder. It is started anew when it has ended, by the next check."""

    def __init__(self, load: Load, *, clock: Callable[[], float] = monotonic) -> None:
        self._load = load
        self._clock = clock
        self._started = float("-inf")
        self._link: asyncio.Task[_Link] | None = None

    async def start(self) -> None:
        """Raises GuardConfigError for rails that cannot be run, RailsFailed."""
        await self._linked()

    @property
    def pid(self) -> int | None:
        """Of the process, once it serves."""
        link = self._link
        return link.result().process.pid if link and link.done() and not link.exception() else None

    async def check(self, guard: str, stage: Stage, text: str, models: ModelCaller | None) -> Ruling:
        """Raises RailsFailed, ValueError for a text that cannot be sent."""
        link = await self._linked()
        return await link.check(guard, stage, text, models)

    async def close(self) -> None:
        """End the process. What is under way in it fails."""
        task, self._link = self._link, None
        if task is None:
            return
        if not task.done():
            task.cancel()
        for outcome in await asyncio.gather(task, return_exceptions=True):
            if isinstance(outcome, _Link):
                await outcome.close()

    async def _linked(self) -> _Link:
        task = self._link
        if task is not None and task.done() and (task.cancelled() or task.exception() or task.result().ended):
            if self._clock() - self._started < RESTART_SECONDS:
                raise RailsFailed("the rails' process has ended")
            task = None
        if task is None:
            self._started = self._clock()
            task = self._link = asyncio.create_task(_Link.open(self._load), name="rails-process")
        return await asyncio.shield(task)


class _Link:
    """A process that has loaded its rails."""

    def __init__(
        self, process: subprocess.Popen[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.process = process
        self.ended = False
        self._reader = reader
        self._writer = writer
        self._ids = count()
        self._checks: dict[int, _Pending] = {}
        self._heard = 0  # messages
        self._listening: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, load: Load) -> _Link:
        """Raises GuardConfigError, RailsFailed."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:  # in a thread: starting a process can take longer than the loop may be held up
                process = await asyncio.to_thread(_start, theirs.fileno(), load.folder)
            except BaseException:
                ours.close()
                raise
        link = cls(process, *await asyncio.open_unix_connection(sock=ours))
        try:
            await link._begin(load)
        except BaseException:
            await link.close()
            raise
        return link

    async def _begin(self, load: Load) -> None:
        try:
            async with asyncio.timeout(START_SECONDS):
                self._send(load)
                data = await read(self._reader)
        except TimeoutError:
            raise RailsFailed(f"the rails are not loaded after {START_SECONDS:g} s") from None
        loaded = None if data is None else to_gate.decode(data)
        if not isinstance(loaded, Loaded):
            raise RailsFailed("the rails' process ended while it loaded them")
        if loaded.fault is not None:
            raise GuardConfigError(loaded.fault, loaded.at)
        self._listening = asyncio.create_task(self._listen(), name="rails-answers")

    async def check(self, guard: str, stage: Stage, text: str, models: ModelCaller | None) -> Ruling:
        id = next(self._ids)
        check = Check(id, guard, stage, text)
        self._send(check)
        pending = self._checks[id] = _Pending(guard, models)
        try:
            return await pending.ruling
        except asyncio.CancelledError:
            self._give_up(id)
            raise
        finally:
            pending.end()

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
        self._writer.transport.abort()
        self.process.kill()
        await asyncio.to_thread(self.process.wait)
        self._end()

    async def _listen(self) -> None:
        try:
            while (data := await read(self._reader)) is not None:
                self._heard += 1
                match to_gate.decode(data):
                    case Ask() as ask:
                        self._ask(ask)
                    case Ruled(id, findings, text):
                        self._pop(id).rule(Ruling(findings, text))
                    case Failed(id, reason):
                        self._pop(id).fail(reason)
        finally:
            self._end()
            await asyncio.to_thread(self.process.wait)

    def _pop(self, id: int) -> _Pending:
        return self._checks.pop(id)

    def _ask(self, ask: Ask) -> None:
        pending = self._checks[ask.check]
        task = asyncio.create_task(self._answer(ask, pending), name="rails-question")
        pending.questions.add(task)
        task.add_done_callback(pending.questions.discard)

    async def _answer(self, ask: Ask, pending: _Pending) -> None:
        try:
            if pending.models is None:
                raise ModelUnavailable("no model can be asked here")
            answer = Answer(ask.id, await pending.models.ask(pending.guard, ask.question))
        except ModelUnavailable as error:
            answer = Answer(ask.id, reason=str(error))
        except Exception as error:
            answer = Answer(ask.id, reason=type(error).__name__)
        if not self.ended:
            self._send(answer)

    def _give_up(self, id: int) -> None:
        """The check goes on without us. A process that does not even say that it has stopped is ended."""
        if self.ended:
            return
        self._send(Cancel(id))
        heard = self._heard

        def look() -> None:
            if id in self._checks and self._heard == heard:
                self.process.kill()

        asyncio.get_running_loop().call_later(SILENT_SECONDS, look)

    def _send(self, message: ToChild) -> None:
        self._writer.write(framed(message))

    def _end(self) -> None:
        """Nothing comes from this process any more."""
        if self.ended:
            return
        self.ended = True
        self._writer.transport.abort()
        self.process.kill()
        for pending in self._checks.values():
            pending.fail("the rails' process has ended")
        self._checks.clear()


class _Pending:
    """A check that the process has, and the questions that it asks meanwhile."""

    def __init__(self, guard: str, models: ModelCaller | None) -> None:
        self.guard = guard
        self.models = models
        self.ruling: asyncio.Future[Ruling] = asyncio.get_running_loop().create_future()
        self.questions: set[asyncio.Task[None]] = set()

    def rule(self, ruling: Ruling) -> None:
        if not self.ruling.done():
            self.ruling.set_result(ruling)

    def fail(self, reason: str) -> None:
        if not self.ruling.done():
            self.ruling.set_exception(RailsFailed(reason))

    def end(self) -> None:
        for task in self.questions:
            task.cancel()


def _start(fd: int, folder: str) -> subprocess.Popen[bytes]:
    """A process that inherits `fd`, finds the modules that this one finds, and stands in `folder`.

    The library loads actions from where it stands, too. What is printed there is dropped: it may quote a text. The
    library is told to report nothing to its makers, and everything below it to download nothing.
    """
    path = os.pathsep.join(str(Path(entry or ".").resolve()) for entry in sys.path)
    quiet = {
        "NEMO_GUARDRAILS_NO_USAGE_STATS": "1",
        "DISABLE_NEST_ASYNCIO": "true",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
    }
    return subprocess.Popen(  # noqa: S603  # nothing in it comes from outside
        [sys.executable, "-P", "-m", "guards.nemo.child", str(fd)],
        pass_fds=(fd,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, **quiet},
    )
