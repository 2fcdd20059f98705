"""Everything known about one request once it has ended. Ledger, metrics, trace and log are all made from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from billing.prices import Price
from billing.usage import Usage
from gateway.admission.principals import Principal
from guards.types import Verdict

if TYPE_CHECKING:
    from gateway.admission.refusals import RateStatus


class Outcome(StrEnum):
    OK = "ok"
    REFUSED = "refused"  # the caller's fault or a limit: nothing was sent upstream
    BLOCKED = "blocked"  # a guard forbade it, on the way in or out
    FAILED = "failed"  # every target failed, or a stream broke
    CLIENT_CLOSED = "client_closed"  # the caller left before the end


@dataclass(slots=True)
class Attempt:
    """One try at one target. Times are monotonic seconds; `outcome` is a bounded word fit for a metric label.

    `usage`, with its `price` and the `model` it was for, is what is to be paid for this try beside the answer of
    another: of the loser of a hedge, and of a reply that its provider filtered. None where there is nothing to pay.
    """

    target: str
    started: float
    ended: float = 0.0
    outcome: str = "ok"  # ok, refused, cancelled, hedged, content_filter, or a word of `upstreams.base.Failure`
    usage: Usage | None = None
    price: Price | None = None
    model: str | None = None


@dataclass(slots=True)
class Record:
    """One request. Times are monotonic seconds but for `started_at` (aware UTC)."""

    id: str  # ours, unique: the ledger's key
    request_id: str  # shown to the caller: the caller's own if one was sent
    endpoint: str  # "chat/completions"
    started_at: datetime
    started: float
    traceparent: str | None = None  # W3C trace context the caller sent
    stream: bool = False
    principal: Principal | None = None
    requested_model: str = ""  # as the caller wrote it; any text at all
    model: str | None = None  # the configured model that answered
    target: str | None = None
    served_model: str | None = None  # the provider's own name for it
    user: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    rates: RateStatus | None = None  # where the caller stands with its limits; None if it has none
    cache: str | None = None  # hit or miss; None if none was asked
    limit: str | None = None  # which kind of limit refused it
    usage: Usage | None = None
    price: Price | None = None
    cost: Decimal = Decimal(0)
    status: int = 0
    outcome: Outcome = Outcome.OK
    error_code: str | None = None
    first_token: float | None = None  # when the first content left for the caller
    ended: float = 0.0

    @property
    def duration(self) -> float:
        """Seconds from the request's first byte read to its last byte written."""
        return self.ended - self.started

    @property
    def overhead(self) -> float:
        """Seconds that were ours: the whole less the time inside upstream attempts."""
        seconds = self.ended - self.started
        for attempt in self.attempts:
            seconds -= attempt.ended - attempt.started
        return max(0.0, seconds)
