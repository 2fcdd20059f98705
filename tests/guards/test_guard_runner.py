"""The runner: order, time limits, failures that are answered for, and streams through several guards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import fields, replace

import pytest
from guardkit import REQUEST, Slot, pii

from guards.runner import GuardRunner, Installed
from guards.spec import OnError
from guards.types import (
    ALL_SCOPES,
    Action,
    GuardBlocked,
    GuardConfigError,
    GuardRequest,
    GuardUnavailable,
    Scope,
    Stage,
    TextSlot,
    Verdict,
)

BOTH = frozenset(Stage)
VALUE = "ada@example.com"

Step = Callable[[str], Awaitable[str]]


class StepGuard:
    """A guard that puts every text, or piece of a stream, through one step."""

    def __init__(self, name: str, step: Step, stages: frozenset[Stage] = BOTH) -> None:
        self.name = name
        self.stages = stages
        self.rewrites = True
        self._step = step

    def scopes(self, stage: Stage) -> frozenset[Scope]:
        return ALL_SCOPES

    async def prepare(self) -> None: ...

    async def close(self) -> None: ...

    def open(self, request: GuardRequest) -> StepSession:
        return StepSession(self.name, self._step)


class StepSession:
    def __init__(self, name: str, step: Step) -> None:
        self._name = name
        self._step = step

    async def check_input(self, slots: Sequence[TextSlot]) -> Verdict:
        return await self._check(Stage.INPUT, slots)

    async def check_output(self, slots: Sequence[TextSlot]) -> Verdict:
        return await self._check(Stage.OUTPUT, slots)

    async def _check(self, stage: Stage, slots: Sequence[TextSlot]) -> Verdict:
        for slot in slots:
            slot.text = await self._step(slot.text)
        return Verdict(guard=self._name, stage=stage, action=Action.PASS)

    def open_stream(self, scope: Scope) -> StepStream:
        return StepStream(self._step)

    def stream_verdict(self) -> Verdict:
        return Verdict(guard=self._name, stage=Stage.OUTPUT, action=Action.PASS)


class StepStream:
    """Holds the last character back, so that there is something to lose."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self.held = ""

    async def feed(self, text: str) -> str:
        text = self.held + text
        answer = await self._step(text[:-1])
        self.held = text[-1:]
        return answer

    async def finish(self) -> str:
        return await self._step(self.held)


def marking(mark: str) -> Step:
    async def step(text: str) -> str:
        return f"{text}{mark}"

    return step


async def failing(text: str) -> str:
    raise ValueError(f"cannot parse {text!r}")


async def hanging(text: str) -> str:
    await asyncio.Event().wait()
    return text


def runner(*installed: Installed) -> GuardRunner:
    return GuardRunner(installed)


def default(guard: StepGuard, on_error: OnError = OnError.BLOCK, timeout: float = 5.0) -> Installed:
    return Installed(guard, default=True, on_error=on_error, timeout=timeout)


async def test_guards_run_in_order_on_the_way_in_and_in_reverse_on_the_way_out() -> None:
    session = runner(default(StepGuard("a", marking("a"))), default(StepGuard("b", marking("b")))).open(
        GuardRequest("t")
    )
    there, back = Slot(""), Slot("")
    await session.check_input([there])
    await session.check_output([back])
    assert (there.text, back.text) == ("ab", "ba")
    assert [(v.guard, v.stage) for v in session.verdicts] == [
        ("a", Stage.INPUT),
        ("b", Stage.INPUT),
        ("b", Stage.OUTPUT),
        ("a", Stage.OUTPUT),
    ]


async def test_a_stream_passes_the_guards_in_reverse_too() -> None:
    def wrapping(mark: str) -> Step:
        async def step(text: str) -> str:
            return f"{mark}{text}"

        return step

    session = runner(default(StepGuard("a", wrapping("a"))), default(StepGuard("b", wrapping("b")))).open(
        GuardRequest("t")
    )
    assert (await session.open_stream(Scope.ASSISTANT).feed("xy")).startswith("ab")
    assert [v.guard for v in session.verdicts] == ["b", "a"]


