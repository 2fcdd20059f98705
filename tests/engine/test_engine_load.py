"""The core under load and in trouble: full queues, aborts, faults, fair accounts, and everything at once."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from core_bench import BLOCK, Outcome, assert_empty, clocked_core, finished, new_core, prompt
from fake_runner import FakeRunner, continuation, fake_config, fake_request
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.block_pool import IntegrityError
from engine.core.engine import RETRY_AFTER_MAX, RETRY_AFTER_MIN, EngineCore, NoProgress
from engine.core.runner import BatchRow, RowResult
from engine.errors import PromptTooLong, QueueFull
from engine.types import FinishReason, Request

# A full queue


def test_a_full_queue_refuses_with_the_time_the_measured_rate_gives() -> None:
    core = clocked_core(0.1, max_waiting=2, max_sequences=1)
    finished(core, fake_request("warm", prompt(8), 8))
    for number in range(3):
        core.submit(fake_request(f"r{number}", prompt(10, 200 + 50 * number), 30))
        if number == 0:
            core.step()
    with pytest.raises(QueueFull) as caught:
        core.submit(fake_request("late", prompt(3), 3))
    assert caught.value.retry_after == pytest.approx(0.1 * 40)
    core.abort("r1")
    core.submit(fake_request("late", prompt(3), 3))


@pytest.mark.parametrize(("speed", "expected"), [(1e-6, RETRY_AFTER_MIN), (1e3, RETRY_AFTER_MAX)])
def test_retry_after_stays_within_reason(speed: float, expected: float) -> None:
    core = clocked_core(speed, max_waiting=1, max_sequences=1)
    finished(core, fake_request("warm", prompt(8), 8))
    core.submit(fake_request("a", prompt(3), 3))
    with pytest.raises(QueueFull) as caught:
        core.submit(fake_request("b", prompt(3), 3))
    assert caught.value.retry_after == expected


def test_a_queue_full_before_anything_was_measured_has_a_time_too() -> None:
    core = new_core(max_waiting=1)
    core.submit(fake_request("a", prompt(3), 3))
    with pytest.raises(QueueFull) as caught:
        core.submit(fake_request("b", prompt(3), 3))
    assert caught.value.retry_after == RETRY_AFTER_MIN


# Aborts


def test_abort_in_every_state_frees_everything_and_spares_the_others() -> None:
    for steps in range(40):
        core = new_core(8, context=28, max_sequences=3)
        requests = [fake_request(f"r{n}", prompt(6, 100 * n + 100), 12) for n in range(4)]
        for victim in requests:
            outcomes = {request.id: Outcome() for request in requests}
            for request in requests:
                core.submit(request)
            for _ in range(steps):
                for delta in core.step():
                    outcomes[delta.id].add(delta)
            delta = core.abort(victim.id)
            assert (delta is None) == (outcomes[victim.id].finish is not None)
            assert delta is None or delta.finish is FinishReason.ABORT
            assert core.abort(victim.id) is None
            core.check_integrity()
            while core.has_work:
                for delta in core.step():
                    outcomes[delta.id].add(delta)
            assert_empty(core)
            for request in requests:
                if request is not victim:
                    assert outcomes[request.id].tokens == continuation(request.prompt, 12)


def test_late_double_and_unknown_aborts_are_harmless() -> None:
    core = new_core()
    finished(core, fake_request("a", prompt(3), 2))
    assert core.abort("a") is None
    assert core.abort("never seen") is None
    assert_empty(core)


def test_an_abort_says_what_was_used_until_then() -> None:
    core = clocked_core(0.5)
    core.submit(fake_request("a", prompt(6), 10))
    core.step(), core.step()
    delta = core.abort("a")
    assert delta is not None
    assert (delta.completion_tokens, delta.compute_us, delta.tokens) == (2, 3_500_000, [])


# Faults


def test_a_row_that_fails_ends_alone() -> None:
    core = new_core()
    outcomes = finished(core, fake_request("bad", [5, 6, 7], 4), fake_request("good", prompt(6), 4))
    assert outcomes["bad"].finish is FinishReason.ERROR
    assert outcomes["bad"].last is not None and outcomes["bad"].last.error == "the logits are not numbers"
    assert outcomes["good"].tokens == continuation(prompt(6), 4)


def test_blocks_of_a_failed_row_are_never_found_again() -> None:
    core = new_core()
    bad = [5, *prompt(7)]
    for number in range(2):
        outcome = finished(core, fake_request(f"bad{number}", bad, 4))[f"bad{number}"]
        assert outcome.last is not None and outcome.last.cached_tokens == 0
    assert core.stats.blocks_cached == 0


def test_an_exception_ends_the_running_ones_and_the_next_are_served(caplog: pytest.LogCaptureFixture) -> None:
    def explode(rows: list[BatchRow]) -> None:
        if any(row.tokens[0] == 9 for row in rows):
            raise RuntimeError("boom")

    core = EngineCore(fake_config(max_sequences=2), FakeRunner(101, BLOCK, before_step=explode))
    requests = [
        fake_request("a", [9, 1, 2], 4),
        fake_request("b", prompt(6), 4),
        fake_request("c", prompt(5), 4),
    ]
    outcomes = finished(core, *requests)
    assert [outcomes[name].finish for name in "abc"] == [
        FinishReason.ERROR,
        FinishReason.ERROR,
        FinishReason.LENGTH,
    ]
    assert outcomes["c"].tokens == continuation(prompt(5), 4)
    assert outcomes["a"].last is not None and "boom" not in str(outcomes["a"].last.error)
    assert "boom" in caplog.text


def test_a_runner_that_loses_a_row_fails_the_batch() -> None:
    class Forgetful(FakeRunner):
        def execute(self, rows: list[BatchRow]) -> list[RowResult]:
            return super().execute(rows)[:-1]

    core = EngineCore(fake_config(), Forgetful(101, BLOCK))
    assert finished(core, fake_request("a", prompt(3), 2))["a"].finish is FinishReason.ERROR


def test_work_that_nobody_schedules_is_an_error_and_not_a_spin() -> None:
    core = new_core()
    core.submit(fake_request("a", prompt(3), 2))
    core._scheduler.release(core._sequences["a"])
    with pytest.raises(NoProgress):
        core.step()


def test_a_failed_self_check_is_counted() -> None:
    core = new_core()
    core._pool.allocate(1)
    with pytest.raises(IntegrityError):
        core.check_integrity()
    assert core.stats.integrity_failures == 1


# Accounts


def test_the_time_of_a_step_is_divided_by_tokens() -> None:
    core = clocked_core(0.25, prefix_caching=False)
    outcomes = finished(core, fake_request("a", prompt(9), 4), fake_request("b", prompt(6), 8))
    shares = {name: outcome.last.compute_us for name, outcome in outcomes.items() if outcome.last}
    assert shares == {"a": 250_000 * (9 + 3), "b": 250_000 * (6 + 7)}


def test_stats_count_prompts_once_even_when_they_are_computed_twice() -> None:
    core = new_core(8, context=28)
    finished(core, *(fake_request(f"r{n}", prompt(6, 100 * n + 100), 20) for n in range(4)))
    stats = core.stats
    assert stats.preemptions > 0
    assert (stats.prompt_tokens, stats.generated_tokens) == (4 * 6, 4 * 20)
    assert 2 <= stats.max_running_seen <= 4


def test_occupancy_under_a_backlog_exceeds_what_static_batching_can_reach() -> None:
    rng = random.Random(7)
    slots = 16
    lengths = [(rng.randint(100, 1024), rng.randint(100, 1024)) for _ in range(120)]
    config = fake_config(max_sequences=slots, token_budget=512, prefill_chunk=256, max_waiting=200)
    runner = CountingRunner(40_000, BLOCK)
    core = EngineCore(config, runner)
    for number, (input_tokens, output_tokens) in enumerate(lengths):
        core.submit(fake_request(str(number), [number] * input_tokens, output_tokens, ignore_eos=True))
    occupancy = []
    while core.stats.waiting:
        core.step()
        occupancy.append(runner.rows / slots)
    while core.has_work:
        core.step()
    assert_empty(core)
    assert sum(occupancy) / len(occupancy) > 0.8

    batches = [lengths[start : start + slots] for start in range(0, len(lengths) - slots, slots)]
    steps = sum(max(output for _, output in batch) for batch in batches)
    assert sum(output for batch in batches for _, output in batch) / (steps * slots) < 0.6


class CountingRunner(FakeRunner):
    """Answers at once; only the schedule is of interest."""

    rows = 0

    def execute(self, rows: list[BatchRow]) -> list[RowResult]:
        self.rows = len(rows)
        return [RowResult(20 if row.sample else None) for row in rows]


# Everything at once


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    blocks=st.integers(4, 24),
    sequences=st.integers(1, 6),
    caching=st.booleans(),
)
def test_any_interleaving_gives_the_right_tokens_and_ends_with_all_blocks_free(
    seed: int, blocks: int, sequences: int, caching: bool
) -> None:
    rng = random.Random(seed)
    core = new_core(blocks + 1, max_sequences=sequences, prefix_caching=caching, max_waiting=8)
    requests: dict[str, Request] = {}
    outcomes: dict[str, Outcome] = {}
    aborted: set[str] = set()
    for number in range(rng.randint(20, 60)):
        action = rng.random()
        if action < 0.35:
            length = rng.randint(1, core.context)
            request = fake_request(
                f"r{number}",
                prompt(length, rng.choice([100, 100, 300])),
                rng.randint(1, 12),
                rng.choice("xxy"),
            )
            try:
                core.submit(request)
            except (PromptTooLong, QueueFull):
                continue
            requests[request.id], outcomes[request.id] = request, Outcome()
        elif action < 0.5 and requests:
            name = rng.choice(list(requests))
            delta = core.abort(name)
            if delta is not None:
                aborted.add(name)
                outcomes[name].add(delta)
        else:
            for delta in core.step():
                outcomes[delta.id].add(delta)
        core.check_integrity()
    while core.has_work:
        for delta in core.step():
            outcomes[delta.id].add(delta)
        core.check_integrity()
    assert_empty(core)
    for name, request in requests.items():
        expected = continuation(request.prompt, request.params.max_tokens)
        outcome = outcomes[name]
        assert outcome.finish is (FinishReason.ABORT if name in aborted else FinishReason.LENGTH)
        assert outcome.tokens == (expected[: len(outcome.tokens)] if name in aborted else expected)


def test_a_stream_gets_a_token_in_every_step_while_prompts_arrive() -> None:
    runner = FakeRunner(1001, BLOCK)
    core = EngineCore(fake_config(), runner)
    core.submit(fake_request("stream", prompt(3), 60))
    for number in range(80):
        if core.stats.waiting < 4:
            core.submit(fake_request(f"p{number}", prompt(50, 10 * number), 1))
        core.step()
    seen = [number for number, step in enumerate(runner.steps) if any(row.id == "stream" for row in step)]
    assert len(seen) == 60
    assert all(later - earlier == 1 for earlier, later in pairwise(seen))
