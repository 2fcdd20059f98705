"""How long a target takes: a peak-sensitive average to choose by, and the latest measures for percentiles.

The average is that of Finagle's "peak EWMA" balancer: a slower answer than the average counts at once and in full, a
faster one little by little, and the average fades while nothing is measured, so that a target is tried again.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from time import monotonic

FADES = 10.0  # seconds after which an old average counts for 1/e
FAILED = 5.0  # seconds that a failed attempt counts for, at least: one that fails fast is not the fastest
UNKNOWN_BUSY = 1e6  # an unmeasured target that is already being tried comes after all measured ones
RECENT = 600.0  # seconds that a measure counts in percentiles
KEPT = 256  # measures


class Latency:
    """One kind of latency of one target, in seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._average: float | None = None
        self._at = 0.0
        self._measures: deque[tuple[float, float]] = deque(maxlen=KEPT)  # when, how long

    def observe(self, seconds: float) -> None:
        """An attempt that was answered."""
        now = self._clock()
        self._measures.append((now, seconds))
        self._average_in(seconds, now)

    def observe_failure(self, seconds: float) -> None:
        """An attempt that failed after so long. It is no measure, but makes the target less liked for a while."""
        self._average_in(max(seconds, FAILED), self._clock())

    def cost(self, in_flight: int) -> float:
        """What one more request would wait, roughly: the lowest is the best. 0 for a target nobody has tried."""
        if self._average is None:
            return UNKNOWN_BUSY + in_flight if in_flight else 0.0
        return self._average * self._fade(self._clock()) * (in_flight + 1)

    def recent(self) -> list[float]:
        """The latest measures, sorted."""
        since = self._clock() - RECENT
        return sorted(seconds for at, seconds in self._measures if at >= since)

    def _average_in(self, seconds: float, now: float) -> None:
        if self._average is None or seconds > self._average:
            self._average = seconds
        else:
            fade = self._fade(now)
            self._average = self._average * fade + seconds * (1.0 - fade)
        self._at = now

    def _fade(self, now: float) -> float:
        return math.exp(-(now - self._at) / FADES)


def percentile(ordered: list[float], share: float) -> float | None:
    """The nearest-rank percentile (`share` in 0..1) of sorted values; None of none."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
