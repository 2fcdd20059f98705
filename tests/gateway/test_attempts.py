"""Which attempts are made, how long is waited between them, and that one bill is written."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any, cast

import pytest

from billing.ledger import Ledger
from billing.usage import Usage
from gateway.admission.admission import Hold
from gateway.admission.principals import Principal
from gateway.errors import GateError, InvalidRequest
from gateway.pipeline.answer import Chunk, ChunkStream, Reply
from gateway.pipeline.attempts import Attempts
from gateway.pipeline.backoff import BACK_OFF, MAX_WAIT, back_off
from gateway.pipeline.call import Call, Operation
from gateway.pipeline.record import Record
from gateway.pipeline.settlement import Bill
from gateway.pipeline.trial import Trial
from gateway.routing.router import Candidate, Model, Target, Timeouts
from gateway.upstreams.base import Failure, UpstreamError
from gateway.upstreams.openai_compatible import read_retry_after

CALL = Call("chat/completions", "m", False, {"model": "m", "messages": []}, [], 1)


@dataclass
class FakeUpstream:
    """Raises these errors in turn, then answers."""

    errors: list[Exception] = field(default_factory=list)
    calls: int = 0
    operations: frozenset[Operation] = frozenset(Operation)

    async def complete(self, call: Call) -> Reply:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return Reply({"choices": []}, Usage(output_tokens=1))

    async def stream(self, call: Call) -> ChunkStream:
        self.calls += 1
        yield Chunk({"choices": [{"index": 0, "delta": {"role": "assistant"}}]})
        if self.errors:
            raise self.errors.pop(0)
        yield Chunk({"choices": [{"index": 0, "delta": {"content": "word"}}]})

    async def close(self) -> None: ...


def record() -> Record:
    principal = Principal(key_id="k", key_name="k")
    return Record("1", "1", "chat/completions", datetime.now(UTC), monotonic(), principal=principal)


def attempts(*upstreams: FakeUpstream, retries: int = 2, total: float = 300.0) -> tuple[Attempts, list[float]]:
    """Attempts over one target for each upstream, and the list their waits go to instead of being waited."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    limits = Timeouts(total=total)
    targets = [Target(f"t{n}", up, retries=retries, timeouts=limits) for n, up in enumerate(upstreams)]
    model = Model("m", tuple(targets))
    return Attempts([Candidate(model, target) for target in targets], record(), random.Random(1), sleep), waits


def outcomes(tried: Attempts) -> list[tuple[str, str]]:
    return [(attempt.target, attempt.outcome) for attempt in tried.record.attempts]


async def test_retries_wait_longer_each_time_with_jitter() -> None:
    tried, waits = attempts(FakeUpstream([UpstreamError(Failure.ERROR, "")] * 3), retries=3)
    await tried.complete(CALL)
    assert outcomes(tried) == [("t0", "error")] * 3 + [("t0", "ok")]
    for n, wait in enumerate(waits):
        assert 0 <= wait <= BACK_OFF * 2**n
    assert len(waits) == 3


def test_the_jitter_is_full() -> None:
    """Callers that failed together must not come back together."""
    error = UpstreamError(Failure.ERROR, "")
    waits = [back_off(3, error, random.Random(seed)) or 0.0 for seed in range(400)]
    assert min(waits) < BACK_OFF * 4 * 0.05
    assert max(waits) > BACK_OFF * 4 * 0.95
    assert max(waits) <= BACK_OFF * 4


RETRY_AFTER = [
    ("7", 7.0),
    ("0.5", 0.5),
    ("-3", 0.0),
    ("Fri, 01 May 2026 00:00:42 GMT", 42.0),
    ("Friday, 01-May-26 00:00:42 GMT", 42.0),
    ("Thu, 30 Apr 2026 23:59:00 GMT", 0.0),
    ("Fri, 01 May 2099 00:00:00 GMT", 86_400.0),
    ("soon", None),
    ("nan", None),
    ("", None),
    (None, None),
]


@pytest.mark.parametrize(("header", "seconds"), RETRY_AFTER)
def test_both_forms_of_retry_after_are_read(header: str | None, seconds: float | None) -> None:
    assert read_retry_after(header, datetime(2026, 5, 1, tzinfo=UTC)) == seconds


async def test_a_retry_after_is_obeyed_and_a_long_one_left_for_the_next_target() -> None:
    first = FakeUpstream(
        [UpstreamError(Failure.BUSY, "", retry_after=2.0), UpstreamError(Failure.BUSY, "", retry_after=MAX_WAIT + 1)]
    )
    tried, waits = attempts(first, FakeUpstream())
    await tried.complete(CALL)
    assert outcomes(tried) == [("t0", "busy"), ("t0", "busy"), ("t1", "ok")]
    assert waits == [2.0]


