"""What an upstream is, and how one fails.

An upstream raises `UpstreamError` when another try or another target may do better, and `GateError` when the request
itself is at fault, so that no other target is bothered with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from gateway.errors import GateError, RateLimited, UpstreamFailed, UpstreamTimeout
from gateway.pipeline.answer import ChunkStream, Reply
from gateway.pipeline.call import Call, Operation


class Failure(StrEnum):
    """Why an attempt failed, in words fit for a metric label."""

    ERROR = "error"  # it answered with a failure, or nonsense
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"  # no connection: nothing was sent
    BUSY = "busy"  # it refused for load: 429, or a full queue
    BROKEN = "broken"  # a stream ended before its end


class UpstreamError(Exception):
    """One failed attempt. `detail` is for the log; it never reaches a caller."""

    def __init__(self, failure: Failure, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.failure = failure
        self.retry_after = retry_after

    def as_gate_error(self) -> GateError:
        """What a caller is told when no target is left."""
        if self.failure is Failure.BUSY:
            return RateLimited("The model is busy; try again later.", retry_after=self.retry_after or 1.0)
        if self.failure is Failure.TIMEOUT:
            return UpstreamTimeout("The model did not answer in time.")
        if self.failure is Failure.BROKEN:
            return UpstreamFailed("The model's stream broke before its end.")
        return UpstreamFailed("No target could answer this request.")


class CapSource(StrEnum):
    """How we know the most an answer can have."""

    CONFIGURED = "configured"  # sent to the provider with every call that sets no limit
    KNOWN = "known"  # the model cannot do more
    ASSUMED = "assumed"  # sent with calls whose hold rests on it


@dataclass(frozen=True, slots=True)
class OutputCap:
    """The most tokens one choice of an answer has, where the caller sets no limit."""

    tokens: int
    source: CapSource


ASSUMED_CAP = OutputCap(4096, CapSource.ASSUMED)


class Upstream(Protocol):
    """A place that answers calls. `operations` is what it can be asked for."""

    @property
    def operations(self) -> frozenset[Operation]: ...

    async def complete(self, call: Call) -> Reply:
        """The whole reply. Raises UpstreamError, GateError."""
        ...

    def stream(self, call: Call) -> ChunkStream:
        """The reply in pieces. Closing the generator tells the upstream to stop. Raises UpstreamError, GateError."""
        ...

    async def close(self) -> None: ...
