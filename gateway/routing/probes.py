"""Asking targets whether they are there, beside the requests: a probe that fails opens the target's breaker.

One that succeeds closes a breaker that a probe has opened. One that requests have opened it only makes half-open: a
server that lists its models may still fail to answer with them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import aiohttp
import structlog

from gateway.routing.state import TargetState

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Probe:
    """A GET of `url` every `interval` seconds; anything but a 2xx within `timeout` seconds is a failure."""

    target: str
    state: TargetState
    url: str = field(repr=False)  # it may carry credentials
    headers: dict[str, str] = field(repr=False)
    interval: float
    timeout: float


class HealthProbes:
    """Each probe runs in a task of its own, from `start` to `close`."""

    def __init__(self, probes: Sequence[Probe], *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._probes = probes
        self._sleep = sleep
        self._opened: set[str] = set()  # targets whose breaker a probe keeps open
        self._session: aiohttp.ClientSession | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._session = aiohttp.ClientSession()
        self._tasks = [asyncio.create_task(self._run(probe, self._session), name="probe") for probe in self._probes]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def note(self, probe: Probe, failure: str | None) -> None:
        """Act on what a probe found; None: all is well."""
        state, healthy = probe.state, failure is None
        if state.healthy is not healthy and (not healthy or state.healthy is not None):
            log.warning("target's health changed", target=probe.target, healthy=healthy, failure=failure)
        state.healthy = healthy
        breaker = state.breaker
        if breaker is None:
            return
        if not healthy:
            self._opened.add(probe.target)
            # Until after the next probe, so that no request is let through between two that fail.
            breaker.open(max(breaker.rules.cooldown, probe.interval + 2 * probe.timeout))
        elif probe.target in self._opened:
            self._opened.discard(probe.target)
            breaker.close()
        else:
            breaker.try_early()

    async def _run(self, probe: Probe, session: aiohttp.ClientSession) -> None:
        while True:
            self.note(probe, await _ask(probe, session))
            await self._sleep(probe.interval)


async def _ask(probe: Probe, session: aiohttp.ClientSession) -> str | None:
    """How the probe failed; None if it did not."""
    limit = aiohttp.ClientTimeout(total=probe.timeout)
    try:
        async with session.get(probe.url, headers=probe.headers, timeout=limit, allow_redirects=False) as response:
            return None if 200 <= response.status < 300 else f"status {response.status}"
    except (aiohttp.ClientError, OSError, ValueError) as error:  # a TimeoutError is an OSError
        return type(error).__name__