async def test_a_target_that_timed_out_is_not_asked_again() -> None:
    tried, waits = attempts(FakeUpstream([UpstreamError(Failure.TIMEOUT, "")]), FakeUpstream())
    await tried.complete(CALL)
    assert outcomes(tried) == [("t0", "timeout"), ("t1", "ok")]
    assert waits == []


async def test_nothing_is_tried_after_the_deadline() -> None:
    second = FakeUpstream()
    tried, _ = attempts(FakeUpstream([UpstreamError(Failure.ERROR, "")]), second, retries=0, total=10)
    tried.record.started -= 20
    with pytest.raises(GateError) as failed:
        await tried.complete(CALL)
    assert failed.value.status == 502
    assert second.calls == 0


async def test_a_request_at_fault_ends_the_search() -> None:
    second = FakeUpstream()
    tried, _ = attempts(FakeUpstream([InvalidRequest("no")]), second)
    with pytest.raises(InvalidRequest):
        await tried.complete(CALL)
    assert (outcomes(tried), second.calls) == ([("t0", "refused")], 0)


async def test_a_fault_of_ours_is_no_caller_that_left() -> None:
    """Only whoever leaves an upstream at work pays for it."""
    tried, _ = attempts(FakeUpstream([RuntimeError("a bug")]))
    with pytest.raises(RuntimeError):
        await tried.complete(CALL)
    assert (outcomes(tried), tried.answered) == ([("t0", "error")], None)
    left, _ = attempts(FakeUpstream([cast(Exception, asyncio.CancelledError())]))
    with pytest.raises(asyncio.CancelledError):
        await left.complete(CALL)
    assert (outcomes(left), left.answered) == ([("t0", "cancelled")], left.candidates[0])


async def test_a_stream_that_fails_before_content_leaves_nothing_behind() -> None:
    tried, _ = attempts(FakeUpstream([UpstreamError(Failure.BROKEN, "")]), FakeUpstream(), retries=0)
    opened = await tried.open_stream(CALL)
    words = [chunk.body["choices"][0]["delta"] for chunk in opened.head] + [c async for c in opened.rest]
    assert words == [{"role": "assistant"}, {"content": "word"}]
    assert outcomes(tried) == [("t0", "broken"), ("t1", "ok")]


KINDS = [
    ([Failure.BUSY], 429), ([Failure.TIMEOUT], 504), ([Failure.ERROR], 502), ([Failure.UNREACHABLE], 502),
    ([Failure.BUSY, Failure.ERROR], 502), ([Failure.TIMEOUT, Failure.BUSY], 502),
]  # fmt: skip


@pytest.mark.parametrize(("failures", "status"), KINDS)
async def test_the_status_tells_how_all_targets_failed(failures: list[Failure], status: int) -> None:
    tried, _ = attempts(*(FakeUpstream([UpstreamError(failure, "secret")]) for failure in failures), retries=0)
    with pytest.raises(GateError) as failed:
        await tried.complete(CALL)
    assert failed.value.status == status
    assert "secret" not in str(failed.value.body())


class CountingLedger:
    def __init__(self) -> None:
        self.entries: list[Any] = []

    def record(self, entry: Any) -> None:
        self.entries.append(entry)


@pytest.fixture
def bill() -> Iterator[tuple[Bill, CountingLedger]]:
    ledger, made = CountingLedger(), record()
    tried, _ = attempts(FakeUpstream())
    made.attempts = tried.record.attempts
    with tried._attempt(Trial(tried.candidates[0]), stream=False):
        pass
    yield Bill(cast(Ledger, ledger), True, CALL, made, Hold("hold")), ledger


def test_a_bill_is_written_once_however_often_it_is_settled(bill: tuple[Bill, CountingLedger]) -> None:
    made, ledger = bill
    with pytest.raises(RuntimeError), made:
        made.usage = Usage(output_tokens=5)
        made.settle()
        made.usage = Usage(output_tokens=9)
        made.settle()
        raise RuntimeError
    assert [(e.usage.output_tokens, e.outcome) for e in ledger.entries] == [(5, "ok")]


def test_a_bill_left_open_is_settled_with_what_was_known(bill: tuple[Bill, CountingLedger]) -> None:
    made, ledger = bill
    with pytest.raises(RuntimeError), made:
        made.usage = Usage(output_tokens=5)
        raise RuntimeError
    assert [(e.usage.output_tokens, e.outcome, e.status) for e in ledger.entries] == [(5, "failed", 500)]
