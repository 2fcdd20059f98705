"""Counters in this process: exact, and gone with it. For one process; several share a Valkey.

Nothing here waits, so nothing comes between the steps of a reservation.
"""

from __future__ import annotations

import heapq
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from gateway.admission.stores.base import RATE_SECONDS, Claim, Granted, Kind, Level, Refused, Spending, Unseeded
from gateway.admission.stores.counters import (
    MINUTE,
    SECOND,
    BudgetCounter,
    Counter,
    RateCounter,
    RunningCounter,
)

__all__ = ["MemoryStore"]

KEPT_SETTLED = 65_536  # holds; the second settlement of an older one would be booked
LATE = 2 * 86_400  # seconds a budget's counter outlives its window


C = TypeVar("C", bound=Counter)


class MemoryStore:
    """A LimitStore of one process. `clock` gives Unix seconds.

    A clock set back by up to a minute is waited for; set back further, time goes on from where it was, so that no
    limit is stuck until a date that was a mistake.
    """

    remote = False

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._now = 0
        self._ahead = 0  # added to the clock
        self._rates: dict[str, RateCounter] = {}
        self._running: dict[str, RunningCounter] = {}
        self._budgets: dict[str, BudgetCounter] = {}
        self._old: list[tuple[int, Kind, str]] = []  # heap: when a counter may be dropped
        self._counters: dict[Kind, Mapping[str, Counter]] = {
            Kind.RATE: self._rates,
            Kind.CONCURRENT: self._running,
            Kind.BUDGET: self._budgets,
        }
        self._holds: dict[str, tuple[int, list[Level]]] = {}  # the second it was taken in, and what each claim took
        self._settled: set[str] = set()
        self._settled_order: deque[str] = deque()

    async def reserve(self, hold: str, claims: Sequence[Claim]) -> Granted | Refused | Unseeded:
        now = self._tick()
        second = now // SECOND
        if self._old and self._old[0][0] <= second:
            self._drop(second, 2 * len(claims))
        counters = [
            self._counters[claim.kind].get(claim.counter) or self._counter(claim.kind, claim.counter, claim.expires)
            for claim in claims
        ]
        for counter in counters:
            if not counter.seeded:
                return Unseeded([index for index, one in enumerate(counters) if not one.seeded])
        for counter, claim in zip(counters, claims, strict=True):
            if counter.wait(claim, now):
                waits = [one.wait(claim, now) for one, claim in zip(counters, claims, strict=True)]
                return self._refuse(counters, claims, waits, now)
        levels = [counter.take(claim, now) for counter, claim in zip(counters, claims, strict=True)]
        self._holds[hold] = (second, levels)
        return Granted(levels)

    async def settle(self, hold: str, claims: Sequence[Claim], used: Sequence[int]) -> list[Spending | None]:
        if hold in self._settled:
            return [self._unchanged(claim) for claim in claims]
        now = self._tick()
        held = self._holds.pop(hold, None)
        self._remember(hold)
        if held is None:
            return [self._book(claim, came_to, now) for claim, came_to in zip(claims, used, strict=True)]
        taken_at, levels = held
        return [
            (
                self._counters[claim.kind].get(claim.counter) or self._counter(claim.kind, claim.counter, claim.expires)
            ).settle(level.taken, came_to, taken_at, now)
            for claim, level, came_to in zip(claims, levels, used, strict=True)
        ]

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

    def _counter(self, kind: Kind, name: str, expires: int) -> Counter:
        if kind is Kind.RATE:
            return self._rates.get(name) or self._new(self._rates, RateCounter(), kind, name, 0)
        if kind is Kind.CONCURRENT:
            return self._running.get(name) or self._new(self._running, RunningCounter(), kind, name, 0)
        return self._budget(name, expires)

    def _budget(self, name: str, expires: int) -> BudgetCounter:
        return self._budgets.get(name) or self._new(self._budgets, BudgetCounter(), Kind.BUDGET, name, expires)

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
            if self._counters[kind][name].idle(second):
                heapq.heappop(self._old)
                del (self._rates, self._running, self._budgets)[kind - 1][name]
            else:
                heapq.heapreplace(self._old, (second + RATE_SECONDS, kind, name))

    def _refuse(
        self, counters: Sequence[Counter], claims: Sequence[Claim], waits: Sequence[float], now: int
    ) -> Refused:
        longest = max(waits)
        index = waits.index(longest)
        first = False
        budget, claim = counters[index], claims[index]
        if type(budget) is BudgetCounter and longest == math.inf and budget.spent * 5 >= claim.limit * 4:
            first = not budget.refused
            budget.refused = True
        return Refused(
            index,
            None if longest == math.inf else longest / SECOND,
            [counter.level(0, now) for counter in counters],
            first,
        )

    def _book(self, claim: Claim, came_to: int, now: int) -> Spending | None:
        """Of a hold that nobody knows here only what was spent counts."""
        if claim.kind is not Kind.BUDGET:
            return None
        return self._budget(claim.counter, claim.expires).settle(0, came_to, 0, now)

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
