"""Counters in this process: exact, and gone with it. For one process; several share a Valkey.

Nothing here waits, so nothing comes between the steps of a reservation.
"""

from __future__ import annotations

import heapq
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from gateway.admission.stores.base import (
    RATE_SECONDS,
    Claim,
    Granted,
    Kind,
    Level,
    Refused,
    Spending,
    Unseeded,
)

__all__ = ["MemoryStore"]

SECOND = 1_000_000  # microseconds, the unit of time in here
MINUTE = RATE_SECONDS * SECOND
KEPT_SETTLED = 65_536  # holds; the second settlement of an older one would be booked
LATE = 2 * 86_400  # seconds a budget's counter outlives its window


C = TypeVar("C", bound="_Counter")


class _Counter(Protocol):
    """What the three kinds have in common. `now` is microseconds; `taken_at` and `second` are seconds."""

    def wait(self, claim: Claim, now: int) -> float:
        """Microseconds until there is room for the claim. 0: there is; infinity: in this window, never."""
        ...

    def take(self, claim: Claim, now: int) -> int: ...

    def level(self, taken: int, now: int) -> Level: ...

    def settle(self, taken: int, used: int, taken_at: int, now: int) -> Spending | None: ...

    def idle(self, second: int) -> bool:
        """It counts nothing. Asked when it is old enough to be dropped."""
        ...


