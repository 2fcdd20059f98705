"""Which tokens of which sequences the next step computes. Policy only: no torch, no clock, no sampling.

There is no prefill phase and no decode phase. Every sequence has tokens and a number of computed ones; each
step deals out one token budget over the difference. Chunked prefill, prefix hits and recomputation after
preemption are all the same case.

Contract on how a sequence is cut: a piece ends at a multiple of `prefill_chunk` (an absolute position) or
at the sequence's end, and is scheduled whole or not at all. So the pieces of a sequence do not depend on
its neighbours. They do depend on where it starts: a prefix hit (whole blocks, not whole chunks, else most
reuse would be lost) or a recomputation after preemption begins elsewhere, and then results agree only as
far as the runner's arithmetic does not depend on how many rows are computed together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from engine.config import EngineConfig
from engine.core.block_pool import BlockPool
from engine.core.sequence import Sequence, SequenceState
from engine.core.waiting import WaitingQueue

WATERMARK = 0.01  # share of the pool that stays available when a sequence joins a running batch


@dataclass(frozen=True, slots=True)
class Piece:
    """The next `num_tokens` uncomputed tokens of a sequence; its block table covers them."""

    sequence: Sequence
    num_tokens: int


class Scheduler:
    """Holds every unfinished sequence in one of three places and moves it between them.

    `running` and the preempted ones together keep the order of first admission: nobody new joins while a
    preempted sequence waits, and the newest is always the one preempted.
    """

    def __init__(self, config: EngineConfig, pool: BlockPool) -> None:
        self.pool = pool
        self.running: list[Sequence] = []
        self.preemptions = 0
        self._preempted: deque[Sequence] = deque()
        self._waiting = WaitingQueue()
        self._max_sequences = config.max_sequences
        self._token_budget = config.token_budget
        self._chunk = config.prefill_chunk
        self._prefix_caching = config.prefix_caching
        self._watermark = max(1, round(pool.total * WATERMARK))

    @property
    def num_waiting(self) -> int:
        """Sequences without blocks: those that never ran and those preempted."""
        return len(self._waiting) + len(self._preempted)

    @property
    def queue_length(self) -> int:
        """Sequences that never ran; what `max_waiting` bounds."""
        return len(self._waiting)

    def waiting(self) -> Iterator[Sequence]:
        """Sequences that never ran, each tenant's in order."""
        return iter(self._waiting)

    def add(self, sequence: Sequence) -> None:
        """Queue a new sequence, which the pool must be able to hold alone."""
        self._waiting.push(sequence)

    def schedule(self) -> list[Piece]:
        """Deal out one step's budget. Running sequences first, then waiting ones.

        A token is kept back for every running sequence that only decodes, so that no prompt, however long,
        delays a stream by a step. Nobody is admitted in a step that had to preempt.
        """
        pieces: list[Piece] = []
        preemptions = self.preemptions
        budget = self._schedule_running(pieces)
        if self.preemptions == preemptions:
            self._admit(pieces, budget)
        return pieces

    def record(self, sequence: Sequence, num_tokens: int) -> None:
        """The runner has computed the sequence's next tokens: blocks now full become findable."""
        sequence.num_computed += num_tokens
        if not self._prefix_caching:
            return
        full = sequence.num_computed // self.pool.block_size
        for index in range(sequence.num_registered, full):
            self.pool.register(sequence.block_table[index], sequence.keys.key(index))
        sequence.num_registered = full

    def release(self, sequence: Sequence) -> None:
        """End a sequence in whatever state it is and free all it holds. The only way out; harmless twice."""
        if sequence.state is SequenceState.FINISHED:
            return
        if sequence.state is SequenceState.RUNNING:
            self.running.remove(sequence)
        elif sequence.state is SequenceState.PREEMPTED:
            self._preempted.remove(sequence)
        else:
            self._waiting.remove(sequence)
        self._give_up_blocks(sequence)
        sequence.move_to(SequenceState.FINISHED)

    def check_integrity(self) -> None:
        """Raises IntegrityError. O(pool)."""
        self.pool.check_integrity(sequence.block_table for sequence in self.running)

    def _schedule_running(self, pieces: list[Piece]) -> int:
        """Give running sequences their next piece; return the budget that is left."""
        budget = self._token_budget
        kept_back = sum(1 for sequence in self.running if sequence.remaining == 1)
        index = 0
        while index < len(self.running):
            sequence = self.running[index]
            num_tokens = sequence.next_chunk(self._chunk)
            if sequence.remaining == 1:
                kept_back -= 1
            if num_tokens > budget - kept_back:
                index += 1
                continue
            if not self._make_room(sequence, num_tokens):
                break  # it was the newest and has preempted itself
            pieces.append(Piece(sequence, num_tokens))
            budget -= num_tokens
            index += 1
        return budget

    def _make_room(self, sequence: Sequence, num_tokens: int) -> bool:
        """Extend the block table over the next tokens, preempting from the newest end.

        False if the sequence itself had to go. Victims come later in `running`, so none was scheduled yet.
        """
        missing = self.pool.blocks_for(sequence.num_computed + num_tokens) - len(sequence.block_table)
        while not self.pool.fits(missing):
            victim = self.running[-1]
            self._preempt(victim)
            if victim is sequence:
                return False
        sequence.block_table += self.pool.allocate(missing)
        return True

    def _admit(self, pieces: list[Piece], budget: int) -> None:
        while len(self.running) < self._max_sequences:
            sequence = self._preempted[0] if self._preempted else self._waiting.peek()
            if sequence is None or not self._start(sequence, budget):
                return
            num_tokens = sequence.next_chunk(self._chunk)
            pieces.append(Piece(sequence, num_tokens))
            budget -= num_tokens

    def _start(self, sequence: Sequence, budget: int) -> bool:
        """Give a waiting sequence blocks for all its tokens and let it run, if budget and pool allow.

        Blocks are taken for the whole prompt at once: one that starts can finish its prompt, so chunks of
        several long prompts never starve each other. Cached blocks cover at most all tokens but the last,
        which must be computed for its logits.
        """
        shared: list[int] = []
        if self._prefix_caching:
            shared = self.pool.lookup(sequence.keys.keys((sequence.num_tokens - 1) // self.pool.block_size))
        missing = self.pool.blocks_for(sequence.num_tokens) - len(shared)
        spare = self._watermark if self.running else 0
        sequence.num_computed = len(shared) * self.pool.block_size
        if sequence.next_chunk(self._chunk) > budget or not self.pool.fits(missing, sharing=shared, spare=spare):
            sequence.num_computed = 0
            return False
        self.pool.share(shared)
        sequence.block_table = shared + self.pool.allocate(missing)
        sequence.num_registered = len(shared)
        if sequence.state is SequenceState.PREEMPTED:
            self._preempted.popleft()
        else:
            self._waiting.pop()
            sequence.cached_tokens = sequence.num_computed
        sequence.move_to(SequenceState.RUNNING)
        self.running.append(sequence)
        return True

    def _preempt(self, sequence: Sequence) -> None:
        """Take a sequence's blocks; it stands first in line and computes again what is not cached by then."""
        self.running.remove(sequence)
        self._give_up_blocks(sequence)
        sequence.move_to(SequenceState.PREEMPTED)
        self._preempted.appendleft(sequence)
        self.preemptions += 1

    def _give_up_blocks(self, sequence: Sequence) -> None:
        self.pool.release(sequence.block_table)
        sequence.block_table = []
        sequence.num_computed = 0
        sequence.num_registered = 0
