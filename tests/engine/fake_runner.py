"""A runner without a model, for tests of the core, the process and the client.

It keeps a fake KV store keyed by slot and computes the next token from what it reads there through the block
table, so that a wrong table, an evicted block or a block shared before it was written changes the answer.
`continuation` says what the answer must be.

Run as a program it is an engine process that serves a FakeRunner: `python fake_runner.py FD`.
"""

from __future__ import annotations

import os
import sys
import time
import zlib
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from engine.config import EngineConfig, KVCacheConfig
from engine.core.runner import BatchRow, RowResult
from engine.types import ModelInfo, Request, SamplingParams

VOCAB = 1000
FIRST_TEXT_TOKEN = 16  # generated tokens are at or above it; those below are for prompts
CONTEXT = 4096

# Prompts of the engine process below that begin with one of these do something else than run.
CRASH, HANG, NONSENSE, RAISE, ROW_ERROR = 1, 2, 3, 4, 5


def next_token(tokens: Iterable[int]) -> int:
    pairs = [number for pair in enumerate(tokens) for number in pair]
    return _hash(pairs)


def _hash(pairs: list[int]) -> int:
    return FIRST_TEXT_TOKEN + zlib.crc32(array("q", pairs).tobytes()) % (VOCAB - FIRST_TEXT_TOKEN)


def continuation(prompt: list[int], length: int) -> list[int]:
    """What an undisturbed engine generates."""
    tokens = list(prompt)
    for _ in range(length):
        tokens.append(next_token(tokens))
    return tokens[len(prompt) :]


def model_info(*, blocks: int, block_size: int, context: int = CONTEXT) -> ModelInfo:
    return ModelInfo(
        name="fake",
        architecture="fake",
        parameters=0,
        context=context,
        vocab_size=VOCAB,
        weights="f32",
        weight_bytes=0,
        kv_bytes_per_token=0,
        blocks=blocks,
        block_size=block_size,
    )


@dataclass(frozen=True)
class Row:
    """What a step computed for one sequence."""

    id: str
    start: int
    count: int
    sample: bool
    output_index: int


class FakeRunner:
    def __init__(
        self,
        blocks: int,
        block_size: int = 4,
        *,
        context: int = CONTEXT,
        eos: Iterable[int] = (),
        before_step: Callable[[list[BatchRow]], None] = lambda rows: None,
    ) -> None:
        self.info = model_info(blocks=blocks, block_size=block_size, context=context)
        self.blocks = blocks
        self.eos_token_ids = frozenset(eos)
        self.steps: list[list[Row]] = []
        self._before_step = before_step
        self._block_size = block_size
        self._kv: dict[int, tuple[int, int]] = {}  # slot -> position, token

    def execute(self, rows: list[BatchRow]) -> list[RowResult]:
        self._before_step(rows)
        self.steps.append(
            [Row(row.sequence_id, row.start, len(row.tokens), row.sample, row.output_index) for row in rows]
        )
        # All rows read before any writes: what a neighbour computes in this step is not there yet.
        results = [self._result(row) for row in rows]
        for row in rows:
            for offset, token in enumerate(row.tokens):
                self._kv[self._slot(row, row.start + offset)] = (row.start + offset, token)
        return results

    def _result(self, row: BatchRow) -> RowResult:
        if row.tokens[0] == ROW_ERROR:
            return RowResult(None, error="the logits are not numbers")
        if not row.sample:
            return RowResult(None)
        read = [self._kv.get(self._slot(row, position), (-1, -1)) for position in range(row.start)]
        own = list(enumerate(row.tokens, start=row.start))
        return RowResult(_hash([number for pair in read + own for number in pair]))

    def _slot(self, row: BatchRow, position: int) -> int:
        block = row.block_table[position // self._block_size]
        assert 0 < block < self.blocks, "the null block, or none at all, in a block table"
        return block * self._block_size + position % self._block_size


def fake_config(**changes: object) -> EngineConfig:
    """Small numbers: 101 blocks of 4 tokens, chunks of 8, 4 sequences at once."""
    settings: dict[str, object] = {
        "name": "fake",
        "path": "-",
        "kv_cache": KVCacheConfig(block_size=4, memory=101),
        "max_sequences": 4,
        "token_budget": 16,
        "prefill_chunk": 8,
        "strict_integrity": True,
    }
    return EngineConfig(**(settings | changes))  # type: ignore[arg-type]


def fake_request(request_id: str, prompt: list[int], max_tokens: int = 8, salt: str = "", **params: object) -> Request:
    sampling = SamplingParams(max_tokens=max_tokens, temperature=0, **params)  # type: ignore[arg-type]
    return Request(id=request_id, prompt=prompt, params=sampling, salt=salt)


def _misbehave(rows: list[BatchRow]) -> None:
    """What a step of the fake engine process does before it computes."""
    time.sleep(0.001)  # a step takes time, so that requests meet in a batch
    orders = {row.tokens[0] for row in rows if row.start == 0}
    if CRASH in orders:
        os._exit(3)
    if NONSENSE in orders:
        os.write(int(sys.argv[1]), b"\xff\xff\xff\xff this is no frame")
    if RAISE in orders:
        raise RuntimeError("the device is on fire")
    if HANG in orders:
        parent = os.getppid()
        while os.getppid() == parent:
            time.sleep(0.05)


def load_fake_runner(config: EngineConfig) -> FakeRunner:
    """`config.kv_cache.memory` is the number of blocks."""
    return FakeRunner(config.kv_cache.memory, config.kv_cache.block_size, before_step=_misbehave)


if __name__ == "__main__":
    from engine.process import main

    sys.exit(main(sys.argv[1:], load_fake_runner))
