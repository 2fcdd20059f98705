"""The three kinds of counter, as `memory` keeps them. They count; what is reserved together is not theirs to know.

`now` is in microseconds here, `second` and `taken_at` are seconds.
"""

from __future__ import annotations

import math
from typing import Protocol

from gateway.admission.stores.base import RATE_SECONDS, Claim, Level, Spending

__all__ = ["MINUTE", "SECOND", "BudgetCounter", "Counter", "RateCounter", "RunningCounter"]

SECOND = 1_000_000  # microseconds
MINUTE = RATE_SECONDS * SECOND


class Counter(Protocol):
    seeded: bool  # what it counts is known; False only of a BUDGET

    def wait(self, claim: Claim, now: int) -> float:
        """Microseconds until there is room for the claim. 0: there is; infinity: in this window, never."""
        ...

    def take(self, claim: Claim, now: int) -> Level:
        """Take what there is room for; what is counted with it."""
        ...

    def level(self, taken: int, now: int) -> Level: ...

    def settle(self, taken: int, used: int, taken_at: int, now: int) -> Spending | None: ...

    def idle(self, second: int) -> bool:
        """It counts nothing. Asked when it is old enough to be dropped."""
        ...


class RateCounter:
    """Amounts by the second they were taken in, the oldest first."""

    __slots__ = ("seconds", "sum")
    seeded = True

    def __init__(self) -> None:
        self.seconds: dict[int, int] = {}
        self.sum = 0

    def wait(self, claim: Claim, now: int) -> float:
        seconds = self.seconds
        if seconds and next(iter(seconds)) <= now // SECOND - RATE_SECONDS:
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

    def take(self, claim: Claim, now: int) -> Level:
        taken = min(claim.amount, claim.limit - self.sum)
        second, seconds = now // SECOND, self.seconds
        if taken <= 0:
            self._add(second, taken)
            return self.level(taken, now)
        self.sum += taken
        seconds[second] = seconds.get(second, 0) + taken
        return Level(self.sum, taken, (next(reversed(seconds)) * SECOND + MINUTE - now) / SECOND)

    def level(self, taken: int, now: int) -> Level:
        for last in reversed(self.seconds):
            return Level(self.sum, taken, (last * SECOND + MINUTE - now) / SECOND)
        return Level(0, taken)

    def settle(self, taken: int, used: int, taken_at: int, now: int) -> None:
        second = now // SECOND
        if self.seconds and next(iter(self.seconds)) <= second - RATE_SECONDS:
            self._forget(second)
        if used == taken:
            return
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


class RunningCounter:
    __slots__ = ("count",)
    seeded = True

    def __init__(self) -> None:
        self.count = 0

    def wait(self, claim: Claim, now: int) -> float:
        if self.count + claim.amount <= claim.limit:
            return 0
        return math.inf if claim.amount > claim.limit else SECOND

    def take(self, claim: Claim, now: int) -> Level:
        self.count += claim.amount
        return Level(self.count, claim.amount)

    def level(self, taken: int, now: int) -> Level:
        return Level(self.count, taken)

    def settle(self, taken: int, used: int, taken_at: int, now: int) -> None:
        self.count -= taken

    def idle(self, second: int) -> bool:
        return not self.count


class BudgetCounter:
    __slots__ = ("held", "refused", "seeded", "spent")

    def __init__(self) -> None:
        self.spent = self.held = 0
        self.seeded = self.refused = False

    def wait(self, claim: Claim, now: int) -> float:
        room = claim.limit - self.spent - claim.amount
        if room < 0:
            return math.inf
        return 0 if room >= self.held else SECOND

    def take(self, claim: Claim, now: int) -> Level:
        self.held += claim.amount
        return Level(self.spent + self.held, claim.amount)

    def level(self, taken: int, now: int) -> Level:
        return Level(self.spent + self.held, taken)

    def settle(self, taken: int, used: int, taken_at: int, now: int) -> Spending:
        self.held -= taken
        self.spent += used
        return Spending(self.spent - used, self.spent)

    def idle(self, second: int) -> bool:
        return not self.held
