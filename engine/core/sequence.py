"""One request on its way through the engine: its tokens, how far they are computed, and its blocks."""

from __future__ import annotations

from enum import Enum

from engine.core.prefix import KeyChain
from engine.errors import EngineError
from engine.types import FinishReason, Request


class SequenceState(Enum):
    WAITING = "waiting"  # accepted, never run
    RUNNING = "running"  # holds blocks, may be scheduled
    PREEMPTED = "preempted"  # lost its blocks to an older sequence; will be recomputed
    FINISHED = "finished"


_NEXT: dict[SequenceState, frozenset[SequenceState]] = {
    SequenceState.WAITING: frozenset({SequenceState.RUNNING, SequenceState.FINISHED}),
    SequenceState.RUNNING: frozenset({SequenceState.PREEMPTED, SequenceState.FINISHED}),
    SequenceState.PREEMPTED: frozenset({SequenceState.RUNNING, SequenceState.FINISHED}),
    SequenceState.FINISHED: frozenset(),
}


class IllegalTransition(EngineError):
    """A sequence was asked to skip a state or to come back from the end: a bug in the engine."""


class Sequence:
    """Tokens of prompt and completion with the state of their computation.

    `num_computed` counts the tokens whose K and V are in the cache; `num_prompt_tokens` never changes, so the
    border between prompt and completion survives preemption.
    """

    __slots__ = (
        "block_table",
        "busy",
        "cached_tokens",
        "finish",
        "id",
        "keys",
        "num_computed",
        "num_prompt_tokens",
        "num_registered",
        "params",
        "salt",
        "state",
        "tokens",
    )

    def __init__(self, request: Request, *, block_size: int, kv_dtype: str) -> None:
        self.id = request.id
        self.params = request.params
        self.salt = request.salt
        self.tokens: list[int] = list(request.prompt)
        self.num_prompt_tokens = len(self.tokens)
        self.num_computed = 0
        self.num_registered = 0  # leading blocks of the table whose contents the pool was told
        self.block_table: list[int] = []
        self.keys = KeyChain(self.tokens, block_size, salt=request.salt, kv_dtype=kv_dtype)
        self.cached_tokens: int | None = None  # prompt tokens found in the cache when it first ran
        self.busy = 0.0  # its share of the engine's busy time, seconds
        self.state = SequenceState.WAITING
        self.finish: FinishReason | None = None

    @property
    def num_tokens(self) -> int:
        return len(self.tokens)

    @property
    def num_outputs(self) -> int:
        """Tokens generated so far; also the output index of the next one."""
        return len(self.tokens) - self.num_prompt_tokens

    @property
    def remaining(self) -> int:
        """Tokens not yet computed: 1 for a sequence that only decodes."""
        return len(self.tokens) - self.num_computed

    def next_chunk(self, chunk: int) -> int:
        """Tokens of the next piece: up to the next multiple of `chunk` or to the sequence's end."""
        edge = (self.num_computed // chunk + 1) * chunk
        return min(edge, len(self.tokens)) - self.num_computed

    def move_to(self, state: SequenceState) -> None:
        """Raises IllegalTransition."""
        if state not in _NEXT[self.state]:
            raise IllegalTransition(f"sequence {self.id} cannot go from {self.state.value} to {state.value}")
        self.state = state