class _Rate:
    """Amounts by the second they were taken in, the oldest first."""

    __slots__ = ("seconds", "sum")

    def __init__(self) -> None:
        self.seconds: dict[int, int] = {}
        self.sum = 0

    def wait(self, claim: Claim, now: int) -> float:
        self._forget(now // SECOND)
        need = claim.amount if claim.least < 0 else min(claim.least, claim.amount)
        over = self.sum + need - claim.limit
        if over <= 0:
            return 0
        for second, amount in self.seconds.items():
            over -= amount
            if over <= 0:
                return second * SECOND + MINUTE - now
        return math.inf

    def take(self, claim: Claim, now: int) -> int:
        taken = min(claim.amount, claim.limit - self.sum)
        self._add(now // SECOND, taken)
        return taken

    def level(self, taken: int, now: int) -> Level:
        for last in reversed(self.seconds):
            return Level(self.sum, taken, (last * SECOND + MINUTE - now) / SECOND)
        return Level(0, taken)

    def settle(self, taken: int, used: int, taken_at: int, now: int) -> None:
        second = now // SECOND
        self._forget(second)
        if used > taken:
            self._add(second, used - taken)
        elif taken_at in self.seconds:
            self._add(taken_at, used - taken)

    def idle(self, second: int) -> bool:
        self._forget(second)
        return not self.seconds

    def _add(self, second: int, amount: int) -> None:
        self.sum += amount
        if there := self.seconds.get(second, 0) + amount:
            self.seconds[second] = there
        else:
            self.seconds.pop(second, None)

    def _forget(self, second: int) -> None:
        gone = second - RATE_SECONDS
        while self.seconds and (first := next(iter(self.seconds))) <= gone:
            self.sum -= self.seconds.pop(first)


class _Running:
    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def wait(self, claim: Claim, now: int) -> float:
        if self.count + claim.amount <= claim.limit:
            return 0
        return math.inf if claim.amount > claim.limit else SECOND

    def take(self, claim: Claim, now: int) -> int:
        self.count += claim.amount
        return claim.amount

    def level(self, taken: int, now: int) -> Level:
        return Level(self.count, taken)

    def settle(self, taken: int, used: int, taken_at: int, now: int) -> None:
        self.count -= taken

    def idle(self, second: int) -> bool:
        return not self.count


class _Budget:
    __slots__ = ("held", "refused", "seeded", "spent")

    def __init__(self) -> None:
        self.spent = self.held = 0
        self.seeded = self.refused = False

    def wait(self, claim: Claim, now: int) -> float:
        room = claim.limit - self.spent - claim.amount
        if room < 0:
            return math.inf
        return 0 if room >= self.held else SECOND

    def take(self, claim: Claim, now: int) -> int:
        self.held += claim.amount
        return claim.amount

    def level(self, taken: int, now: int) -> Level:
        return Level(self.spent + self.held, taken)

    def settle(self, taken: int, used: int, taken_at: int, now: int) -> Spending:
        self.held -= taken
        self.spent += used
        return Spending(self.spent - used, self.spent)

    def idle(self, second: int) -> bool:
        return not self.held


class MemoryStore:
    """A LimitStore of one process. `clock` gives Unix seconds.

    A clock set back by up to a minute is waited for; set back further, time goes on from where it was, so that no
    limit is stuck until a date that was a mistake.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._now = 0
        self._ahead = 0  # added to the clock
        self._rates: dict[str, _Rate] = {}
        self._running: dict[str, _Running] = {}
        self._budgets: dict[str, _Budget] = {}
        self._old: list[tuple[int, Kind, str]] = []  # heap: when a counter may be dropped
        self._holds: dict[str, tuple[int, list[int]]] = {}  # the second it was taken in, and what each claim took
        self._settled: set[str] = set()
        self._settled_order: deque[str] = deque()

    async def reserve(self, hold: str, claims: Sequence[Claim]) -> Granted | Refused | Unseeded:
        now = self._tick()
        second = now // SECOND
        self._drop(second, 2 * len(claims))
        counters = [self._counter(claim.kind, claim.counter, claim.expires) for claim in claims]
        unseeded = [i for i, counter in enumerate(counters) if type(counter) is _Budget and not counter.seeded]
        if unseeded:
            return Unseeded(unseeded)
        waits = [counter.wait(claim, now) for counter, claim in zip(counters, claims, strict=True)]
        if any(waits):
            return self._refuse(counters, claims, waits, now)
        taken = [counter.take(claim, now) for counter, claim in zip(counters, claims, strict=True)]
        self._holds[hold] = (second, taken)
        return Granted([counter.level(amount, now) for counter, amount in zip(counters, taken, strict=True)])

    async def settle(self, hold: str, claims: Sequence[Claim], used: Sequence[int]) -> list[Spending | None]:
        if hold in self._settled:
            return [self._unchanged(claim) for claim in claims]
        now = self._tick()
        held = self._holds.pop(hold, None)
        taken_at, taken = held or (0, [0] * len(claims))
        self._remember(hold)
        spendings: list[Spending | None] = []
        for claim, had, came_to in zip(claims, taken, used, strict=True):
            if held is None and claim.kind is not Kind.BUDGET:
                spendings.append(None)
                continue
            counter = self._counter(claim.kind, claim.counter, claim.expires)
            spendings.append(counter.settle(had, came_to, taken_at, now))
        return spendings

    async def seed(self, spent: Mapping[str, int], expires: Mapping[str, int]) -> None:
        for name, pico in spent.items():
            budget = self._budget(name, expires.get(name, 0))
            budget.spent = max(budget.spent, pico)
            budget.seeded = True

    def unseed(self) -> None:
        """What is spent is not known any more: ask the ledger for every budget again."""
        for budget in self._budgets.values():
            budget.seeded = False

    async def budget(self, counter: str) -> tuple[int, int]:
        budget = self._budgets.get(counter)
        return (budget.spent, budget.held) if budget else (0, 0)

    async def holds(self) -> int:
        return len(self._holds)

    def knows(self, hold: str) -> bool:
        """It was taken here, or settled here not long ago."""
        return hold in self._holds or hold in self._settled

    async def start(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to carry out: every settlement was at once."""

    def _tick(self) -> int:
        now = int(self._clock() * SECOND) + self._ahead
        if now < self._now:
            if self._now - now > MINUTE:
                self._ahead += self._now - now
            return self._now
        self._now = now
        return now

    def _counter(self, kind: Kind, name: str, expires: int) -> _Counter:
        if kind is Kind.RATE:
            return self._rates.get(name) or self._new(self._rates, _Rate(), kind, name, 0)
        if kind is Kind.CONCURRENT:
            return self._running.get(name) or self._new(self._running, _Running(), kind, name, 0)
        return self._budget(name, expires)

    def _budget(self, name: str, expires: int) -> _Budget:
        return self._budgets.get(name) or self._new(self._budgets, _Budget(), Kind.BUDGET, name, expires)

    def _new(self, counters: dict[str, C], counter: C, kind: Kind, name: str, expires: int) -> C:
        counters[name] = counter
        if kind is not Kind.BUDGET:
            heapq.heappush(self._old, (self._now // SECOND + RATE_SECONDS, kind, name))
        elif expires:
            heapq.heappush(self._old, (expires + LATE, kind, name))
        return counter

    def _drop(self, second: int, at_most: int) -> None:
        """Drop counters whose time is over and that count nothing: a few at a time, never all at once."""
        for _ in range(at_most):
            if not self._old or self._old[0][0] > second:
                return
            _, kind, name = self._old[0]
            counters: Mapping[str, _Counter] = (self._rates, self._running, self._budgets)[kind - 1]
            if counters[name].idle(second):
                heapq.heappop(self._old)
                del (self._rates, self._running, self._budgets)[kind - 1][name]
            else:
                heapq.heapreplace(self._old, (second + RATE_SECONDS, kind, name))

    def _refuse(
        self, counters: Sequence[_Counter], claims: Sequence[Claim], waits: Sequence[float], now: int
    ) -> Refused:
        longest = max(waits)
        index = waits.index(longest)
        first = False
        budget, claim = counters[index], claims[index]
        if type(budget) is _Budget and longest == math.inf and claim.amount <= claim.limit:
            first = not budget.refused
            budget.refused = True
        return Refused(
            index,
            None if longest == math.inf else longest / SECOND,
            [counter.level(0, now) for counter in counters],
            first,
        )

    def _unchanged(self, claim: Claim) -> Spending | None:
        if claim.kind is not Kind.BUDGET:
            return None
        spent = self._budget(claim.counter, claim.expires).spent
        return Spending(spent, spent)

    def _remember(self, hold: str) -> None:
        self._settled.add(hold)
        self._settled_order.append(hold)
        if len(self._settled_order) > KEPT_SETTLED:
            self._settled.discard(self._settled_order.popleft())
