"""A circuit breaker: whether one target may be asked just now, by how it has answered lately. Asks nobody itself.

Closed, it lets all through. After `failures` failures within `window` seconds, of which no more than as many successes
lie between, it opens: a target that fails one call in a thousand is not down. After `cooldown` it is half-open and lets
one request through; if that succeeds it closes, else it opens again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """Times in seconds."""

    failures: int = 5
    window: float = 30.0
    cooldown: float = 10.0


class Breaker:
    """One target's breaker. `changed` is called after it opened or closed by what happened here.

    A request asks for a permit with `begin` and hands it back with how it went: `succeeded`, `failed`, or `released`
    where that says nothing of the target. What a permit of before the last change brings is not counted.
    """

    def __init__(self, rules: BreakerRules | None = None, clock: Callable[[], float] = monotonic) -> None:
        self.rules = rules or BreakerRules()
        self.changed: Callable[[], None] = _unwatched
        self._clock = clock
        self._failures: deque[tuple[float, int]] = deque(maxlen=self.rules.failures)  # when, after how many successes
        self._successes = 0
        self._open_until: float | None = None  # None: closed
        self._permit = 0
        self._probe: int | None = None  # the permit of the one request of a half-open breaker

    @property
    def state(self) -> State:
        if self._open_until is None:
            return State.CLOSED
        return State.OPEN if self._clock() < self._open_until else State.HALF_OPEN

    @property
    def admits(self) -> bool:
        """Whether `begin` would give a permit."""
        return self._open_until is None or (self._probe is None and self._clock() >= self._open_until)

    @property
    def opens_in(self) -> float:
        """Seconds until a request may be tried again; 0 if one may now, or is being tried."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - self._clock())

    def begin(self) -> int | None:
        """A permit for one request; None if it may not be sent."""
        if not self.admits:
            return None
        if self._open_until is not None:
            self._permit += 1
            self._probe = self._permit
        return self._permit

    def succeeded(self, permit: int) -> None:
        if permit == self._probe:
            self.close()
        elif permit == self._permit:
            self._successes += 1

    def failed(self, permit: int) -> None:
        if permit == self._probe:
            self.open()
        elif permit == self._permit and self._open_until is None:
            self._failures.append((self._clock(), self._successes))
            if self._tripped():
                self.open()

    def released(self, permit: int) -> None:
        if permit == self._probe:
            self._probe = None

    def open(self, seconds: float | None = None) -> None:
        """Open for so long from now; `cooldown` if not told."""
        self.follow(self.rules.cooldown if seconds is None else seconds)
        self.changed()

    def close(self) -> None:
        """Close, and forget what was counted."""
        self.follow(None)
        self.changed()

    def follow(self, seconds: float | None) -> None:
        """Open for so long, or close (None), because another replica did: `changed` is not called."""
        self._open_until = None if seconds is None else self._clock() + seconds
        self._failures.clear()
        self._permit += 1
        self._probe = None

    def try_early(self) -> None:
        """Let the one request of a half-open breaker through now, if it is open."""
        if self._open_until is not None:
            self._open_until = min(self._open_until, self._clock())

    def _tripped(self) -> bool:
        if len(self._failures) < self.rules.failures:
            return False
        since, successes = self._failures[0]
        return self._clock() - since <= self.rules.window and self._successes - successes <= self.rules.failures


def _unwatched() -> None:
    """Nobody wants to know."""
