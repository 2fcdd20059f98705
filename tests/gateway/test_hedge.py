"""A second target is asked when the first is slow; the first answer wins, and the loser is closed and paid for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from routekit import PRICE, Clock, ScriptedTarget, attempts, call, forever, outcomes, piece, said, target

from billing.usage import Usage
from gateway.errors import GateError, InvalidRequest
from gateway.pipeline.attempts import Attempts
from gateway.pipeline.hedge import FEWEST, patience
from gateway.pipeline.trial import OpenStream
from gateway.routing.breaker import BreakerRules
from gateway.routing.router import Hedge, Model, most_billed
from gateway.texts import Slot
from gateway.upstreams.base import Failure, UpstreamError

SOON = Hedge(after=0.8)
ERROR = UpstreamError(Failure.ERROR, "")


def pair(first: ScriptedTarget, second: ScriptedTarget, clock: Clock, hedge: Hedge = SOON, **fields: Any) -> Model:
    made = (target("t0", first, clock, **fields), target("t1", second, clock, **fields))
    return Model("m", made, hedge=hedge)


async def answered(tried: Attempts, *, stream: bool) -> Any:
    return await (tried.open_stream(call(stream=True)) if stream else tried.complete(call()))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_slow_first_target_loses_to_the_second(stream: bool) -> None:
    clock, slow = Clock(), ScriptedTarget(wait=forever)
    model = pair(slow, ScriptedTarget(), clock)
    tried = attempts([model], clock)
    await answered(tried, stream=stream)
    assert outcomes(tried) == [("t0", "hedged"), ("t1", "ok")]
    assert (tried.record.target, clock.waits) == ("t1", [0.8])
    assert [one.state.in_flight for one in model.targets] == [0, 1 if stream else 0]
    if stream:
        assert slow.closed == 1, "the loser's stream is closed"


async def test_the_loser_is_paid_by_what_it_told_else_for_the_prompt() -> None:
    clock = Clock()
    tried = attempts([pair(ScriptedTarget(wait=forever), ScriptedTarget(), clock)], clock)
    await tried.open_stream(call(stream=True))
    assert tried.record.attempts[0].usage == Usage(input_tokens=7)
    assert (tried.record.attempts[0].price, tried.record.attempts[0].model) == (PRICE, "m")
    assert tried.record.attempts[1].usage is None, "the answer is billed as such"
    tried = attempts([pair(ScriptedTarget(wait=forever), ScriptedTarget(), clock)], clock)
    holder = {"content": "a prompt of some words"}
    await tried.complete(call(slots=[Slot(holder, "content", "user")], messages=1))
    usage = tried.record.attempts[0].usage
    assert usage is not None
    assert (usage.estimated, usage.requests, usage.output_tokens) == (True, 1, 0)
    assert usage.input_tokens > 4


@pytest.mark.parametrize("stream", [False, True])
async def test_a_quick_first_target_is_alone(stream: bool) -> None:
    clock, second = Clock(), ScriptedTarget()

    async def never(seconds: float) -> None:
        await forever()

    tried = attempts([pair(ScriptedTarget(), second, clock)], clock)
    tried.sleep = never
    await answered(tried, stream=stream)
    assert (tried.record.target, second.calls, len(tried.record.attempts)) == ("t0", 0, 1)


async def test_the_first_may_still_win() -> None:
    clock, go = Clock(), asyncio.Event()

    async def second_waits() -> None:
        go.set()
        await forever()

    first, second = ScriptedTarget(wait=go.wait), ScriptedTarget(wait=second_waits)
    tried = attempts([pair(first, second, clock)], clock)
    await tried.complete(call())
    assert outcomes(tried) == [("t0", "ok"), ("t1", "hedged")]
    assert tried.record.target == "t0"


async def test_two_answers_at_once_are_one_answer_and_both_are_paid() -> None:
    clock, go = Clock(), asyncio.Event()

    async def second_comes() -> None:
        go.set()

    usage = said("word").usage
    tried = attempts([pair(ScriptedTarget(wait=go.wait), ScriptedTarget(wait=second_comes), clock)], clock)
    await tried.complete(call())
    assert sorted(outcome for _, outcome in outcomes(tried)) == ["hedged", "ok"]
    loser = next(attempt for attempt in tried.record.attempts if attempt.outcome == "hedged")
    assert loser.usage is not None
    assert loser.usage == usage or loser.usage.estimated
    assert loser.target != tried.record.target


async def test_a_loser_that_fails_leaves_the_other_its_time() -> None:
    clock, go = Clock(), asyncio.Event()

    async def fails() -> None:
        go.set()
        raise ERROR

    tried = attempts([pair(ScriptedTarget(wait=go.wait), ScriptedTarget(wait=fails), clock)], clock)
    await tried.complete(call())
    assert outcomes(tried) == [("t0", "ok"), ("t1", "error")]
    assert tried.record.attempts[1].usage is None, "what failed is not paid for"


async def test_a_loser_that_refuses_the_request_does_not_spoil_the_answer() -> None:
    clock, go = Clock(), asyncio.Event()

    async def refuses() -> None:
        go.set()
        raise InvalidRequest("no")

    tried = attempts([pair(ScriptedTarget(wait=go.wait), ScriptedTarget(wait=refuses), clock)], clock)
    await tried.complete(call())
    assert outcomes(tried) == [("t0", "ok"), ("t1", "refused")]


async def test_two_streams_at_once_leave_one_open() -> None:
    clock, go, upstreams = Clock(), asyncio.Event(), [ScriptedTarget(), ScriptedTarget()]

    async def both() -> None:
        go.set()

    upstreams[0].wait, upstreams[1].wait = go.wait, both
    model = pair(upstreams[0], upstreams[1], clock)
    opened = await attempts([model], clock).open_stream(call(stream=True))
    assert sum(upstream.closed for upstream in upstreams) == 1
    await opened.rest.aclose()
    assert [one.state.in_flight for one in model.targets] == [0, 0]


async def test_two_that_fail_hand_over_and_are_not_asked_again() -> None:
    clock, go = Clock(), asyncio.Event()

    async def first_fails() -> None:
        await go.wait()
        raise ERROR

    async def second_fails() -> None:
        go.set()
        raise ERROR

    model = pair(ScriptedTarget(wait=first_fails), ScriptedTarget(wait=second_fails), clock, retries=2)
    spare = Model("n", (target("spare", ScriptedTarget(), clock),))
    named = Model(model.name, model.targets, hedge=model.hedge, fallbacks=("n",))
    tried = attempts([named, spare], clock)
    await tried.complete(call())
    assert outcomes(tried) == [("t0", "error"), ("t1", "error"), ("spare", "ok")]


async def test_a_request_at_fault_is_refused_when_no_one_answers() -> None:
    clock, go = Clock(), asyncio.Event()

    async def refuses() -> None:
        go.set()
        raise InvalidRequest("no")

    async def fails() -> None:
        await go.wait()
        raise ERROR

    with pytest.raises(InvalidRequest):
        await attempts([pair(ScriptedTarget(wait=fails), ScriptedTarget(wait=refuses), clock)], clock).complete(call())


async def test_a_first_target_that_fails_early_is_retried_as_ever() -> None:
    clock = Clock()

    async def never(seconds: float) -> None:
        if seconds == SOON.after:
            await forever()

    first = ScriptedTarget([ERROR])
    tried = attempts([pair(first, ScriptedTarget(), clock, retries=1)], clock)
    tried.sleep = never
    await tried.complete(call())
    assert outcomes(tried) == [("t0", "error"), ("t0", "ok")]


async def test_no_second_is_asked_where_its_breaker_is_open() -> None:
    clock, go, second = Clock(), asyncio.Event(), ScriptedTarget()
    model = pair(ScriptedTarget(wait=go.wait), second, clock, rules=BreakerRules(failures=1))
    state = model.targets[1].state
    state.failed(state.begin(), ERROR, 0.0, stream=False)
    tried = attempts([model], clock)
    asyncio.get_running_loop().call_later(0, go.set)
    await tried.complete(call())
    assert (second.calls, tried.record.target) == (0, "t0")


async def test_one_whose_breaker_is_open_is_passed_over_for_the_next() -> None:
    clock = Clock()
    made = [
        target(f"t{number}", scripted, clock, rules=BreakerRules(failures=1))
        for number, scripted in enumerate((ScriptedTarget(wait=forever), ScriptedTarget(), ScriptedTarget()))
    ]
    assert made[1].state.breaker is not None
    made[1].state.breaker.open(60.0)
    tried = attempts([Model("m", tuple(made), hedge=SOON)], clock)
    async with asyncio.timeout(5):
        await tried.complete(call())
    assert outcomes(tried) == [("t0", "hedged"), ("t2", "ok")]


async def test_a_caller_that_leaves_ends_both_and_each_is_booked_once() -> None:
    clock, both = Clock(), asyncio.Event()

    async def second_waits() -> None:
        both.set()
        await forever()

    model = pair(ScriptedTarget(wait=forever), ScriptedTarget(wait=second_waits), clock)
    tried = attempts([model], clock)
    task = asyncio.create_task(tried.complete(call()))
    await both.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert outcomes(tried) == [("t0", "hedged"), ("t1", "cancelled")]
    assert tried.record.attempts[0].usage is not None
    assert tried.record.attempts[1].usage is None
    assert tried.record.target == "t1", "the one that the bill is made for"
    assert [one.state.in_flight for one in model.targets] == [0, 0]


async def test_the_winners_stream_goes_on_after_the_race() -> None:
    clock = Clock()
    second = ScriptedTarget(chunks=[piece("one"), piece("two"), piece(None, "stop")])
    model = pair(ScriptedTarget(wait=forever), second, clock)
    opened: OpenStream = await attempts([model], clock).open_stream(call(stream=True))
    rest = [chunk.body["choices"][0]["delta"].get("content") async for chunk in opened.rest]
    assert rest == ["two", None]
    assert [one.state.in_flight for one in model.targets] == [0, 0]


def test_patience_is_the_targets_own_percentile_once_it_is_known() -> None:
    made = target("t", ScriptedTarget(), Clock())
    for n in range(FEWEST - 1):
        made.state.whole.observe(n + 1.0)
    assert patience(Hedge(), made, stream=False) is None
    made.state.whole.observe(20.0)
    assert patience(Hedge(), made, stream=False) == 19
    assert patience(Hedge(), made, stream=True) is None
    assert patience(SOON, made, stream=True) == SOON.after


def test_a_hold_must_cover_two() -> None:
    clock = Clock()
    assert most_billed(attempts([pair(ScriptedTarget(), ScriptedTarget(), clock)], clock).candidates) == 2


async def test_all_failing_is_told_as_ever() -> None:
    clock = Clock()
    model = pair(ScriptedTarget([ERROR]), ScriptedTarget([ERROR]), clock)
    with pytest.raises(GateError) as failed:
        await attempts([model], clock).complete(call())
    assert failed.value.status == 502
