"""A breaker opens on failures, lets one request through after its rest, and is kept alike on all replicas."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from routekit import Clock, ScriptedTarget, attempts, call, outcomes, piece, target

from gateway.admission.stores.base import StoreUnavailable
from gateway.errors import GateError, InvalidRequest, RateLimited, Unavailable
from gateway.routing.breaker import Breaker, BreakerRules, State
from gateway.routing.router import Model
from gateway.routing.sharing import BreakerSharing, Opening
from gateway.routing.state import MAX_REST, TargetOpen
from gateway.routing.valkey_breakers import ValkeyBreakers
from gateway.upstreams.base import Failure, UpstreamError

RULES = BreakerRules(failures=3, window=30, cooldown=10)


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        permit = breaker.begin()
        assert permit is not None
        breaker.failed(permit)


def succeed(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        permit = breaker.begin()
        assert permit is not None
        breaker.succeeded(permit)


def test_it_opens_after_so_many_failures_and_closes_after_one_good_request() -> None:
    clock = Clock()
    breaker = Breaker(RULES, clock)
    succeed(breaker, 100)  # what was good before does not help
    fail(breaker, 2)
    assert breaker.state is State.CLOSED
    fail(breaker)
    assert (breaker.state, breaker.begin(), breaker.opens_in) == (State.OPEN, None, 10)
    clock.now += 10
    probe = breaker.begin()
    assert probe is not None
    assert breaker.begin() is None, "half-open lets one through, not two"
    breaker.succeeded(probe)
    assert breaker.state is State.CLOSED


def test_a_failed_probe_opens_it_again_and_one_that_says_nothing_frees_the_place() -> None:
    clock = Clock()
    breaker = Breaker(RULES, clock)
    fail(breaker, 3)
    clock.now += 10
    probe = breaker.begin()
    assert probe is not None
    breaker.released(probe)
    fail(breaker)
    assert (breaker.state, breaker.opens_in) == (State.OPEN, 10)


def test_failures_out_of_the_window_do_not_count() -> None:
    clock = Clock()
    breaker = Breaker(RULES, clock)
    for _ in range(10):
        fail(breaker)
        clock.now += 15.1
    assert breaker.state is State.CLOSED


def test_a_few_failures_among_many_successes_do_not_open_it() -> None:
    breaker = Breaker(RULES, Clock())
    for _ in range(50):
        fail(breaker)
        succeed(breaker, 4)
    assert breaker.state is State.CLOSED
    fail(breaker, 3)
    assert breaker.state is State.OPEN


def test_what_began_before_a_change_does_not_count_after_it() -> None:
    clock = Clock()
    breaker = Breaker(RULES, clock)
    old = breaker.begin()
    assert old is not None
    fail(breaker, 3)
    breaker.succeeded(old)
    assert breaker.state is State.OPEN
    clock.now += 10
    succeed(breaker)
    fail(breaker, 2)
    breaker.failed(old)
    assert breaker.state is State.CLOSED
    stale = [breaker.begin() for _ in range(3)]
    breaker.open()
    breaker.close()
    for permit in stale:
        assert permit is not None
        breaker.failed(permit)
    assert breaker.state is State.CLOSED


class BreakerMachine(RuleBasedStateMachine):
    """A breaker against what is expected of it, whatever comes in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.permits: list[int] = []

    @initialize(failures=st.integers(1, 4), window=st.floats(1, 20), cooldown=st.floats(1, 20))
    def make(self, failures: int, window: float, cooldown: float) -> None:
        self.breaker = Breaker(BreakerRules(failures, window, cooldown), self.clock)
        self.failed_at: list[float] = []
        self.opened_at: float | None = None
        self.probe: int | None = None
        self.breaker.changed = self._changed

    def _changed(self) -> None:
        if self.breaker.state is State.CLOSED:
            assert self.opened_at is not None, "closing needs an open breaker"
            self.opened_at = None
        else:
            self.opened_at = self.clock.now
        self.failed_at, self.probe = [], None

    @rule(seconds=st.floats(0, 25))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def a_request_comes(self) -> None:
        state, permit = self.breaker.state, self.breaker.begin()
        if state is State.OPEN or (state is State.HALF_OPEN and self.probe is not None):
            assert permit is None
            return
        assert permit is not None
        self.permits.append(permit)
        if state is State.HALF_OPEN:
            self.probe = permit

    @precondition(lambda self: self.permits)
    @rule(data=st.data(), how=st.sampled_from(["failed", "succeeded", "released"]))
    def a_request_ends(self, data: st.DataObject, how: str) -> None:
        permit = self.permits.pop(data.draw(st.integers(0, len(self.permits) - 1)))
        before, probing = self.breaker.state, permit == self.probe
        if before is State.CLOSED and how == "failed":
            self.failed_at.append(self.clock.now)
        getattr(self.breaker, how)(permit)
        if probing:
            expected = {"failed": State.OPEN, "succeeded": State.CLOSED, "released": State.HALF_OPEN}[how]
            assert self.breaker.state is expected
            self.probe = None
        elif before is not State.CLOSED:
            assert self.breaker.state is before, "only the probe decides"
        elif self.breaker.state is State.OPEN:
            assert how == "failed"

    @invariant()
    def it_is_open_only_as_long_as_its_cooldown(self) -> None:
        rules = self.breaker.rules
        if self.opened_at is None:
            assert self.breaker.state is State.CLOSED
            assert self.breaker.opens_in == 0
        else:
            over = self.clock.now >= self.opened_at + rules.cooldown
            assert self.breaker.state is (State.HALF_OPEN if over else State.OPEN)
            assert 0 <= self.breaker.opens_in <= rules.cooldown + 1e-6


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


