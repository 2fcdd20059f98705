"""Plain numbers behind metrics: counted on the hot path, handed over when somebody looks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any


class Tally:
    """What was counted for one series since it was last handed over: a lock for each request would cost more than that.

    From one thread only.
    """

    __slots__ = ("_bounds", "_child", "_counts", "_sum")

    def __init__(self, child: Any, bounds: Sequence[float] | None = None) -> None:
        self._child = child
        self._bounds = bounds or ()
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def inc(self, amount: float = 1.0) -> None:
        self._sum += amount

    def observe(self, amount: float) -> None:
        self._counts[bisect_left(self._bounds, amount)] += 1  # the buckets' bounds are in them
        self._sum += amount

    def hand_over(self) -> None:
        if not self._bounds:
            if self._sum:
                self._child.inc(self._sum)
        elif any(self._counts):
            for bucket, count in zip(self._child._buckets, self._counts, strict=True):  # `observe`, for many at once
                if count:
                    bucket.inc(count)
            self._child._sum.inc(self._sum)
            self._counts = [0] * len(self._counts)
        self._sum = 0.0


class InFlight:
    """How many requests are being worked on."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def inc(self) -> None:
        self.count += 1

    def dec(self) -> None:
        self.count -= 1
