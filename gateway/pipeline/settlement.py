"""The bill of one request: made once, whatever way the request ends, and in the journal before the caller has the end.

`Bill` is a context manager around everything that may spend. A stage that has finished an answer settles before its
last byte; leaving the context settles what has not been.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from decimal import Decimal
from time import monotonic
from types import TracebackType
from typing import Protocol, Self

import msgspec
import structlog

from billing.cost import cost
from billing.entry import UsageEntry
from billing.journal import JournalError
from billing.ledger import Ledger
from billing.money import MAX_USD
from billing.prices import Price
from billing.usage import Usage, total
from gateway.admission.admission import Hold
from gateway.errors import GateError, StorageUnavailable
from gateway.ids import new_id
from gateway.pipeline.call import Call
from gateway.pipeline.record import Attempt, Outcome, Record
from gateway.tokens import MESSAGE_TOKENS, TokenCounter

log = structlog.get_logger(__name__)

NOT_WORKED_ON = frozenset({"refused", "busy", "unreachable"})  # outcomes of attempts that limits do not count
_FREE = Price.free()
CLIENT_CLOSED = 499  # nginx's number for a caller that left; it is logged, never sent


class Rows(Protocol):
    """Where a bill writes its rows: the ledger, or whoever writes them there later."""

    def record(self, entry: UsageEntry) -> None:
        """Raises JournalError."""
        ...


class Bill:
    """`usage` is what the upstream told so far; the last value set before settling is what is billed.

    Where it told nothing, what it `said` is counted by `counter`, and the row says so.
    """

    def __init__(self, ledger: Rows, withhold: bool, call: Call, record: Record, hold: Hold) -> None:
        self._ledger = ledger
        self._withhold = withhold
        self._call = call
        self._record = record
        self._hold = hold
        self._settled = False
        self._free = False
        self.usage: Usage | None = None
        self.said: list[str] | None = None  # None: nobody answered
        self.counter = TokenCounter()

    def waive(self) -> None:
        """The answer is one that nobody is paid for: kept in a cache, or a message of the configuration's.

        It has its row all the same, and counts as a request.
        """
        self._free = True
        self.usage = Usage()
        self.said = None

    async def ready(self) -> None:
        """Wait for the tokenizer, if it will be needed."""
        if self._told() is None:
            await self.counter.ready()

    def _told(self) -> Usage | None:
        """What the upstream told, unless it says that nothing was used where something was said."""
        usage = self.usage
        if usage is not None and self.said and not (usage.input_tokens or usage.output_tokens):
            return None
        return usage

    def _estimate(self) -> Usage:
        if self.said is None:
            attempts = self._record.attempts
            if not attempts or attempts[-1].outcome != "cancelled":
                return Usage()
            self.said = []  # the caller left an upstream at work, which will want its money for the prompt at least
        asked = self.counter.count(slot.text for slot in self._call.slots)
        return Usage(
            input_tokens=asked + self._call.messages * MESSAGE_TOKENS + self._call.token_ids,
            output_tokens=self.counter.count(self.said),
            requests=1,
            estimated=True,
        )

    def settle(self) -> None:
        """Write the bill. Later calls do nothing. Raises StorageUnavailable if it cannot be written."""
        if self._settled:
            return
        self._settled = True
        record = self._record
        usage = record.usage = self._told() or self._estimate()
        record.ended = monotonic()
        record.status = record.status or 200  # an error has set its own by now
        outcomes = {attempt.outcome for attempt in record.attempts}
        if outcomes <= {"refused"} and not self._free:
            return  # nobody worked on it: a refusal costs nothing and is no use, in limits neither
        own = record.cost = _billable(cost(usage, record.price or _FREE), record)
        used = usage
        beside = [
            (attempt, attempt.usage, _billable(cost(attempt.usage, attempt.price or _FREE), record))
            for attempt in record.attempts
            if attempt.usage is not None
        ]
        if beside:
            record.cost = _billable(own + sum((paid for _, _, paid in beside), Decimal(0)), record)
            used = total([usage, *(used for _, used, _ in beside)])
        if self._free or not outcomes <= NOT_WORKED_ON:
            self._hold.settle(used, record.cost)
        try:
            self._ledger.record(entry(record, usage, own))
            for attempt, used, paid in beside:
                self._ledger.record(entry_beside(record, attempt, used, paid))
        except JournalError:
            if self._withhold:
                raise StorageUnavailable("The usage record could not be written, so the answer is withheld.") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and not self._settled:
            conclude(self._record, error)
        self.settle()


def _billable(amount: Decimal, record: Record) -> Decimal:
    """What a row can hold. Millions for one request are an upstream's nonsense, but must not lose the row."""
    if amount > MAX_USD:
        log.error("a request costs more than a record can hold", request_id=record.request_id, cost=str(amount))
        return MAX_USD
    return amount


class Settlement:
    """Makes bills. `withhold`: an answer whose record the journal does not take is not given, nor is one asked for.

    Else it is given, and the record goes to the database from memory: lost if the process dies before.
    """

    def __init__(self, ledger: Ledger, *, withhold: bool = True) -> None:
        self._ledger = ledger
        self._withhold = withhold

    def require_writable(self) -> None:
        """Raises StorageUnavailable while no record could be written: before an upstream is asked and paid."""
        if self._withhold and not self._ledger.writable:
            raise StorageUnavailable("Usage records cannot be written right now; try again.")

    def bill(self, call: Call, record: Record, hold: Hold, *, rows: Rows | None = None) -> Bill:
        """`rows` takes what is billed, in the ledger's place; it has to `write` it."""
        return Bill(rows or self._ledger, self._withhold, call, record, hold)

    def write(self, rows: Iterable[UsageEntry]) -> None:
        """Rows that were billed before. Raises StorageUnavailable if one cannot be written."""
        failed = False
        for row in rows:
            try:
                self._ledger.record(row)
            except JournalError:
                failed = True
        if failed and self._withhold:
            raise StorageUnavailable("A usage record could not be written, so the answer is withheld.")


def conclude(record: Record, error: BaseException) -> None:
    """Write into the record how an error ended the request."""
    if isinstance(error, GateError):
        record.status, record.error_code, record.limit = error.status, error.code, error.limit
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


def entry(record: Record, usage: Usage, paid: Decimal) -> UsageEntry:
    """The ledger's row of a record: its answer, which `paid` USD are for."""
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
        key_user=principal.user,
        model=record.model,
        requested_model=record.requested_model,
        target=record.target,
        served_model=record.served_model,
        endpoint=record.endpoint,
        stream=record.stream,
        status=record.status,
        outcome=record.outcome.value,
        usage=usage,
        cost=paid,
        price=record.price,
        tags=record.tags,
        duration_ms=record.duration * 1e3,
        first_token_ms=first_token,
        attempts=len(record.attempts),
    )


def entry_beside(record: Record, attempt: Attempt, usage: Usage, paid: Decimal) -> UsageEntry:
    """The row of what was paid beside the answer: the loser of a hedge, a reply that its provider filtered.

    A row of its own, so that it can be re-priced, and found on the invoice of whoever sends it.
    """
    return msgspec.structs.replace(
        entry(record, usage, paid),
        id=new_id(),
        model=attempt.model,
        target=attempt.target,
        served_model=None,
        outcome=attempt.outcome,
        price=attempt.price,
        duration_ms=(attempt.ended - attempt.started) * 1e3,
        first_token_ms=None,
        attempts=1,
    )