async def tried(upstream: ScriptedTarget, clock: Clock, model: Model) -> str:
    """How one request at the model's only target ended: "ok" or the error's code."""
    try:
        await attempts([model], clock).complete(call())
    except GateError as error:
        return f"{error.status} {error.code}"
    return "ok"


COUNTS = [
    (UpstreamError(Failure.ERROR, ""), True),
    (UpstreamError(Failure.TIMEOUT, ""), True),
    (UpstreamError(Failure.UNREACHABLE, ""), True),
    (UpstreamError(Failure.BROKEN, ""), True),
    (UpstreamError(Failure.BUSY, ""), False),
    (UpstreamError(Failure.BUSY, "", retry_after=1.0), False),
    (InvalidRequest("the caller's own fault"), False),
]


@pytest.mark.parametrize(("error", "opens"), COUNTS)
async def test_what_a_target_is_blamed_for(error: Exception, opens: bool) -> None:
    clock, upstream = Clock(), ScriptedTarget([error] * 3)
    model = Model("m", (target("t", upstream, clock, rules=RULES),))
    for _ in range(3):
        await tried(upstream, clock, model)
    assert model.targets[0].state.is_open is opens
    assert await tried(upstream, clock, model) == ("503 overloaded" if opens else "ok")
    assert upstream.calls == (3 if opens else 4)


async def test_a_caller_that_leaves_is_no_failure_and_frees_the_probe() -> None:
    clock, upstream = Clock(), ScriptedTarget([UpstreamError(Failure.ERROR, "")] * 3)
    model = Model("m", (target("t", upstream, clock, rules=RULES),))
    for _ in range(3):
        await tried(upstream, clock, model)
    clock.now += 10
    upstream.errors = [asyncio.CancelledError()]
    with pytest.raises(asyncio.CancelledError):
        await attempts([model], clock).complete(call())
    assert await tried(upstream, clock, model) == "ok"
    assert not model.targets[0].state.is_open
    assert model.targets[0].state.in_flight == 0


async def test_a_target_that_asks_for_a_long_rest_gets_it_and_the_caller_is_told() -> None:
    clock, upstream = Clock(), ScriptedTarget([UpstreamError(Failure.BUSY, "", retry_after=20.0)])
    model = Model("m", (target("t", upstream, clock, rules=RULES),))
    await tried(upstream, clock, model)
    with pytest.raises(RateLimited) as refused:
        await attempts([model], clock).complete(call())
    assert (refused.value.retry_after, upstream.calls) == (20, 1)
    clock.now += 20
    assert await tried(upstream, clock, model) == "ok"
    upstream.errors = [UpstreamError(Failure.BUSY, "", retry_after=86_400.0)]
    await tried(upstream, clock, model)
    assert model.targets[0].state.opens_in == MAX_REST, "a header must not switch a target off for a day"


async def test_an_open_target_is_skipped_and_without_another_the_caller_is_told_when() -> None:
    clock, broken, good = Clock(), ScriptedTarget([UpstreamError(Failure.ERROR, "")] * 9), ScriptedTarget()
    first = target("t0", broken, clock, rules=RULES, retries=5)
    model = Model("m", (first, target("t1", good, clock, rules=RULES)))
    made = attempts([model], clock)
    await made.complete(call())
    assert outcomes(made) == [("t0", "error")] * 3 + [("t1", "ok")], "retries end when the breaker opens"
    again = attempts([model], clock)
    await again.complete(call())
    assert outcomes(again) == [("t1", "ok")]
    alone = Model("m", (first,))
    with pytest.raises(Unavailable) as refused:
        await attempts([alone], clock).complete(call())
    assert (refused.value.status, refused.value.retry_after) == (503, 10)


