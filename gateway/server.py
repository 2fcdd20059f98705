"""Serving: a socket, uvicorn, signals, and a first page for whoever started it."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from gateway.app import App
from gateway.config import Config
from gateway.parts import Parts, open_parts
from gateway.parts.startup import StartupError

GRACE_SECONDS = 30  # how long requests in flight may go on after SIGTERM
KEEP_ALIVE_SECONDS = 75
BACKLOG = 2048


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals for the time of serving, and do not raise them again after it.

        uvicorn raises what it caught once more when it is done, which would end the process before the ledger is
        closed, and not with 0.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


def bind(host: str, port: int) -> socket.socket:
    """A bound socket, which refuses connections until the server listens on it. Raises StartupError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as error:
        raise StartupError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    sock.setblocking(False)
    return sock


async def serve(config: Config, on_ready: Callable[[Parts, str], None]) -> None:
    """Serve until SIGINT or SIGTERM, then let what is in flight finish. `on_ready` gets the base URL.

    Raises StartupError, ConfigError.
    """
    sock = bind(config.server.host, config.server.port)
    with sock:
        async with open_parts(config) as parts:
            settings = uvicorn.Config(
                App(parts),
                http="httptools",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
            host, port = sock.getsockname()[:2]
            base_url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            await _Server(settings, lambda: on_ready(parts, base_url)).serve(sockets=[sock])


def run(main: Callable[[], Any]) -> None:
    """Run an async function on the fastest loop there is."""
    if sys.platform == "win32":
        asyncio.run(main())
    else:
        import uvloop

        uvloop.run(main())
