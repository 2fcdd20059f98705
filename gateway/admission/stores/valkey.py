"""Counters in Valkey or Redis: one truth for many replicas. What a script does is in `scripts`; here is who asks when.

A replica that dies is found by the living: each says every two seconds that it is there, and looks every five for
those that have been silent for fifteen, to release what they held. A server that does not answer is down: calls fail
at once until it is back, and settlements wait for it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

import msgspec
import structlog

from gateway.admission.stores import scripts
from gateway.admission.stores.address import parse_address
from gateway.admission.stores.base import (
    Claim,
    Granted,
    Kind,
    Level,
    Refused,
    Spending,
    StoreUnavailable,
    Unseeded,
)
from gateway.admission.stores.link import Link, ScriptError, connect, into

__all__ = ["ValkeyStore"]

log = structlog.get_logger(__name__)

PROBE_SECONDS = 1.0
CLOSE_SECONDS = 2.0
MAX_UNSENT = 10_000
MAX_TRUSTED = 100_000
SWEEP_HOLDS = 100  # released in one run of the script
HOLDS, SETTLED_FOLDER = b"holds:", b"settled:"
FOLDERS = {Kind.RATE: b"rate:", Kind.CONCURRENT: b"running:", Kind.BUDGET: b"budget:"}
GRANTED, REFUSED, UNSEEDED = range(3)


@dataclass(slots=True, eq=False)
class _Settlement:
    hold: str
    claims: Sequence[Claim]
    used: Sequence[int]
    reply: asyncio.Future[bytes] | None = None


class _Trusted:
    """Budgets whose counter on the server has all that was spent. After an outage that is shown by seeding them anew.

    One that is doubted is not trusted by a seed that was asked for before: it brings what was known then. Those
    longest not met are forgotten first, and then seeded once more than need be.
    """

    def __init__(self) -> None:
        self._counters: OrderedDict[str, bool] = OrderedDict()  # True: trusted. False: doubted, and nobody asked since

    def asks(self, counter: str) -> bool:
        """Whether it must be seeded; its next seed is then taken to answer this."""
        if self._counters.get(counter):
            self._counters.move_to_end(counter)
            return False
        self._counters.pop(counter, None)
        return True

    def seeded(self, counter: str) -> None:
        if self._counters.get(counter, True):
            self._put(counter, True)

    def doubt(self, counter: str) -> None:
        self._put(counter, False)

    def lose(self) -> None:
        """The server was away, and may have come back with data of before."""
        self._counters = OrderedDict((counter, False) for counter, trusted in self._counters.items() if not trusted)

    def _put(self, counter: str, trusted: bool) -> None:
        self._counters[counter] = trusted
        self._counters.move_to_end(counter)
        if len(self._counters) > MAX_TRUSTED:
            self._counters.popitem(last=False)


class ValkeyStore:
    """A LimitStore on one Valkey or Redis server that `url` names (see `parse_address`).

    `replica` is this process's name among all, new at every start. `now` gives microseconds in place of the server's
    clock. Raises StoreConfigError.
    """

    remote = True

    def __init__(
        self,
        url: str,
        *,
        replica: str | None = None,
        prefix: str = "{sluicegate}",  # in braces, so that a cluster keeps all of it on one node
        timeout: float = 0.5,
        now: Callable[[], int] | None = None,
        beat: float = 2.0,
        sweep: float = 5.0,
        silence: float = 15.0,
    ) -> None:
        self._address = parse_address(url)
        self._prefix = f"{prefix}:".encode()
        self._clock, self._replicas = self._prefix + b"clock", self._prefix + b"replicas"
        self._timeout = timeout
        self._now = now
        self._beat_seconds, self._sweep_seconds, self._silence = beat, sweep, silence
        self._link: Link | None = None
        self._broken = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._held: set[str] = set()  # granted or perhaps granted, and no settlement carried out
        self._unsent: deque[_Settlement] = deque()
        self._sent = 0  # settlements that wait for the reply
        self._drained = asyncio.Event()
        self._told = False  # that the server is away
        self._connected = False  # ever
        self._trusted: _Trusted | None = None  # None: every budget, for there has been no outage
        self._be(replica or uuid4().hex)

    @property
    def available(self) -> bool:
        """The server answered last time. What is asked while it did not is refused at once."""
        return self._link is not None

    async def start(self) -> None:
        """Connect, if the server is there, and begin to say so. Never raises: a server that is away may come."""
        await self._connect()
        self._keeper = asyncio.create_task(self._keep())

    async def close(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                while self._unsent or self._sent:
                    self._drained.clear()
                    await self._drained.wait()
        if self._unsent:
            log.warning("settlements were not carried out; a sweep will", settlements=len(self._unsent))
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._link is not None:
            self._link.close()

    async def holds(self) -> int:
        return len(self._held)

    async def reserve(self, hold: str, claims: Sequence[Claim]) -> Granted | Refused | Unseeded:
        link = self._up()
        if (trusted := self._trusted) is not None:
            doubted = [i for i, c in enumerate(claims) if c.kind is Kind.BUDGET and trusted.asks(c.counter)]
            if doubted:
                return Unseeded(doubted)
        keys = [self._clock, self._replicas, self._holds, self._name(SETTLED_FOLDER, hold)]
        keys += [self._name(FOLDERS[claim.kind], claim.counter) for claim in claims]
        packed = msgspec.msgpack.encode([_packed(claim) for claim in claims])
        try:
            reply = await _ask(link, scripts.RESERVE, keys, (self._time(), self._replica, hold.encode(), packed))
        except (StoreUnavailable, asyncio.CancelledError):
            # It may have been taken, or may be yet. What is settled cannot be taken any more.
            self._held.add(hold)
            self._settle(_Settlement(hold, claims, [0] * len(claims)))
            raise
        status, *rest = msgspec.msgpack.decode(reply)
        if status == GRANTED:
            self._held.add(hold)
            return Granted(_levels(rest))
        if status == REFUSED:
            index, wait, first, *levels = rest
            return Refused(index, None if wait < 0 else wait / 1e6, _levels(levels), first == 1)
        if status == UNSEEDED:
            return Unseeded(rest)
        raise StoreUnavailable("this hold was settled before")

    async def settle(self, hold: str, claims: Sequence[Claim], used: Sequence[int]) -> list[Spending | None]:
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._settle(_Settlement(hold, claims, used, reply))
        try:
            spent = iter(msgspec.msgpack.decode(await reply))
        except StoreUnavailable:
            return [None] * len(claims)
        return [Spending(int(next(spent)), int(next(spent))) if c.kind is Kind.BUDGET else None for c in claims]

    async def seed(self, spent: Mapping[str, int], expires: Mapping[str, int]) -> None:
        keys = [self._name(FOLDERS[Kind.BUDGET], counter) for counter in spent]
        known = msgspec.msgpack.encode([[str(pico), expires.get(counter, 0)] for counter, pico in spent.items()])
        await _ask(self._up(), scripts.SEED, [self._clock, *keys], (self._time(), known))
        if self._trusted is not None:
            for counter in spent:
                self._trusted.seeded(counter)

    def doubt(self, counter: str) -> None:
        """Something was spent of this BUDGET that the server does not know: its next reservation is Unseeded."""
        if self._trusted is None:
            self._trusted = _Trusted()
        self._trusted.doubt(counter)

    async def budget(self, counter: str) -> tuple[int, int]:
        reply = await _ask(self._up(), scripts.BUDGET, [self._name(FOLDERS[Kind.BUDGET], counter)], ())
        spent, held = msgspec.msgpack.decode(reply)
        return int(spent), int(held)

    async def beat(self) -> None:
        """Say that this replica is there. Raises StoreUnavailable."""
        await self._beat(self._up())

    async def sweep(self) -> int:
        """Release what replicas hold that are dead; how many holds that were. Raises StoreUnavailable."""
        keys = [self._clock, self._replicas, self._prefix + b"swept"]
        silence = b"%d" % int(self._silence * 1e6)
        released, more = 0, True
        while more:
            arguments = (self._time(), self._prefix + HOLDS, silence, b"%d" % SWEEP_HOLDS)
            count, more = msgspec.msgpack.decode(await _ask(self._up(), scripts.SWEEP, keys, arguments))
            released += count
        if released:
            log.warning("holds of dead replicas were released", holds=released)
        return released

    def _be(self, replica: str) -> None:
        self._replica = replica.encode()
        self._holds = self._prefix + HOLDS + self._replica

    def _name(self, folder: bytes, name: str) -> bytes:
        return b"%b%b%b" % (self._prefix, folder, name.encode())

    def _time(self) -> bytes:
        return b"" if self._now is None else b"%d" % self._now()

    def _up(self) -> Link:
        if self._link is None:
            raise StoreUnavailable("the store is away")
        return self._link

    async def _beat(self, link: Link) -> None:
        await _ask(link, scripts.BEAT, [self._clock, self._replicas], (self._time(), self._replica))

    def _settle(self, settlement: _Settlement) -> None:
        if self._link is None:
            self._later(settlement, StoreUnavailable("the store is away"))
            return
        hold = settlement.hold
        keys = [self._clock, self._holds, self._name(SETTLED_FOLDER, hold)]
        keys += [self._name(FOLDERS[claim.kind], claim.counter) for claim in settlement.claims]
        used = msgspec.msgpack.encode(
            [
                [claim.kind, str(used) if claim.kind is Kind.BUDGET else used, claim.expires]
                for claim, used in zip(settlement.claims, settlement.used, strict=True)
            ]
        )
        self._sent += 1
        arguments = (self._time(), hold.encode(), used)
        self._link.run(scripts.SETTLE, keys, arguments, partial(self._answered, settlement))

    def _answered(self, settlement: _Settlement, reply: bytes | StoreUnavailable) -> None:
        self._sent -= 1
        if isinstance(reply, StoreUnavailable) and not isinstance(reply, ScriptError):
            self._later(settlement, reply)
            return
        if isinstance(reply, ScriptError):
            log.error("a settlement was not carried out", hold=settlement.hold, error=str(reply))
        self._held.discard(settlement.hold)
        self._drained.set()
        if settlement.reply is not None:
            into(settlement.reply)(reply)

    def _later(self, settlement: _Settlement, error: StoreUnavailable) -> None:
        """Keep a settlement until the server is back; its caller need not wait."""
        if settlement.reply is not None:
            into(settlement.reply)(error)
        self._unsent.append(settlement)
        if len(self._unsent) > MAX_UNSENT:
            # Under another name: what the old one holds is swept like a dead replica's, and the ledger asked anew.
            log.error("too many settlements wait for the store", dropped=len(self._unsent))
            self._unsent.clear()
            self._held.clear()
            self._be(uuid4().hex)

    async def _keep(self) -> None:
        """Be connected, say so, and look for the dead, until cancelled."""
        clock = asyncio.get_running_loop().time
        tried = swept = clock()
        while True:
            if self._link is None:
                await asyncio.sleep(max(0.0, tried + PROBE_SECONDS - clock()))
                tried = clock()
                if not await self._connect():
                    continue
            self._broken.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._beat_seconds):
                    await self._broken.wait()
            with suppress(StoreUnavailable):
                await self.beat()
                if clock() >= swept + self._sweep_seconds:
                    swept = clock()
                    await self.sweep()

    async def _connect(self) -> bool:
        try:
            link = await connect(self._address, self._timeout, self._lost)
            await self._beat(link)  # a server that takes no writes is away too
        except StoreUnavailable as error:
            if not self._told:
                log.error("the store of limits is away", error=str(error))
            self._told = True
            return False
        if not link.open:
            return False
        self._link = link
        if self._told:
            log.info("the store of limits is back", settlements=len(self._unsent))
        self._told = False
        for _ in range(len(self._unsent)):
            self._settle(self._unsent.popleft())
        if self._connected:
            mine = msgspec.msgpack.encode(list(self._held))
            link.run(scripts.PURGE, [self._clock, self._holds], (mine,), _ignore)
            self._trusted = self._trusted or _Trusted()
            self._trusted.lose()
        self._connected = True
        return True

    def _lost(self, link: Link) -> None:
        if link is self._link:
            self._link = None
            self._broken.set()


async def _ask(link: Link, script: scripts.Script, keys: Sequence[bytes], arguments: Sequence[bytes]) -> bytes:
    reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    link.run(script, keys, arguments, into(reply))
    return await reply


def _ignore(_: bytes | StoreUnavailable) -> None:
    """A connection that broke is made anew and then asked this again; a script that failed is logged by the link."""


def _packed(claim: Claim) -> list[object]:
    if claim.kind is Kind.BUDGET:
        return [claim.kind, str(claim.limit), str(claim.amount)]
    return [claim.kind, claim.limit, claim.amount, claim.amount if claim.least < 0 else claim.least]


def _levels(flat: list[int | str]) -> list[Level]:
    each = iter(flat)
    return [Level(int(used), int(taken), int(reset) / 1e6) for used, taken, reset in zip(each, each, each, strict=True)]