async def test_a_stream_that_breaks_after_its_first_words_counts() -> None:
    clock = Clock()
    upstream = ScriptedTarget(chunks=[piece("word")], breaks=UpstreamError(Failure.BROKEN, ""))
    model = Model("m", (target("t", upstream, clock, rules=RULES),))
    for _ in range(3):
        opened = await attempts([model], clock).open_stream(call(stream=True))
        with pytest.raises(UpstreamError):
            [chunk async for chunk in opened.rest]
    assert model.targets[0].state.is_open
    assert model.targets[0].state.in_flight == 0


async def test_time_that_others_used_up_is_no_fault_of_the_last_target() -> None:
    clock = Clock()

    async def slow() -> None:
        clock.now += 11
        raise UpstreamError(Failure.ERROR, "")

    async def late() -> None:
        clock.now += 11
        raise TimeoutError

    one = BreakerRules(failures=1)
    first = target("t0", ScriptedTarget(wait=slow), clock, rules=one, total=20)
    second = target("t1", ScriptedTarget(wait=late), clock, rules=one, total=20)
    with pytest.raises(GateError):
        await attempts([Model("m", (first, second))], clock).complete(call())
    assert (first.state.is_open, second.state.is_open) == (True, False)


class Shared:
    """What a server holds for all replicas, without the server."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ends: dict[str, tuple[str, float]] = {}
        self.away = False

    async def exchange(self, changes: Mapping[str, Opening | None]) -> dict[str, Opening]:
        if self.away:
            raise StoreUnavailable("away")
        for name, opening in changes.items():
            if opening is None:
                self._ends.pop(name, None)
            else:
                self._ends[name] = (opening.id, self._clock.now + opening.seconds)
        return {name: Opening(id, max(0, ends - self._clock.now)) for name, (id, ends) in self._ends.items()}

    def close(self) -> None: ...


async def test_replicas_open_and_close_together() -> None:
    clock = Clock()
    store = Shared(clock)
    here, there = Breaker(RULES, clock), Breaker(RULES, clock)
    mine, other = BreakerSharing({"t": here}, store), BreakerSharing({"t": there}, store)
    fail(here, 3)
    store.away = True
    with pytest.raises(StoreUnavailable):
        await mine.exchange()
    store.away = False
    await mine.exchange()
    clock.now += 4
    await other.exchange()
    assert (there.state, there.opens_in) == (State.OPEN, 6), "what could not be told is told later"
    clock.now += 6
    await other.exchange()
    succeed(there)
    await other.exchange()
    assert here.state is State.HALF_OPEN
    await mine.exchange()
    assert here.state is State.CLOSED
    await mine.exchange()
    await other.exchange()
    assert there.state is State.CLOSED, "an old opening does not come back"


async def test_a_server_carries_openings_between_replicas(valkey_url: str) -> None:
    prefix = uuid4().hex
    here, there = (ValkeyBreakers(valkey_url, prefix=prefix, timeout=5) for _ in range(2))
    try:
        assert await here.exchange({}) == {}
        opening = Opening("a" * 32, 60.0)
        assert set(await here.exchange({"t/1": opening, "t 2": Opening("b", 0.0)})) == {"t/1", "t 2"}
        seen = await there.exchange({})
        assert seen["t/1"].id == opening.id
        assert 50 < seen["t/1"].seconds <= 60
        assert seen["t 2"].seconds == 0
        await there.exchange({"t/1": None, "t 2": None})
        assert await here.exchange({}) == {}
    finally:
        here.close()
        there.close()


async def test_sharing_runs_by_itself_and_wakes_for_a_change(valkey_url: str) -> None:
    prefix = uuid4().hex
    here, there = Breaker(RULES), Breaker(RULES)
    sharings = [BreakerSharing({"t": b}, ValkeyBreakers(valkey_url, prefix=prefix, timeout=5)) for b in (here, there)]
    for sharing in sharings:
        await sharing.start()
    try:
        fail(here, 3)
        async with asyncio.timeout(10):
            while there.state is not State.OPEN:
                await asyncio.sleep(0.01)
    finally:
        for sharing in sharings:
            await sharing.close()


def test_a_permit_is_needed_to_begin() -> None:
    clock = Clock()
    state = target("t", ScriptedTarget(), clock, rules=BreakerRules(failures=1)).state
    state.failed(state.begin(), UpstreamError(Failure.ERROR, ""), 1.0, stream=False)
    with pytest.raises(TargetOpen):
        state.begin()
    assert state.in_flight == 1
