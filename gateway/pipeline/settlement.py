"""The bill of one request: made once, whatever way the request ends, and in the journal before the caller has the end.

`Bill` is a context manager around everything that may spend. A stage that has finished an answer settles before its
last byte; leaving the context settles what has not been.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from types import TracebackType
from typing import Self

from billing.cost import cost
from billing.entry import UsageEntry
from billing.journal import JournalError
from billing.ledger import Ledger
from billing.prices import Price
from billing.usage import Usage
from gateway.admission.admission import Hold
from gateway.errors import GateError, StorageUnavailable
from gateway.pipeline.call import Call
from gateway.pipeline.record import Outcome, Record

CLIENT_CLOSED = 499  # nginx's number for a caller that left; it is logged, never sent


class Bill:
    """`usage` is what is known so far; the last value set before settling is what is billed."""

    def __init__(self, ledger: Ledger, call: Call, record: Record, hold: Hold) -> None:
        self._ledger = ledger
        self._call = call
        self._record = record
        self._hold = hold
        self._settled = False
        self.usage: Usage | None = None

    def estimate(self, output_tokens: int) -> Usage:
        """Usage by our own count, for an upstream that does not tell."""
        return Usage(input_tokens=self._call.input_estimate, output_tokens=output_tokens, estimated=True)

    def settle(self) -> None:
        """Write the bill. Later calls do nothing. Raises StorageUnavailable if it cannot be written."""
        if self._settled:
            return
        self._settled = True
        record = self._record
        usage = record.usage = self.usage or Usage()
        record.ended = monotonic()
        record.status = record.status or 200  # an error has set its own by now
        self._hold.settle(usage)
        if all(attempt.outcome == "refused" for attempt in record.attempts):
            return  # nobody worked on it: a refusal costs nothing and is no use
        record.cost = cost(usage, record.price or Price.free())
        try:
            self._ledger.record(entry(record, usage))
        except JournalError:
            raise StorageUnavailable("The usage record could not be written, so the answer is withheld.") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and not self._settled:
            conclude(self._record, error)
        self.settle()


class Settlement:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def bill(self, call: Call, record: Record, hold: Hold) -> Bill:
        return Bill(self._ledger, call, record, hold)


def conclude(record: Record, error: BaseException) -> None:
    """Write into the record how an error ended the request."""
    if isinstance(error, GateError):
        record.status, record.error_code = error.status, error.code
        if error.code == "guard_blocked":
            record.outcome = Outcome.BLOCKED
        else:
            record.outcome = Outcome.REFUSED if error.status < 500 else Outcome.FAILED
    elif isinstance(error, asyncio.CancelledError):
        record.status, record.outcome, record.error_code = (
            CLIENT_CLOSED,
            Outcome.CLIENT_CLOSED,
            "client_closed",
        )
    else:
        record.status, record.outcome, record.error_code = 500, Outcome.FAILED, "internal_error"


def entry(record: Record, usage: Usage) -> UsageEntry:
    """The ledger's row of a record."""
    principal = record.principal
    if principal is None:
        raise ValueError("a record without a principal cannot have spent")
    first_token = None if record.first_token is None else (record.first_token - record.started) * 1e3
    return UsageEntry(
        id=record.id,
        request_id=record.request_id,
        at=record.started_at,
        key_id=principal.key_id,
        key_name=principal.key_name,
        team=principal.team,
        user=principal.user or record.user,
        model=record.model,
        requested_model=record.requested_model,
        target=record.target,
        served_model=record.served_model,
        endpoint=record.endpoint,
        stream=record.stream,
        status=record.status,
        outcome=record.outcome.value,
        usage=usage,
        cost=record.cost,
        price=record.price,
        tags=record.tags,
        duration_ms=record.duration * 1e3,
        first_token_ms=first_token,
        attempts=len(record.attempts),
    )