async def test_what_the_first_guard_hides_no_later_guard_sees() -> None:
    seen: list[str] = []

    async def look(text: str) -> str:
        seen.append(text)
        return text

    session = runner(Installed(pii(), default=True), default(StepGuard("look", look))).open(REQUEST)
    slot = Slot(f"I am {VALUE}")
    await session.check_input([slot])
    reply = Slot(f"Hello {slot.text.removeprefix('I am ')}")
    echoed = reply.text
    await session.check_output([reply])
    stream = session.open_stream(Scope.ASSISTANT)
    streamed = "".join([await stream.feed(char) for char in echoed]) + await stream.finish()
    assert reply.text == streamed == f"Hello {VALUE}"
    assert not any(VALUE in text for text in seen)


async def test_only_default_and_asked_guards_run_and_only_at_their_stage() -> None:
    extra = Installed(StepGuard("extra", marking("e"), frozenset({Stage.INPUT})))
    gate = runner(default(StepGuard("always", marking("a"))), extra)
    plain, asked = gate.open(REQUEST), gate.open(REQUEST, ["extra"])
    for session in (plain, asked):
        await session.check_input([Slot("")])
        await session.check_output([Slot("")])
    assert [v.guard for v in plain.verdicts] == ["always", "always"]
    assert [(v.guard, v.stage) for v in asked.verdicts] == [
        ("always", Stage.INPUT),
        ("extra", Stage.INPUT),
        ("always", Stage.OUTPUT),
    ]


def test_a_name_that_is_not_configured_is_refused_and_not_skipped() -> None:
    with pytest.raises(GuardUnavailable) as caught:
        runner().open(REQUEST, ["gone"])
    assert (caught.value.verdict.guard, caught.value.verdict.error) == ("gone", "not configured")


def test_two_guards_of_one_name_are_refused() -> None:
    guard = default(StepGuard("twin", failing))
    with pytest.raises(GuardConfigError, match="same name"):
        runner(guard, guard)


@pytest.mark.parametrize("stage", list(Stage))
async def test_a_guard_that_raises_makes_the_request_unavailable(stage: Stage) -> None:
    session = runner(default(StepGuard("bad", failing))).open(REQUEST)
    check = session.check_input if stage is Stage.INPUT else session.check_output
    with pytest.raises(GuardUnavailable) as caught:
        await check([Slot(VALUE)])
    (verdict,) = session.verdicts
    assert verdict is caught.value.verdict
    assert (verdict.stage, verdict.action) == (stage, Action.BLOCK)
    assert verdict.error is not None
    assert verdict.error.startswith("ValueError at test_guard_runner.py:")


async def test_an_error_is_told_without_the_text_it_quotes() -> None:
    session = runner(default(StepGuard("bad", failing))).open(REQUEST)
    with pytest.raises(GuardUnavailable) as caught:
        await session.check_input([Slot(VALUE)])
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    for thing in (error, error.verdict, session, session.verdicts):
        assert VALUE not in repr(thing)
        assert VALUE not in str(thing)


async def test_a_guard_that_may_fail_leaves_the_texts_as_they_were() -> None:
    async def half(text: str) -> str:
        if text == "two":
            raise RuntimeError
        return "changed"

    session = runner(default(StepGuard("half", half), OnError.PASS), default(StepGuard("next", marking("!")))).open(
        GuardRequest("t")
    )
    slots = [Slot("one"), Slot("two")]
    await session.check_input(slots)
    assert [slot.text for slot in slots] == ["one!", "two!"]
    failed, passed = session.verdicts
    assert (failed.guard, failed.action, failed.error is None) == ("half", Action.PASS, False)
    assert (passed.guard, passed.error) == ("next", None)


@pytest.mark.parametrize("on_error", list(OnError))
async def test_a_guard_that_does_not_answer_in_time_has_failed(on_error: OnError) -> None:
    session = runner(default(StepGuard("slow", hanging), on_error, timeout=0.01)).open(REQUEST)
    if on_error is OnError.BLOCK:
        with pytest.raises(GuardUnavailable):
            await session.check_input([Slot("x")])
    else:
        await session.check_input([Slot("x")])
    assert [v.error for v in session.verdicts] == ["no answer in 0.01 s"]


