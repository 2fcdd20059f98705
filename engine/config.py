"""Every limit of the engine in one frozen place, checked with reasons."""

from __future__ import annotations

import os
from typing import Literal

import msgspec

from engine.errors import EngineConfigError

Weights = Literal["f32", "int8"]
KVDtype = Literal["f32", "int8"]


class KVCacheConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The paged cache. `memory` is in bytes and includes the scales of an int8 cache."""

    dtype: KVDtype = "f32"
    memory: int = 512 * 2**20
    block_size: int = 16  # tokens in a block


class EngineConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One served model.

    `token_budget`: tokens computed in one step over all sequences; it bounds how long a running stream waits
    behind a new prompt.
    `prefill_chunk`: prompt chunks end at multiples of it, so a sequence is always computed in the same pieces
    and gives the same tokens alone and in a batch.
    `input_log`: a file that receives every prompt's token ids as JSON lines; for debugging and tests.
    `step_timeout`: seconds without a sign of life after which the engine process counts as stuck and is
    replaced; it must exceed the longest step.
    `strict_integrity`: a failed idle self-check ends the process (for tests) instead of being logged and
    counted.
    """

    name: str
    path: str
    weights: Weights = "f32"
    kv_cache: KVCacheConfig = KVCacheConfig()
    max_context: int | None = None  # default: what the model file states
    max_sequences: int = 32
    max_waiting: int = 256
    token_budget: int = 512
    prefill_chunk: int = 256
    threads: int = max(1, min(8, (os.cpu_count() or 1) // 2))
    prefix_caching: bool = True
    input_log: str | None = None
    step_timeout: float = 60.0
    strict_integrity: bool = False

    def check(self) -> None:
        """Raise EngineConfigError with the reason if the numbers cannot work together."""
        if self.max_context is not None and self.max_context < 2:
            raise EngineConfigError(f"max_context is {self.max_context}; it must be at least 2")
        if self.max_sequences < 1:
            raise EngineConfigError(f"max_sequences is {self.max_sequences}; it must be at least 1")
        if self.max_waiting < 1:
            raise EngineConfigError(f"max_waiting is {self.max_waiting}; it must be at least 1")
        if not self.step_timeout > 0:
            raise EngineConfigError(f"step_timeout is {self.step_timeout}; it must be a positive number of seconds")
        if self.kv_cache.block_size < 1:
            raise EngineConfigError(f"kv_cache.block_size is {self.kv_cache.block_size}; it must be at least 1")
        if self.prefill_chunk < 1 or self.prefill_chunk % self.kv_cache.block_size:
            raise EngineConfigError(
                f"prefill_chunk ({self.prefill_chunk}) must be a multiple of "
                f"kv_cache.block_size ({self.kv_cache.block_size})"
            )
        if self.token_budget < self.prefill_chunk + self.max_sequences:
            raise EngineConfigError(
                f"token_budget ({self.token_budget}) must hold one prefill chunk and one token of every "
                f"other sequence ({self.prefill_chunk} + {self.max_sequences})"
            )
