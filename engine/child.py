"""One life of an engine process: spawned, greeted, talked to, surely ended. Restarting is the client's."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Sequence
from typing import cast

from engine import ipc
from engine.config import EngineConfig
from engine.errors import EngineUnavailable
from engine.types import ModelInfo

logger = logging.getLogger(__name__)

Handler = Callable[[ipc.FromEngine], None]


class EngineChild(asyncio.Protocol):
    """A running engine process and the socket to it. Made by `start`; end it with `stop`, always."""

    def __init__(self, process: asyncio.subprocess.Process, handler: Handler) -> None:
        loop = asyncio.get_running_loop()
        self.last_heard = loop.time()
        self._loop = loop
        self._process = process
        self._handler = handler
        self._reader = ipc.FrameReader(ipc.from_engine)
        self._greeted: asyncio.Future[ipc.Ready | ipc.Failed | None] = loop.create_future()
        self._disconnected = asyncio.Event()
        self._transport: asyncio.Transport

    @classmethod
    async def start(
        cls, config: EngineConfig, command: Sequence[str], handler: Handler, within: float
    ) -> tuple[EngineChild, ModelInfo]:
        """Spawn `command` with the socket's descriptor as last argument and wait until the model is ready.

        `handler` gets every later frame, in order. Raises EngineConfigError or ModelFileError as the engine
        says, EngineUnavailable when it cannot be started, ends early, or is not ready `within` seconds;
        nothing is left running then.
        """
        child = await cls._spawn(command, handler)
        try:
            child.send(ipc.Hello(config))
            async with asyncio.timeout(within):
                greeting = await child._greeted
        except TimeoutError as error:
            await child.stop(grace=0)
            raise EngineUnavailable(f"the engine was not ready after {within:g} s") from error
        except BaseException:
            await child.stop(grace=0)
            raise
        if isinstance(greeting, ipc.Ready):
            return child, greeting.info
        await child.stop(grace=0)
        if greeting is None:
            raise EngineUnavailable("the engine process ended before the model was ready")
        raise ipc.start_error(greeting)

    @classmethod
    async def _spawn(cls, command: Sequence[str], handler: Handler) -> EngineChild:
        try:
            ours, theirs = socket.socketpair()
            process = await cls._spawn_on(theirs, command, ours)
        except OSError as error:
            raise EngineUnavailable(f"the engine process cannot be started: {error.strerror}") from error
        loop = asyncio.get_running_loop()
        _, child = await loop.create_unix_connection(lambda: cls(process, handler), sock=ours)
        return child

    @staticmethod
    async def _spawn_on(
        theirs: socket.socket, command: Sequence[str], ours: socket.socket
    ) -> asyncio.subprocess.Process:
        """The process that inherits `theirs`, which is closed here; `ours` too if it cannot be started."""
        fd = theirs.fileno()
        with contextlib.ExitStack() as on_failure, theirs:
            on_failure.callback(ours.close)
            process = await asyncio.create_subprocess_exec(
                *command, str(fd), pass_fds=(fd,), stdin=asyncio.subprocess.DEVNULL
            )
            on_failure.pop_all()
        return process

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def connected(self) -> bool:
        return not self._disconnected.is_set()

    @property
    def exit_status(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._process.returncode

    def send(self, message: ipc.ToEngine) -> None:
        """Queue one frame; lost if the process is gone, which `wait_disconnected` tells.

        Raises ProtocolError if it is too large.
        """
        frame = ipc.encode(message)
        if self.connected:
            self._transport.write(frame)

    async def wait_disconnected(self, within: float) -> bool:
        """Whether the process has closed its socket, or does so `within` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._disconnected.wait()
        return self._disconnected.is_set()

    async def stop(self, grace: float) -> None:
        """Hang up, give the process `grace` seconds to end by itself, kill it otherwise, and reap it."""
        self._transport.abort()
        if grace > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._process.wait()
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.last_heard = self._loop.time()
        try:
            messages = self._reader.feed(data)
        except ipc.ProtocolError as error:
            logger.error("engine process %d speaks nonsense: %s", self.pid, error)
            self._transport.abort()
            return
        for message in messages:
            if not isinstance(message, ipc.Ready | ipc.Failed):
                self._handler(message)
            elif not self._greeted.done():
                self._greeted.set_result(message)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disconnected.set()
        if not self._greeted.done():
            self._greeted.set_result(None)
