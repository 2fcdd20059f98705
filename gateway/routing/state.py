"""What this process knows of a target from using it: requests in flight, latencies, breaker, health.

One for each target's name, shared by all models that have the target. Nothing here decides where a request goes.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from gateway.pipeline.backoff import MAX_WAIT
from gateway.routing.breaker import Breaker, State
from gateway.routing.latency import Latency
from gateway.upstreams.base import Failure, UpstreamError

MAX_REST = 60.0  # seconds that a target which asked for rest is left alone, however long it asked for


class TargetOpen(Exception):
    """The target's breaker lets no request through."""


class TargetState:
    """`breaker` is None where it is switched off. `healthy` is what the last health probe said, None without any."""

    def __init__(self, breaker: Breaker | None = None, clock: Callable[[], float] = monotonic) -> None:
        self.breaker = breaker
        self.in_flight = 0
        self.healthy: bool | None = None
        self.last_failure: Failure | None = None
        self.first_token = Latency(clock)  # of streams
        self.whole = Latency(clock)  # of whole replies

    @property
    def admits(self) -> bool:
        """Whether a request may be sent to the target now."""
        return self.breaker is None or self.breaker.admits

    @property
    def opens_in(self) -> float:
        """Seconds until it may be tried again."""
        return 0.0 if self.breaker is None else self.breaker.opens_in

    @property
    def is_open(self) -> bool:
        """Whether the breaker keeps requests away; True until the one let through has succeeded."""
        return self.breaker is not None and self.breaker.state is not State.CLOSED

    def latency(self, *, stream: bool) -> Latency:
        """Time to the first token of streams, or to the whole of other replies."""
        return self.first_token if stream else self.whole

    def begin(self) -> int:
        """A permit for one request, counted as in flight until `end`. Raises TargetOpen."""
        permit = 0 if self.breaker is None else self.breaker.begin()
        if permit is None:
            raise TargetOpen
        self.in_flight += 1
        return permit

    def end(self, permit: int) -> None:
        """The request is over, whatever was said of it before."""
        self.in_flight -= 1
        if self.breaker is not None:
            self.breaker.released(permit)

    def answered(self, permit: int, seconds: float, *, stream: bool) -> None:
        """The first content, or the whole reply, came after so long."""
        self.latency(stream=stream).observe(seconds)
        self.lives(permit)

    def lives(self, permit: int) -> None:
        """It answered, if only that the request is wrong."""
        if self.breaker is not None:
            self.breaker.succeeded(permit)

    def failed(self, permit: int, error: UpstreamError, seconds: float, *, stream: bool) -> None:
        """The attempt failed after so long.

        A target that is busy is not down: that counts only where it asks for a longer rest than a retry waits.
        """
        self.last_failure = error.failure
        self.latency(stream=stream).observe_failure(seconds)
        if self.breaker is None:
            return
        if error.failure is not Failure.BUSY or self.breaker.state is not State.CLOSED:
            self.breaker.failed(permit)
        if error.failure is Failure.BUSY and (error.retry_after or 0.0) > MAX_WAIT:
            self.breaker.open(min(error.retry_after or 0.0, MAX_REST))
