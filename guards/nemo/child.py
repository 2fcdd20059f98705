"""The process that one guard's rails run in: a check takes 10 to 25 ms of a processor, in steps that none interrupts.

    python -m guards.nemo.child FD

It serves one folder, which the first message names, and ends with the process that started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import socket
import sys
import threading
from itertools import count

from guards.nemo.folder import read_folder
from guards.nemo.model import RailsFailed, Run
from guards.nemo.rails import Rails, quiet
from guards.nemo.selftest import try_rails
from guards.nemo.wire import Answer, Ask, Cancel, Check, Failed, Load, Loaded, Ruled, ToGate, framed, read, to_child
from guards.types import GuardConfigError, ModelUnavailable, Question
from guards.worker import NICENESS, describe


class Server:
    """Answers on one socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._rails: Rails | None = None
        self._checks: dict[int, asyncio.Task[None]] = {}
        self._asked: dict[int, asyncio.Future[str]] = {}
        self._ids = count()

    async def serve(self) -> None:
        """Until the gate hangs up."""
        while (data := await read(self._reader)) is not None:
            match to_child.decode(data):
                case Load() as load:
                    self._send(await self._load(load))
                case Check() as check:
                    self._checks[check.id] = asyncio.create_task(self._check(check))
                case Cancel(id):
                    if (task := self._checks.get(id)) is not None:
                        task.cancel()
                case Answer() as answer:
                    self._answered(answer)

    async def ask(self, check: int, question: Question) -> str:
        """Raises ModelUnavailable."""
        id = next(self._ids)
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._asked[id] = answer
        self._send(Ask(id, check, question))
        try:
            return await answer
        finally:
            del self._asked[id]

    def _answered(self, answer: Answer) -> None:
        waiting = self._asked.get(answer.id)
        if waiting is None or waiting.done():
            return
        if answer.words is None:
            waiting.set_exception(ModelUnavailable(answer.reason))
        else:
            waiting.set_result(answer.words)

    async def _load(self, load: Load) -> Loaded:
        try:
            quiet()
            self._rails = Rails(read_folder(load.folder, load.stages), load.model)
            for stage in sorted(load.stages):
                await try_rails(self._rails, stage)
        except GuardConfigError as error:
            return Loaded(str(error), error.at)
        return Loaded()

    async def _check(self, check: Check) -> None:
        try:
            self._send(await self._ruling(check))
        except asyncio.CancelledError:
            self._send(Failed(check.id, "cancelled"))
        except (RailsFailed, ModelUnavailable) as error:
            self._send(Failed(check.id, str(error)))
        except Exception as error:
            self._send(Failed(check.id, describe(error)))
        finally:
            del self._checks[check.id]

    async def _ruling(self, check: Check) -> Ruled:
        if self._rails is None:
            raise RailsFailed("no rails are loaded")
        ruling = await self._rails.check(check.text, Run(check.guard, check.stage, _Models(self, check.id)))
        return Ruled(check.id, ruling.findings, ruling.text)

    def _send(self, message: ToGate) -> None:
        self._writer.write(framed(message))


class _Models:
    """The models of the request that one check is for."""

    def __init__(self, server: Server, check: int) -> None:
        self._server = server
        self._check = check

    async def ask(self, guard: str, question: Question) -> str:
        return await self._server.ask(self._check, question)


async def _serve(sock: socket.socket) -> None:
    await Server(*await asyncio.open_unix_connection(sock=sock)).serve()


def _end_with_parent(fd: int) -> None:
    """End the process at once when the other side is gone, whatever an action is at."""
    poll = select.poll()
    poll.register(fd, 0)  # that it hung up is always reported
    poll.poll()
    os._exit(0)


def main(arguments: list[str]) -> int:
    """Serve on the inherited socket whose file descriptor is the one argument. Returns the exit status."""
    if len(arguments) != 1 or not arguments[0].isdigit():
        print("usage: python -m guards.nemo.child SOCKET_FD (started by the nemo guard)", file=sys.stderr)
        return 2
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it hangs up
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    sock = socket.socket(fileno=int(arguments[0]))
    threading.Thread(target=_end_with_parent, args=(sock.fileno(),), daemon=True).start()
    asyncio.run(_serve(sock))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
