"""Serving: a socket, uvicorn and signals. SIGTERM and SIGINT stop it, a second one cuts short; SIGHUP reloads."""

from __future__ import annotations

import asyncio
import gc
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Self

import uvicorn

from gateway.app import App
from gateway.config import Config
from gateway.listening import base_url, bind
from gateway.parts import Parts, open_parts
from gateway.parts.reload import SIGNAL, Reloader
from gateway.storage.audit import Actor
from gateway.worker_link import WorkerLink

GRACE_SECONDS = 30  # how long requests in flight may go on after SIGTERM
CUT_SECONDS = 2.0  # how long those that were cut short may take to write what they cost
GC_THRESHOLDS = 10_000, 20, 20  # a request makes a thousand objects, and nearly all die with it by themselves
KEEP_ALIVE_SECONDS = 75
BACKLOG = 2048


class Server(uvicorn.Server):
    """`on_ready` is called once it answers, `on_hangup` for each SIGHUP."""

    def __init__(self, app: App, on_ready: Callable[[], None], on_hangup: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="httptools",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        self._on_ready = on_ready
        self._on_hangup = on_hangup
        self._cut_short = asyncio.Event()

    def stop(self) -> None:
        """Accept nothing more, and leave when what is in flight is done. Called again: leave now."""
        if self.should_exit:
            self._cut_short.set()
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.stop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            # What is there by now stays: looking through it again and again would stop all requests for milliseconds.
            gc.collect()
            gc.freeze()
            gc.set_threshold(*GC_THRESHOLDS)
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for requests in flight; those that are cut short have written their bill when it returns."""
        waiting = asyncio.create_task(super().shutdown(sockets))
        cut = asyncio.create_task(self._cut_short.wait())
        await asyncio.wait((waiting, cut), return_when=asyncio.FIRST_COMPLETED)
        for task in (waiting, cut):
            task.cancel()
        await asyncio.gather(waiting, cut, return_exceptions=True)
        if left := set(self.server_state.tasks):
            for request in left:
                request.cancel()
            await asyncio.wait(left, timeout=CUT_SECONDS)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals for the time of serving, and do not raise them again after it.

        uvicorn raises what it caught once more when it is done, which would end the process before the ledger is
        closed, and not with 0.
        """
        loop = asyncio.get_running_loop()
        handlers = {signal.SIGINT: self.stop, signal.SIGTERM: self.stop, signal.SIGHUP: self._on_hangup}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)


class _Reloads:
    """Reloads that nobody waits for, each a task. On leaving, those under way are waited for."""

    def __init__(self, reloader: Reloader) -> None:
        self._reloader = reloader
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*self._tasks)

    def lead(self) -> None:
        self._begin(SIGNAL)

    def follow(self) -> None:
        self._begin(None)

    def _begin(self, actor: Actor | None) -> None:
        task = asyncio.create_task(self._reloader.try_reload(actor), name="reload")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def serve(config: Config, read: Callable[[], Config], on_ready: Callable[[Parts, str], None]) -> None:
    """Serve until SIGINT or SIGTERM, then let what is in flight finish. `on_ready` gets the base URL.

    `read` gives the configuration anew. Raises StartupError, ConfigError.
    """
    with bind(config.server.host, config.server.port) as sock:
        url = base_url(sock)
        async with open_parts(config, read) as parts, _Reloads(parts.reloader) as reloads:
            await Server(App(parts), lambda: on_ready(parts, url), reloads.lead).serve(sockets=[sock])


async def serve_worker(
    config: Config, read: Callable[[], Config], sock: socket.socket, link: WorkerLink, metrics: Path
) -> None:
    """Serve as one of several processes on one port, whose parent is at the other end of `link`.

    `metrics` is the directory in which all of them keep their metrics. Raises StartupError, ConfigError.
    """
    async with (
        open_parts(config, read, applied=link.changed, worker_metrics=metrics) as parts,
        _Reloads(parts.reloader) as reloads,
    ):
        server = Server(App(parts), link.ready, reloads.lead)
        with link.listening(reload=reloads.lead, follow=reloads.follow, stop=server.stop):
            await server.serve(sockets=[sock])
    if link.orphaned:
        await asyncio.to_thread(shutil.rmtree, metrics, ignore_errors=True)


def run(main: Callable[[], Any]) -> None:
    """Run an async function on the fastest loop there is."""
    if sys.platform == "win32":
        asyncio.run(main())
    else:
        import uvloop

        uvloop.run(main())