async def test_cancelling_a_request_is_no_failure_of_a_guard() -> None:
    session = runner(default(StepGuard("slow", hanging), OnError.PASS)).open(REQUEST)
    task = asyncio.create_task(session.check_input([Slot("x")]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert session.verdicts == []


async def test_a_stream_whose_guard_fails_is_unavailable() -> None:
    session = runner(default(StepGuard("bad", failing))).open(REQUEST)
    stream = session.open_stream(Scope.ASSISTANT)
    with pytest.raises(GuardUnavailable):
        await stream.feed("xy")
    (verdict,) = session.verdicts
    assert (verdict.stage, verdict.action, verdict.error is None) == (Stage.OUTPUT, Action.BLOCK, False)


async def test_a_stream_whose_guard_may_fail_loses_and_repeats_nothing() -> None:
    async def late(text: str) -> str:
        if "d" in text:
            raise RuntimeError
        return text

    session = runner(default(StepGuard("late", late), OnError.PASS)).open(REQUEST)
    stream = session.open_stream(Scope.ASSISTANT)
    sent = [await stream.feed(piece) for piece in ("ab", "cd", "ef", "gh")]
    assert "".join(sent) + await stream.finish() == "abcdefgh"
    assert [v.error is None for v in session.verdicts] == [False]


async def test_a_guard_that_cannot_even_open_is_answered_for() -> None:
    class Broken(StepGuard):
        def open(self, tenant: str) -> StepSession:
            raise OSError("no such model")

    session = runner(default(Broken("broken", failing), OnError.PASS)).open(REQUEST)
    await session.check_input([Slot("x")])
    stream = session.open_stream(Scope.ASSISTANT)
    assert await stream.feed("xy") + await stream.finish() == "xy"
    assert [v.error is None for v in session.verdicts] == [False, False]


async def test_a_verdict_to_block_blocks_even_if_the_guard_did_not_raise() -> None:
    class Refusing(StepSession):
        async def check_input(self, slots: Sequence[TextSlot]) -> Verdict:
            return Verdict(guard="no", stage=Stage.INPUT, action=Action.BLOCK)

    class Guard(StepGuard):
        def open(self, tenant: str) -> StepSession:
            return Refusing("no", failing)

    with pytest.raises(GuardBlocked):
        await runner(default(Guard("no", failing))).open(REQUEST).check_input([Slot("x")])


async def test_after_a_block_no_later_guard_runs_and_the_verdict_is_kept() -> None:
    session = runner(
        Installed(pii(action=Action.BLOCK, restore=False), default=True),
        default(StepGuard("later", marking("!"))),
    ).open(REQUEST)
    with pytest.raises(GuardBlocked) as caught:
        await session.check_input([Slot(VALUE)])
    assert [v.guard for v in session.verdicts] == ["pii"]
    assert caught.value.verdict == session.verdicts[0]
    assert caught.value.verdict.findings == {"EMAIL": 1}


async def test_a_blocked_stream_keeps_its_verdict() -> None:
    session = runner(Installed(pii(action=Action.BLOCK, restore=False), default=True)).open(REQUEST)
    stream = session.open_stream(Scope.ASSISTANT)
    with pytest.raises(GuardBlocked):
        await stream.feed(f"{VALUE} is here")
    assert [(v.action, v.findings) for v in session.verdicts] == [(Action.BLOCK, {"EMAIL": 1})]


async def test_time_is_taken_from_the_clock_for_checks_and_for_the_sum_of_a_stream() -> None:
    now = 0.0

    def clock() -> float:
        return now

    async def slow(text: str) -> str:
        nonlocal now
        now += 0.25
        return text

    session = GuardRunner([default(StepGuard("slow", slow))], clock=clock).open(REQUEST)
    await session.check_input([Slot("x"), Slot("y")])
    first, second = session.open_stream(Scope.ASSISTANT), session.open_stream(Scope.ASSISTANT)
    await first.feed("ab")
    await second.feed("ab")
    await first.finish()
    assert [v.duration for v in session.verdicts] == [0.5, 0.75]


async def test_without_guards_everything_passes_as_it_is() -> None:
    session = runner().open(REQUEST)
    slot = Slot(VALUE)
    await session.check_input([slot])
    stream = session.open_stream(Scope.ASSISTANT)
    assert await stream.feed(VALUE) == slot.text == VALUE
    assert await stream.finish() == ""
    assert session.verdicts == []


def looking(name: str, step: Step) -> StepGuard:
    guard = StepGuard(name, step)
    guard.rewrites = False
    return guard


async def test_guards_that_only_look_run_side_by_side_and_the_first_that_blocks_is_told() -> None:
    both_there = asyncio.Barrier(2)

    async def meet(text: str) -> str:
        await both_there.wait()
        return text

    async def meet_and_block(text: str) -> str:
        await both_there.wait()
        raise GuardBlocked(Verdict(guard="second", stage=Stage.INPUT, action=Action.BLOCK))

    gate = runner(default(looking("first", meet)), default(looking("second", meet_and_block)))
    session = gate.open(REQUEST)
    with pytest.raises(GuardBlocked) as caught:
        await session.check_input([Slot("x")])
    assert caught.value.verdict.guard == "second"
    assert [v.guard for v in session.verdicts] == ["first", "second"]


async def test_a_guard_that_changes_texts_runs_alone() -> None:
    seen: list[str] = []

    async def look(text: str) -> str:
        seen.append(text)
        await asyncio.sleep(0)
        return text

    gate = runner(default(looking("a", look)), default(StepGuard("b", marking("!"))), default(looking("c", look)))
    await gate.open(REQUEST).check_input([Slot("x")])
    assert seen == ["x", "x!"]


class ScopedGuard(StepGuard):
    def scopes(self, stage: Stage) -> frozenset[Scope]:
        return frozenset({Scope.TOOL})


async def test_a_guard_sees_the_texts_of_its_scopes_alone() -> None:
    session = runner(default(ScopedGuard("tools", marking("!")))).open(REQUEST)
    user, tool = Slot("u"), Slot("t", Scope.TOOL)
    await session.check_input([user, tool])
    assert (user.text, tool.text) == ("u", "t!")
    assert await session.open_stream(Scope.ASSISTANT).feed("ab") == "ab"


async def test_a_dry_run_changes_nothing_blocks_nothing_and_is_recorded() -> None:
    async def block(text: str) -> str:
        raise GuardBlocked(Verdict(guard="strict", stage=Stage.INPUT, action=Action.BLOCK))

    gate = runner(
        Installed(StepGuard("marks", marking("!")), default=True, dry_run=True),
        Installed(StepGuard("strict", block), default=True, dry_run=True),
        Installed(StepGuard("broken", failing), default=True, dry_run=True),
    )
    session = gate.open(REQUEST)
    slot = Slot("x")
    await session.check_input([slot])
    assert slot.text == "x"
    stream = session.open_stream(Scope.ASSISTANT)
    assert await stream.feed("abc") + await stream.finish() == "abc"
    verdicts = {(v.guard, v.stage): v for v in session.verdicts}
    assert all(v.dry_run for v in verdicts.values())
    assert verdicts["strict", Stage.INPUT].action is Action.BLOCK
    assert verdicts["broken", Stage.OUTPUT].error is not None


async def test_a_filter_that_reads_context_is_told_it_before_its_text() -> None:
    told: list[str] = []

    class Reading(StepStream):
        def begin(self, context: str) -> None:
            told.append(context)

    class ReadingSession(StepSession):
        def open_stream(self, scope: Scope) -> StepStream:
            return Reading(self._step)

    class ReadingGuard(StepGuard):
        def open(self, request: GuardRequest) -> StepSession:
            return ReadingSession(self.name, self._step)

    session = runner(default(ReadingGuard("r", marking(""))), default(StepGuard("s", marking("")))).open(REQUEST)
    await session.open_stream(Scope.TOOL_CALL, "ssn: ").feed("ab")
    await session.open_stream(Scope.TOOL_CALL).feed("ab")
    assert told == ["ssn: "]


async def test_the_runner_keeps_all_that_a_guard_said() -> None:
    said = Verdict(guard="g", stage=Stage.INPUT, action=Action.FLAG, findings={"X": 1}, score=0.5)

    class SayingSession(StepSession):
        async def check_input(self, slots: Sequence[TextSlot]) -> Verdict:
            return said

    class SayingGuard(StepGuard):
        def open(self, request: GuardRequest) -> StepSession:
            return SayingSession(self.name, self._step)

    session = runner(default(SayingGuard("g", marking("")))).open(REQUEST)
    await session.check_input([Slot("x")])
    [told] = session.verdicts
    assert told == replace(said, duration=told.duration)
    assert {field.name for field in fields(Verdict)} == {
        "guard",
        "stage",
        "action",
        "findings",
        "duration",
        "error",
        "score",
        "dry_run",
    }  # each of them is copied by hand: `_Member._timed`
