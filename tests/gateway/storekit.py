"""Stores of limits for tests: a clock that is set by hand, claims in a few words, and a server that can be stopped."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from uuid import uuid4

from valkey import Valkey

from gateway.admission.stores.base import Claim, Granted, Kind, LimitStore
from gateway.admission.stores.memory import MemoryStore
from gateway.admission.stores.valkey import ValkeyStore

START = 1_800_000_000
NEVER = 3600.0  # seconds between beats and sweeps where a test does them itself


@dataclass
class Clock:
    """Unix seconds."""

    now: float = START

    def __call__(self) -> float:
        return self.now

    def micros(self) -> int:
        return int(self.now * 1_000_000)


@dataclass
class Lab:
    """A store and the clock it goes by."""

    store: LimitStore
    clock: Clock

    async def granted(self, *claims: Claim, hold: str | None = None) -> tuple[str, Granted]:
        hold = hold or uuid4().hex
        answer = await self.store.reserve(hold, claims)
        assert isinstance(answer, Granted), answer
        return hold, answer

    async def take(self, *claims: Claim) -> str:
        return (await self.granted(*claims))[0]

    async def room(self, claim: Claim) -> bool:
        """There is room for the claim; it is not kept."""
        hold = uuid4().hex
        answer = await self.store.reserve(hold, [claim])
        if isinstance(answer, Granted):
            await self.store.settle(hold, [claim], [0])
            return True
        return False

    async def seed(self, spent: Mapping[str, int]) -> None:
        await self.store.seed(spent, dict.fromkeys(spent, START + 86400))


def rate(limit: int, amount: int = 1, least: int = -1, counter: str = "key:a:tokens") -> Claim:
    return Claim(Kind.RATE, counter, limit, amount, least)


def running(limit: int, counter: str = "key:a:running") -> Claim:
    return Claim(Kind.CONCURRENT, counter, limit, 1)


def budget(limit: int, amount: int, counter: str = "key:a:day") -> Claim:
    return Claim(Kind.BUDGET, counter, limit, amount, expires=START + 86_400)


def memory_lab() -> Lab:
    clock = Clock()
    return Lab(MemoryStore(clock), clock)


@asynccontextmanager
async def valkey_store(
    url: str, clock: Clock | None = None, *, prefix: str = "", replica: str = ""
) -> AsyncIterator[ValkeyStore]:
    """A store under a prefix of its own that beats and sweeps only when told."""
    store = ValkeyStore(
        url,
        replica=replica or uuid4().hex,
        prefix=prefix or own_prefix(),
        now=clock.micros if clock else None,
        beat=NEVER,
        sweep=NEVER,
    )
    await store.start()
    try:
        yield store
    finally:
        await store.close()


_numbers = count()


def own_prefix() -> str:
    return f"{{test-{os.getpid()}-{next(_numbers)}}}"


@contextmanager
def stopped(url: str) -> Iterator[Callable[[], None]]:
    """The server stands still (SIGSTOP) until the block ends or what it yields is called."""
    with Valkey.from_url(url) as client:
        pid = int(client.info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield lambda: os.kill(pid, signal.SIGCONT)
    finally:
        os.kill(pid, signal.SIGCONT)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that must come about by itself; the test's own time limit ends it."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def up(store: object) -> ValkeyStore:
    assert isinstance(store, ValkeyStore)
    return store


async def nothing_held(store: ValkeyStore, *, but: int = 0) -> None:
    async with asyncio.timeout(20):
        while await store.holds() != but:
            await asyncio.sleep(0.01)
