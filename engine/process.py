"""The engine process: one model behind one socket. `engine.client` starts it: `python -m engine.process FD`.

It takes frames between steps, sleeps in `recv` when there is nothing to do, and ends when its socket does, so
that no process outlives its client. One thread does everything; a second one only watches for a client that
vanished while a step, or the loading of the model, hangs.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import msgspec

from engine import ipc
from engine.config import EngineConfig
from engine.core.block_pool import IntegrityError
from engine.core.engine import EngineCore
from engine.core.runner import Runner
from engine.errors import EngineConfigError, EngineError, InvalidRequest, QueueFull
from engine.types import Delta, Request

logger = logging.getLogger("engine.process")

LoadRunner = Callable[[EngineConfig], Runner]
ORPHAN_GRACE = 10.0  # seconds a running step gets after the client has vanished


class _Closed(Exception):
    """The client is gone; nobody is left to answer."""


class EngineServer:
    """Serves one client over a connected socket with a loaded core."""

    def __init__(
        self, sock: socket.socket, core: EngineCore, *, input_log: TextIO | None, strict_integrity: bool
    ) -> None:
        self._sock = sock
        self._core = core
        self._reader = ipc.FrameReader(ipc.to_engine)
        self._input_log = input_log
        self._strict_integrity = strict_integrity

    def run(self) -> None:
        """Serve until the client closes. Raises ProtocolError, NoProgress, and IntegrityError when strict."""
        try:
            while True:
                if self._core.has_work:
                    self._receive(wait=False)
                    self._send_deltas(self._core.step())
                else:
                    self._check_integrity()
                    self._receive(wait=True)
        except _Closed:
            return

    def _receive(self, *, wait: bool) -> None:
        """Do what the client has said; `wait` for it if it has said nothing.

        One read: however fast a client talks, the next step follows.
        """
        messages = ipc.receive(self._sock, self._reader, wait=wait)
        if messages is None:
            raise _Closed
        for message in messages:
            self._handle(message)

    def _handle(self, message: ipc.ToEngine) -> None:
        if isinstance(message, ipc.Submit):
            self._submit(message.request)
        elif isinstance(message, ipc.Abort):
            delta = self._core.abort(message.id)
            if delta is not None:
                self._send_deltas([delta])
        elif isinstance(message, ipc.StatsRequest):
            self._send(ipc.Stats(self._core.stats))
        else:
            raise ipc.ProtocolError("a second Hello")

    def _submit(self, request: Request) -> None:
        try:
            self._core.submit(request)
        except (InvalidRequest, QueueFull) as error:
            self._send(ipc.rejection(request.id, error))
            return
        if self._input_log is not None:
            self._input_log.write(json.dumps({"id": request.id, "tokens": request.prompt}) + "\n")
            self._input_log.flush()

    def _send_deltas(self, deltas: list[Delta]) -> None:
        """One frame for all; none for a step that only computed pieces of prompts."""
        if deltas:
            self._send(ipc.Deltas(deltas, self._core.stats))

    def _send(self, message: ipc.FromEngine) -> None:
        _send(self._sock, message)

    def _check_integrity(self) -> None:
        try:
            self._core.check_integrity()
        except IntegrityError:
            if self._strict_integrity:
                raise
            logger.exception("the block accounting is wrong; serving goes on")


def serve(sock: socket.socket, config: EngineConfig, load_runner: LoadRunner) -> None:
    """Load the model, say Ready (or Failed) on `sock`, and serve until the client closes it.

    What loading raises is told to the client and raised again. Raises also what `EngineServer.run` raises.
    """
    input_log: TextIO | None = None
    try:
        try:
            started = time.perf_counter()
            core = EngineCore(config, runner := load_runner(config))
            input_log = _open_input_log(config.input_log)
        except Exception as error:
            _send(sock, ipc.failure(error))
            raise
        logger.info("model %s ready in %.2f s", config.name, time.perf_counter() - started)
        _send(sock, ipc.Ready(msgspec.structs.replace(runner.info, context=core.context)))
        EngineServer(sock, core, input_log=input_log, strict_integrity=config.strict_integrity).run()
    except _Closed:
        return
    finally:
        if input_log is not None:
            input_log.close()


def _open_input_log(path: str | None) -> TextIO | None:
    if path is None:
        return None
    try:
        return Path(path).open("a", encoding="utf-8")
    except OSError as error:
        raise EngineConfigError(f"input_log {path} cannot be opened: {error.strerror}") from error


def _send(sock: socket.socket, message: ipc.FromEngine) -> None:
    """A client slow to read slows the engine down; one that is gone raises _Closed."""
    try:
        sock.sendall(ipc.encode(message))
    except (BrokenPipeError, ConnectionResetError) as error:
        raise _Closed from error


def _read_hello(sock: socket.socket) -> EngineConfig | None:
    """The configuration from the client's first frame; None if it closed before. Raises ProtocolError."""
    reader = ipc.FrameReader(ipc.to_engine)
    while (messages := ipc.receive(sock, reader)) is not None:
        if not messages:
            continue
        if len(messages) != 1 or not isinstance(messages[0], ipc.Hello):
            raise ipc.ProtocolError("the first frame must be Hello, and nothing may follow before Ready")
        return messages[0].config
    return None


def _watch_for_orphanhood(fd: int) -> None:
    """End the process if the client has hung up and the serving thread does not notice in time."""
    poll = select.poll()
    poll.register(fd, 0)  # POLLHUP is always reported
    poll.poll()
    time.sleep(ORPHAN_GRACE)
    os._exit(1)


def _load_torch_runner(config: EngineConfig) -> Runner:
    from engine.runner import TorchRunner

    return TorchRunner(config)


def main(argv: list[str], load_runner: LoadRunner = _load_torch_runner) -> int:
    """Serve on the inherited socket whose file descriptor is the one argument. Returns the exit status."""
    if len(argv) != 1 or not argv[0].isdigit():
        print("usage: python -m engine.process SOCKET_FD (started by engine.client)", file=sys.stderr)
        return 2
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the client's to handle; it closes the socket
    with socket.socket(fileno=int(argv[0])) as sock:
        threading.Thread(target=_watch_for_orphanhood, args=(sock.fileno(),), daemon=True).start()
        try:
            config = _read_hello(sock)
            if config is not None:
                serve(sock, config, load_runner)
        except EngineError as error:
            logger.error("%s: %s", type(error).__name__, error)
            return 1
        except Exception:
            logger.exception("the engine process ends")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
