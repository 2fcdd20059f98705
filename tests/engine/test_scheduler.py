"""Who runs in the next step: budget, chunks, fairness, preemption. No runner, no clock."""

from __future__ import annotations

import pytest
from fake_runner import fake_config, fake_request

from engine.config import EngineConfig
from engine.core.block_pool import BlockPool
from engine.core.scheduler import Piece, Scheduler
from engine.core.sequence import IllegalTransition, Sequence, SequenceState

BLOCK = 4


class Bench:
    """A scheduler whose batches are computed by decree."""

    def __init__(self, blocks: int = 101, **config: object) -> None:
        self.config: EngineConfig = fake_config(**config)
        self.pool = BlockPool(blocks, BLOCK)
        self.scheduler = Scheduler(self.config, self.pool)
        self.sequences: dict[str, Sequence] = {}

    def add(self, name: str, length: int, *, first: int = 0, salt: str = "") -> Sequence:
        """A prompt of `length` tokens; `first` sets apart prompts that must not share blocks."""
        prompt = [first + position for position in range(length)]
        sequence = Sequence(fake_request(name, prompt, 100, salt), block_size=BLOCK, kv_dtype="f32")
        self.scheduler.add(sequence)
        self.sequences[name] = sequence
        return sequence

    def step(self) -> dict[str, int]:
        """Schedule, pretend to compute, append a token where a sequence is complete."""
        pieces = self.scheduler.schedule()
        self.compute(pieces)
        return {piece.sequence.id: piece.num_tokens for piece in pieces}

    def compute(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            sequence = piece.sequence
            covered = len(sequence.block_table) * BLOCK
            assert sequence.num_computed + piece.num_tokens <= covered
            self.scheduler.record(sequence, piece.num_tokens)
            if not sequence.remaining:
                sequence.tokens.append(500 + sequence.num_outputs)
        self.scheduler.check_integrity()


def test_prompt_chunks_end_at_multiples_of_the_chunk() -> None:
    bench = Bench()
    bench.add("a", 21)
    assert [bench.step() for _ in range(4)] == [{"a": 8}, {"a": 8}, {"a": 5}, {"a": 1}]


def test_a_chunk_that_does_not_fit_the_budget_whole_waits() -> None:
    bench = Bench()
    for name in "abc":
        bench.add(name, 7, first=100 * ord(name))
    assert bench.step() == {"a": 7, "b": 7}  # 2 of 16 left, 7 needed
    assert bench.step() == {"a": 1, "b": 1, "c": 7}


def test_a_sequence_is_cut_the_same_alone_and_in_a_crowd() -> None:
    def cuts(crowd: int) -> list[int]:
        bench = Bench()
        for number in range(crowd):
            bench.add(f"other{number}", 11 + 3 * number, first=100 + 50 * number)
        bench.add("a", 30)
        steps = [bench.step() for _ in range(30)]
        return [step["a"] for step in steps if "a" in step][:8]

    assert cuts(0) == cuts(1) == cuts(3) == [8, 8, 8, 6, 1, 1, 1, 1]


def test_a_prefix_hit_starts_at_a_block_edge_and_ends_at_the_next_chunk_edge() -> None:
    bench = Bench()
    bench.add("a", 13)
    bench.step(), bench.step()
    bench.add("b", 21)
    assert bench.step() == {"a": 1, "b": 4}  # 12 hit, chunk edge at 16
    assert bench.step() == {"a": 1, "b": 5}


def test_every_decode_runs_every_step_while_prompts_stream_in() -> None:
    bench = Bench(blocks=1001, max_sequences=6, token_budget=16, prefill_chunk=8)
    decoding = [bench.add(f"d{number}", 3, first=10 * number) for number in range(2)]
    bench.step()
    waits = []
    for number in range(40):
        bench.add(f"p{number}", 40, first=600 + number)
        scheduled = bench.step()
        waits += [sequence.id for sequence in bench.scheduler.running if _is_late(sequence, scheduled, decoding)]
        for sequence in list(bench.scheduler.running):
            if sequence.num_outputs >= 2 and sequence not in decoding:
                bench.scheduler.release(sequence)
    assert waits == []
    assert all(sequence.num_outputs == 41 for sequence in decoding)


def _is_late(sequence: Sequence, scheduled: dict[str, int], decoding: list[Sequence]) -> bool:
    return (sequence in decoding or sequence.num_outputs > 1) and sequence.id not in scheduled


def test_a_young_decode_behind_two_long_prompts_is_not_held_up() -> None:
    bench = Bench(max_sequences=4, token_budget=16, prefill_chunk=8)
    bench.add("warm", 5, first=100)
    bench.step()
    bench.scheduler.release(bench.sequences["warm"])
    bench.add("long1", 60, first=0)
    bench.add("long2", 60, first=100)  # a block of it is cached, so that its first chunk leaves room for `short`
    bench.add("short", 3, first=300)
    assert bench.step() == {"long1": 8, "long2": 4, "short": 3}
    steps = [bench.step() for _ in range(6)]  # from now on two chunks would fill the budget
    assert [step["short"] for step in steps] == [1] * 6
    assert all("long1" in step for step in steps)


def test_no_more_than_max_sequences_run() -> None:
    bench = Bench(max_sequences=3)
    for number in range(5):
        bench.add(f"s{number}", 2, first=10 * number)
    assert len(bench.step()) == 3
    assert (len(bench.scheduler.running), bench.scheduler.num_waiting) == (3, 2)


def test_tenants_take_turns_and_are_served_in_order_within_themselves() -> None:
    bench = Bench(max_sequences=1, blocks=1001)
    for number in range(4):
        bench.add(f"flood{number}", 2, salt="flood")
    bench.add("small0", 2, salt="small")
    bench.add("small1", 2, salt="small")
    order = []
    while bench.scheduler.num_waiting:
        (name,) = bench.step()
        order.append(name)
        bench.scheduler.release(bench.sequences[name])
    assert order == ["flood0", "small0", "flood1", "small1", "flood2", "flood3"]


def test_admission_beside_running_sequences_leaves_the_watermark() -> None:
    bench = Bench(blocks=5)
    bench.add("a", 8, first=0)
    bench.step()
    bench.add("b", 8, first=100)  # would take the last two blocks
    assert bench.step() == {"a": 1}
    bench.scheduler.release(bench.sequences["a"])
    assert bench.step() == {"b": 8}


def test_a_sequence_alone_may_use_the_whole_pool() -> None:
    bench = Bench(blocks=5)
    bench.add("a", 16)
    assert bench.step() == {"a": 8}
    assert bench.pool.available == 0


def test_the_newest_is_preempted_first_and_nobody_is_admitted_in_that_step() -> None:
    bench = Bench(blocks=8)
    bench.add("a", 8, first=0)
    bench.add("b", 8, first=100)
    bench.step()
    bench.step()  # both take their third block: 6 of 7 used
    bench.add("c", 2, first=200)
    while bench.sequences["a"].num_computed < 12:
        assert set(bench.step()) == {"a", "b"}
    assert bench.step() == {"a": 1}  # a took the last block, b had to go, c was not let in
    assert bench.sequences["b"].state is SequenceState.PREEMPTED
    assert bench.scheduler.preemptions == 1
    bench.scheduler.release(bench.sequences["a"])
    assert list(bench.step()) == ["b", "c"]  # the preempted one goes before the one that never ran


def test_preempted_sequences_come_back_oldest_first() -> None:
    bench = Bench()
    a, b, c = (bench.add(name, 3, first=100 * ord(name)) for name in "abc")
    bench.step()
    bench.scheduler._preempt(c)
    bench.scheduler._preempt(b)
    bench.add("d", 3, first=5)
    assert list(bench.step()) == ["a", "b", "c", "d"]
    assert bench.scheduler.running[:3] == [a, b, c]


def test_a_preempted_sequence_finds_its_own_blocks_again() -> None:
    bench = Bench(blocks=101)
    sequence = bench.add("a", 16)
    bench.step(), bench.step(), bench.step()
    bench.scheduler._preempt(sequence)
    assert (sequence.num_computed, sequence.block_table) == (0, [])
    assert bench.step() == {"a": 2}  # 16 of 18 tokens were still cached
    assert sequence.num_prompt_tokens == 16
    assert sequence.cached_tokens == 0


def test_prefix_sharing_takes_exactly_the_blocks_of_the_formula() -> None:
    def used(n: int, prefix: int, suffix: int) -> int:
        bench = Bench(blocks=1001, max_sequences=8, token_budget=2000, prefill_chunk=80)
        for number in range(n):
            sequence = Sequence(
                fake_request(str(number), [*range(prefix), *(200 + 50 * number + i for i in range(suffix))], 100),
                block_size=BLOCK,
                kv_dtype="f32",
            )
            bench.scheduler.add(sequence)
            pieces = bench.scheduler.schedule()
            for piece in pieces:  # computed, but nothing generated: the formula counts prompts
                if piece.sequence is sequence:
                    bench.scheduler.record(sequence, piece.num_tokens)
        bench.scheduler.check_integrity()
        return bench.pool.used

    def formula(n: int, prefix: int, suffix: int) -> int:
        whole = prefix // BLOCK
        return whole + n * (-(-(prefix + suffix) // BLOCK) - whole)

    for n in (1, 2, 5):
        for prefix in (3, 4, 5, 16, 39):
            for suffix in (1, 3, 4, 9):
                assert used(n, prefix, suffix) == formula(n, prefix, suffix), (n, prefix, suffix)


@pytest.mark.parametrize("length", [3, 4, 5, 8])
def test_at_most_all_tokens_but_the_last_hit(length: int) -> None:
    bench = Bench()
    bench.add("a", length)
    bench.step()
    second = bench.add("b", length)
    scheduled = bench.step()
    assert scheduled["b"] == length - (length - 1) // BLOCK * BLOCK
    assert second.cached_tokens == (length - 1) // BLOCK * BLOCK


def test_a_block_is_not_shared_before_the_step_that_fills_it_is_over() -> None:
    bench = Bench()
    first = bench.add("a", 8)
    second = bench.add("b", 8)
    assert bench.step() == {"a": 8, "b": 8}
    assert not set(first.block_table) & set(second.block_table)


def test_prefix_caching_can_be_off() -> None:
    bench = Bench(prefix_caching=False)
    bench.add("a", 8)
    bench.step()
    bench.scheduler.release(bench.sequences["a"])
    bench.add("b", 8)
    assert bench.step() == {"b": 8}
    assert bench.pool.cached == 0


@pytest.mark.parametrize("state", list(SequenceState))
def test_release_frees_everything_in_every_state_and_twice(state: SequenceState) -> None:
    bench = Bench()
    sequence = bench.add("a", 20)
    if state is not SequenceState.WAITING:
        bench.step()
    if state is SequenceState.PREEMPTED:
        bench.scheduler._preempt(sequence)
    for _ in range(2):
        bench.scheduler.release(sequence)
        assert sequence.state is SequenceState.FINISHED
        assert (bench.pool.used, len(bench.scheduler.running), bench.scheduler.num_waiting) == (0, 0, 0)
    bench.scheduler.check_integrity()


def test_a_finished_sequence_cannot_come_back() -> None:
    sequence = Bench().add("a", 2)
    sequence.move_to(SequenceState.FINISHED)
    with pytest.raises(IllegalTransition):
        sequence.move_to(SequenceState.RUNNING)
