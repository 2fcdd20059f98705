"""The engine's step against a runner that shows every cache fault: same tokens whatever happens around."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest
from core_bench import BLOCK, assert_empty, finished, new_core, prompt
from fake_runner import VOCAB, FakeRunner, continuation, fake_config, fake_request

from engine.core.engine import EngineCore
from engine.core.scheduler import Scheduler
from engine.core.sequence import Sequence
from engine.errors import InvalidRequest, PromptTooLong
from engine.types import FinishReason, Request

# Tokens


def test_tokens_are_those_of_an_undisturbed_computation() -> None:
    outcome = finished(new_core(), fake_request("a", prompt(21), 10))["a"]
    assert outcome.tokens == continuation(prompt(21), 10)
    assert outcome.finish is FinishReason.LENGTH
    assert outcome.last is not None and outcome.last.completion_tokens == 10


@pytest.mark.parametrize("length", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK])
def test_fully_cached_prompts_twice_in_one_batch(length: int) -> None:
    core = new_core()
    expected = continuation(prompt(length), 6)
    cold = finished(core, fake_request("a", prompt(length), 6), fake_request("b", prompt(length), 6))
    warm = finished(core, fake_request("c", prompt(length), 6), fake_request("d", prompt(length), 6))
    assert {tuple(outcome.tokens) for outcome in (cold | warm).values()} == {tuple(expected)}
    cached = (length - 1) // BLOCK * BLOCK
    assert [o.last.cached_tokens for o in (cold | warm).values() if o.last] == [0, 0, cached, cached]
    assert core.stats.prefix_hit_tokens == 2 * cached
    assert core.stats.prompt_tokens == 4 * length


def test_a_hit_on_generated_tokens_continues_a_conversation() -> None:
    core = new_core()
    first = finished(core, fake_request("a", prompt(8), 9))["a"]
    longer = [*prompt(8), *first.tokens, 7, 8, 9]
    second = finished(core, fake_request("b", longer, 5))["b"]
    assert second.tokens == continuation(longer, 5)
    assert second.last is not None and second.last.cached_tokens == 16


def test_salts_never_share_and_both_get_the_right_tokens() -> None:
    core = new_core()
    for number, salt in enumerate(["x", "y", "x"]):
        outcome = finished(core, fake_request(f"r{number}", prompt(12), 4, salt=salt))[f"r{number}"]
        assert outcome.tokens == continuation(prompt(12), 4)
        assert outcome.last is not None
        assert outcome.last.cached_tokens == (8 if number == 2 else 0)


@pytest.mark.parametrize("caching", [True, False])
def test_preemption_at_every_position_around_a_block_edge_changes_no_token(
    caching: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    victims: list[tuple[str, int]] = []
    preempt = Scheduler._preempt

    def watched(self: Scheduler, sequence: Sequence) -> None:
        victims.append((sequence.id, sequence.num_tokens))
        preempt(self, sequence)

    monkeypatch.setattr(Scheduler, "_preempt", watched)
    positions: set[int] = set()
    times: set[int] = set()
    for blocks, length, stagger in product((4, 6, 8, 10), range(1, 2 * BLOCK + 2), range(BLOCK)):
        core = new_core(blocks + 1, prefix_caching=caching)
        lengths = (length, length + stagger, length + 1, length)
        requests = [
            fake_request(str(n), prompt(count, 100 + 100 * n), min(core.context - count, 8 + 8 * n))
            for n, count in enumerate(lengths)
        ]
        victims.clear()
        for outcome, request in zip(finished(core, *requests).values(), requests, strict=True):
            assert outcome.tokens == continuation(request.prompt, request.params.max_tokens)
        positions |= {num_tokens for _, num_tokens in victims}
        times |= set(Counter(name for name, _ in victims).values())
    assert positions >= set(range(BLOCK + 1, 4 * BLOCK))
    assert times >= {1, 2, 3}


def test_tiny_pool_preempts_often_and_repeats_no_token() -> None:
    core = new_core(8, context=28)
    outcomes = finished(core, *(fake_request(f"r{n}", prompt(6, 100 * n + 100), 20) for n in range(4)))
    assert core.stats.preemptions >= 3
    for number in range(4):
        assert outcomes[f"r{number}"].tokens == continuation(prompt(6, 100 * number + 100), 20)


def test_output_index_counts_on_after_preemption() -> None:
    runner = FakeRunner(8, BLOCK, context=28)
    core = EngineCore(fake_config(), runner)
    finished(core, *(fake_request(f"r{n}", prompt(6, 100 * n + 100), 20, seed=n) for n in range(4)))
    assert core.stats.preemptions >= 3
    for number in range(4):
        rows = [row for step in runner.steps for row in step if row.id == f"r{number}" and row.sample]
        assert [row.output_index for row in rows] == list(range(20))


def test_pieces_do_not_depend_on_neighbours() -> None:
    def cuts(neighbours: int) -> list[tuple[int, int]]:
        runner = FakeRunner(1001, BLOCK)
        core = EngineCore(fake_config(max_sequences=8, token_budget=20), runner)
        others = [fake_request(f"n{n}", prompt(5 + 7 * n, 100 + 90 * n), 12) for n in range(neighbours)]
        finished(core, *others, fake_request("me", prompt(37, 20), 5))
        return [(row.start, row.count) for step in runner.steps for row in step if row.id == "me"]

    assert cuts(0) == cuts(3) == cuts(7)


# Ends


def test_end_of_sequence_is_counted_but_not_shown() -> None:
    tokens = continuation(prompt(5), 6)
    core = new_core(eos=(tokens[3],))
    outcome = finished(core, fake_request("a", prompt(5), 10))["a"]
    assert outcome.tokens == tokens[:3]
    assert outcome.finish is FinishReason.STOP
    assert outcome.last is not None and outcome.last.completion_tokens == 4
    ignoring = finished(core, fake_request("b", prompt(5), 6, ignore_eos=True))["b"]
    assert ignoring.tokens == tokens
    assert ignoring.finish is FinishReason.LENGTH


def test_a_stop_token_ends_like_end_of_sequence_even_when_that_is_ignored() -> None:
    tokens = continuation(prompt(5), 6)
    request = fake_request("a", prompt(5), 10, stop_token_ids=(tokens[2],), ignore_eos=True)
    outcome = finished(new_core(), request)["a"]
    assert (outcome.tokens, outcome.finish) == (tokens[:2], FinishReason.STOP)


def test_a_stop_token_as_the_last_allowed_token_is_a_stop() -> None:
    tokens = continuation(prompt(5), 3)
    outcome = finished(new_core(eos=(tokens[2],)), fake_request("a", prompt(5), 3))["a"]
    assert (outcome.tokens, outcome.finish) == (tokens[:2], FinishReason.STOP)


def test_a_prompt_may_fill_the_context_up_to_one_token() -> None:
    core = new_core(context=32)
    outcome = finished(core, fake_request("a", prompt(31), 1))["a"]
    assert outcome.tokens == continuation(prompt(31), 1)
    with pytest.raises(PromptTooLong) as caught:
        core.submit(fake_request("b", prompt(31), 2))
    assert (caught.value.prompt_tokens, caught.value.max_tokens, caught.value.context) == (31, 2, 32)
    assert "31" in str(caught.value) and "33" in str(caught.value) and "32" in str(caught.value)


def test_what_the_pool_cannot_hold_is_refused_and_what_it_just_holds_runs() -> None:
    core = new_core(blocks=6)
    assert core.context == 20
    with pytest.raises(PromptTooLong):
        core.submit(fake_request("a", prompt(15), 6))
    assert finished(core, fake_request("b", prompt(15), 5))["b"].tokens == continuation(prompt(15), 5)


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"prompt": []}, "messages"),
        ({"prompt": [1, VOCAB]}, "messages"),
        ({"prompt": [-1]}, "messages"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": float("nan")}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"seed": 2**64}, "seed"),
        ({"request_id": ""}, "id"),
    ],
)
def test_senseless_requests_are_refused_by_name_and_leave_nothing(changes: dict[str, object], param: str) -> None:
    core = new_core()
    arguments: dict[str, object] = {"request_id": "a", "prompt": [1], "max_tokens": 5} | changes
    temperature = arguments.pop("temperature", 0)
    request = fake_request(**arguments)  # type: ignore[arg-type]
    params = {f: getattr(request.params, f) for f in request.params.__struct_fields__}
    request = Request(
        id=request.id,
        prompt=request.prompt,
        params=type(request.params)(**params | {"temperature": temperature}),
    )
    with pytest.raises(InvalidRequest) as caught:
        core.submit(request)
    assert caught.value.param == param
    assert not core.has_work
    assert_empty(core)


def test_an_id_in_work_is_refused_and_free_again_afterwards() -> None:
    core = new_core()
    core.submit(fake_request("a", prompt(3), 2))
    with pytest.raises(InvalidRequest, match="in work"):
        core.submit(fake_request("a", prompt(4), 2))
    while core.has_work:
        core.step()
    core.submit(fake_request("a", prompt(4), 2))


def test_the_context_told_is_the_smaller_of_model_and_pool() -> None:
    assert new_core(blocks=6).context == 20
    assert new_core(blocks=101, context=64).context == 64
