"""The border between the scheduler (pure Python) and the model (torch).

The core builds a `Batch` of plain integers; a `Runner` turns it into one sampled token per sequence that
asked for one. Tests of the core use a fake runner and need no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from engine.types import ModelInfo, SamplingParams


@dataclass(frozen=True, slots=True)
class BatchRow:
    """The part of one sequence that this step computes.

    `tokens` are the ids at positions `start .. start + len(tokens)`; `block_table` covers at least that far
    (block ids; a slot is `block_table[p // block_size] * block_size + p % block_size`). `sample` is true
    when the row's last token is the sequence's newest, so that its logits choose the next; `output_index`
    is the index of that next token in the completion (0 for the first), the counter of seeded noise.
    """

    sequence_id: str
    tokens: list[int]
    start: int
    block_table: list[int]
    sample: bool
    params: SamplingParams
    output_index: int


@dataclass(frozen=True, slots=True)
class RowResult:
    """The chosen token (None when the row did not sample), or why this row alone failed."""

    token: int | None
    error: str | None = None


class Runner(Protocol):
    """Computes batches. One instance per process; not thread-safe."""

    @property
    def info(self) -> ModelInfo: ...

    @property
    def blocks(self) -> int:
        """Blocks the cache has, the null block 0 included."""
        ...

    @property
    def eos_token_ids(self) -> frozenset[int]: ...

    def execute(self, rows: list[BatchRow]) -> list[RowResult]:
        """Write K and V of every row's tokens, and sample where asked. Results are in the rows' order."""
        ...
