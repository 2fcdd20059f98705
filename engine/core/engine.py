"""The engine's step: schedule, compute, append, finish. Pure Python: tokens in, deltas out, no torch, no I/O.

The runner computes; the scheduler decides; this module keeps the table of requests and says what came of
them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from engine.config import EngineConfig
from engine.core.block_pool import BlockPool, IntegrityError
from engine.core.limits import check_request
from engine.core.runner import BatchRow, RowResult, Runner
from engine.core.scheduler import Piece, Scheduler
from engine.core.sequence import Sequence
from engine.errors import EngineError, InvalidRequest, QueueFull
from engine.types import Delta, EngineStats, FinishReason, Request

logger = logging.getLogger(__name__)

RETRY_AFTER_MIN = 1.0  # seconds
RETRY_AFTER_MAX = 60.0
FAILED = "the engine failed while computing this request"


class NoProgress(EngineError):
    """There is work but the scheduler found nothing to run: a bug; spinning would hide it."""


class TokenRate:
    """Tokens computed per busy second, over about the last `memory` steps."""

    def __init__(self, memory: int = 50) -> None:
        self._keep = 1 - 1 / memory
        self._tokens = 0.0
        self._seconds = 0.0

    def add(self, tokens: int, seconds: float) -> None:
        self._tokens = self._tokens * self._keep + tokens
        self._seconds = self._seconds * self._keep + seconds

    def seconds_for(self, tokens: float) -> float:
        """How long `tokens` take; 0 as long as nothing was measured."""
        return tokens * self._seconds / self._tokens if self._tokens else 0.0


class EngineCore:
    """Runs many requests at once, one step at a time. Not thread-safe.

    `context` is the number of tokens one request may have, prompt and completion together: the model's, or
    what the whole block pool holds if that is less.
    """

    def __init__(self, config: EngineConfig, runner: Runner, *, clock: Callable[[], float] = time.perf_counter) -> None:
        config.check()
        self._runner = runner
        self._clock = clock
        self._kv_dtype = config.kv_cache.dtype
        self._max_waiting = config.max_waiting
        self._eos = runner.eos_token_ids
        self._pool = BlockPool(runner.blocks, config.kv_cache.block_size)
        self._scheduler = Scheduler(config, self._pool)
        self._sequences: dict[str, Sequence] = {}
        self._rate = TokenRate()
        self._counters = EngineStats()
        self.context = min(runner.info.context, self._pool.total * self._pool.block_size)

    @property
    def has_work(self) -> bool:
        return bool(self._sequences)

    @property
    def stats(self) -> EngineStats:
        """A fresh snapshot. O(1)."""
        counters = self._counters
        return EngineStats(
            running=len(self._scheduler.running),
            waiting=self._scheduler.num_waiting,
            blocks_total=self._pool.total,
            blocks_free=self._pool.free,
            blocks_cached=self._pool.cached,
            blocks_used=self._pool.used,
            max_running_seen=counters.max_running_seen,
            steps=counters.steps,
            prompt_tokens=counters.prompt_tokens,
            generated_tokens=counters.generated_tokens,
            prefix_hit_tokens=counters.prefix_hit_tokens,
            preemptions=self._scheduler.preemptions,
            integrity_failures=counters.integrity_failures,
        )

    def submit(self, request: Request) -> None:
        """Queue a request; its deltas come out of later steps.

        Raises InvalidRequest (also for an id that is still in work), PromptTooLong, or QueueFull with the
        time in which, at the measured rate, the engine works off one request of the queue's mean size. A
        refused request leaves no trace.
        """
        check_request(request, context=self.context, vocab_size=self._runner.info.vocab_size)
        if request.id in self._sequences:
            raise InvalidRequest(f"a request with the id {request.id!r} is in work", param="id")
        if self._scheduler.queue_length >= self._max_waiting:
            raise QueueFull(self._retry_after())
        sequence = Sequence(request, block_size=self._pool.block_size, kv_dtype=self._kv_dtype)
        self._sequences[request.id] = sequence
        self._scheduler.add(sequence)

    def abort(self, request_id: str) -> Delta | None:
        """End a request in whatever state it is; the delta says what it used. None if it is not in work."""
        sequence = self._sequences.get(request_id)
        return None if sequence is None else self._finish(sequence, FinishReason.ABORT)

    def step(self) -> list[Delta]:
        """Compute one batch. Returns a delta for every sequence that got a token or ended.

        A row the runner could not compute ends its sequence alone; an exception from the runner ends every
        running one, and waiting ones go on. Raises NoProgress.
        """
        if not self._sequences:
            return []
        pieces = self._scheduler.schedule()
        if not pieces:
            raise NoProgress(f"{len(self._sequences)} sequences, none can be scheduled")
        started = self._clock()
        try:
            results = self._execute(pieces)
        except Exception:
            logger.exception("the runner failed on a batch of %d sequences", len(pieces))
            return [self._fail(sequence) for sequence in list(self._scheduler.running)]
        elapsed = self._clock() - started
        self._account(pieces, elapsed)
        deltas = (self._take(piece, result) for piece, result in zip(pieces, results, strict=True))
        return [delta for delta in deltas if delta is not None]

    def check_integrity(self) -> None:
        """Verify the block accounting; a failure is counted and raised as IntegrityError. O(pool)."""
        try:
            self._scheduler.check_integrity()
        except IntegrityError:
            self._counters.integrity_failures += 1
            raise

    def _execute(self, pieces: Iterable[Piece]) -> list[RowResult]:
        rows = [_row(piece) for piece in pieces]
        results = self._runner.execute(rows)
        if len(results) != len(rows):
            raise EngineError(f"the runner answered {len(results)} of {len(rows)} rows")
        return results

    def _account(self, pieces: list[Piece], elapsed: float) -> None:
        """Divide the step's time by the tokens each sequence had in it."""
        tokens = sum(piece.num_tokens for piece in pieces)
        for piece in pieces:
            piece.sequence.busy += elapsed * piece.num_tokens / tokens
        self._rate.add(tokens, elapsed)
        self._counters.steps += 1
        self._counters.max_running_seen = max(self._counters.max_running_seen, len(pieces))

    def _take(self, piece: Piece, result: RowResult) -> Delta | None:
        """Book one row's result."""
        sequence = piece.sequence
        samples = piece.num_tokens == sequence.remaining
        if result.error is not None:
            return self._fail(sequence, result.error)
        if samples and result.token is None:
            return self._fail(sequence)
        self._scheduler.record(sequence, piece.num_tokens)
        if not samples or result.token is None:
            return None
        return self._append(sequence, result.token)

    def _append(self, sequence: Sequence, token: int) -> Delta:
        if not sequence.num_outputs:
            self._counters.prompt_tokens += sequence.num_prompt_tokens
            self._counters.prefix_hit_tokens += sequence.cached_tokens or 0
        self._counters.generated_tokens += 1
        sequence.tokens.append(token)
        params = sequence.params
        if token in params.stop_token_ids or (token in self._eos and not params.ignore_eos):
            return self._finish(sequence, FinishReason.STOP)
        if sequence.num_outputs >= params.max_tokens:  # prompt + max_tokens fit the context: checked at submit
            return self._finish(sequence, FinishReason.LENGTH, tokens=[token])
        return _delta(sequence, [token])

    def _fail(self, sequence: Sequence, error: str = FAILED) -> Delta:
        return self._finish(sequence, FinishReason.ERROR, error=error)

    def _finish(
        self,
        sequence: Sequence,
        reason: FinishReason,
        *,
        tokens: list[int] | None = None,
        error: str | None = None,
    ) -> Delta:
        self._scheduler.release(sequence)
        del self._sequences[sequence.id]
        return _delta(sequence, tokens or [], finish=reason, error=error)

    def _retry_after(self) -> float:
        waiting = list(self._scheduler.waiting())
        tokens = sum(sequence.num_tokens + sequence.params.max_tokens for sequence in waiting)
        seconds = self._rate.seconds_for(tokens / len(waiting))
        return min(max(seconds, RETRY_AFTER_MIN), RETRY_AFTER_MAX)


def _row(piece: Piece) -> BatchRow:
    sequence = piece.sequence
    start, end = sequence.num_computed, sequence.num_computed + piece.num_tokens
    return BatchRow(
        sequence_id=sequence.id,
        tokens=sequence.tokens[start:end],
        start=start,
        block_table=sequence.block_table,
        sample=end == sequence.num_tokens,
        params=sequence.params,
        output_index=sequence.num_outputs,
    )


def _delta(
    sequence: Sequence, tokens: list[int], *, finish: FinishReason | None = None, error: str | None = None
) -> Delta:
    return Delta(
        id=sequence.id,
        tokens=tokens,
        finish=finish,
        completion_tokens=sequence.num_outputs,
        cached_tokens=sequence.cached_tokens or 0,
        compute_us=round(sequence.busy * 1e6),
        error=error,
    )
