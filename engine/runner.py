"""Runs batches on the CPU with torch: from plain integers to one sampled token per sequence.

Decides no policy; which sequences run and which blocks they own is the scheduler's business (`engine.core`).

Determinism, with f32 or int8 weights and either cache, on one machine with one thread count:
- A sequence computed in the same pieces (same `start` and length of every row) gets bit-equal logits alone and in any
  batch, and so the same greedy and the same seeded tokens. Attention is computed per sequence; every other operation
  is row-wise, and bit-equal for 4 or more rows, so that smaller steps are padded to 4.
- Computed in other pieces (after preemption, or on top of a cached prefix) logits agree to rounding, about 1e-5 in
  f32: SDPA sums in an order that depends on the number of queries.
"""

from __future__ import annotations

import math
from typing import get_args

import torch
from torch import Tensor

from engine import sampling
from engine.attention.cache import KVCache, kv_bytes_per_token
from engine.attention.paged import make_segment
from engine.config import EngineConfig, KVCacheConfig, KVDtype, Weights
from engine.core.runner import BatchRow, RowResult, Runner
from engine.errors import EngineConfigError
from engine.gguf import read_header
from engine.model.config import ModelConfig
from engine.model.llama import ModelBatch
from engine.model.loader import load_model
from engine.types import ModelInfo

_MIN_ROWS = 4  # below it oneDNN's and MKL's matrix products take another path and round differently


class TorchRunner(Runner):
    """A loaded model with its cache.

    Raises ModelFileError for a file that cannot be run and EngineConfigError for a configuration that cannot work.
    """

    def __init__(self, config: EngineConfig) -> None:
        config.check()
        _check_known("weights", config.weights, get_args(Weights))
        _check_known("kv_cache.dtype", config.kv_cache.dtype, get_args(KVDtype))
        torch.set_num_threads(config.threads)
        header = read_header(config.path)
        shape = ModelConfig.from_header(header)
        per_token = kv_bytes_per_token(
            layers=shape.layers, kv_heads=shape.kv_heads, head_dim=shape.head_dim, dtype=config.kv_cache.dtype
        )
        blocks = config.kv_cache.memory // (per_token * config.kv_cache.block_size)
        context = _context(config.max_context, shape.context, blocks, per_token, config.kv_cache)
        with torch.inference_mode():
            self.model = load_model(config.path, header, weights=config.weights, positions=context)
            self._cache = KVCache(
                layers=shape.layers,
                blocks=blocks,
                block_size=config.kv_cache.block_size,
                kv_heads=shape.kv_heads,
                head_dim=shape.head_dim,
                dtype=config.kv_cache.dtype,
            )
        self._info = ModelInfo(
            name=config.name,
            architecture=shape.architecture,
            parameters=sum(math.prod(tensor.shape) for tensor in header.tensors.values()),
            context=context,
            vocab_size=shape.vocab_size,
            weights=config.weights,
            weight_bytes=self.model.nbytes,
            kv_bytes_per_token=per_token,
            blocks=blocks,
            block_size=config.kv_cache.block_size,
        )

    @property
    def info(self) -> ModelInfo:
        return self._info

    @property
    def blocks(self) -> int:
        """Blocks of the cache, the null block included."""
        return self._info.blocks

    @property
    def eos_token_ids(self) -> frozenset[int]:
        """The tokens that end a completion: end of sequence, of turn and of message, as the file names them."""
        return self.model.config.eos_token_ids

    @torch.inference_mode()
    def execute(self, rows: list[BatchRow]) -> list[RowResult]:
        """Write K and V of every row's tokens, and sample where asked. A row with unusable logits fails alone."""
        results = [RowResult(None)] * len(rows)
        hidden = self._hidden(rows)
        sampled = [index for index, row in enumerate(rows) if row.sample]
        if not sampled:
            return results
        logits = self._logits(hidden, _last_tokens([len(row.tokens) for row in rows], sampled))
        tokens = sampling.sample(
            logits, [rows[index].params for index in sampled], [rows[index].output_index for index in sampled]
        )
        for index, token in zip(sampled, tokens, strict=True):
            error = "the model's output is not a number" if token is None else None
            results[index] = RowResult(token, error)
        return results

    @torch.inference_mode()
    def logits(self, rows: list[BatchRow], *, every_token: bool = False) -> Tensor:
        """Compute `rows` as `execute` does and return logits instead of tokens: float32 [rows, vocab].

        With `every_token`, one row for each of the batch's tokens in order.
        """
        hidden = self._hidden(rows)
        counts = [len(row.tokens) for row in rows]
        wanted = range(sum(counts)) if every_token else _last_tokens(counts, range(len(rows)))
        return self._logits(hidden, list(wanted))

    def _hidden(self, rows: list[BatchRow]) -> Tensor:
        """Run the decoder over all rows' tokens: [at least 4, hidden]; rows past the tokens are padding."""
        block_size = self._info.block_size
        tokens: list[int] = []
        positions: list[int] = []
        slots: list[int] = []
        segments = []
        for row in rows:
            segments.append(make_segment(len(tokens), row.start, len(row.tokens), row.block_table, block_size))
            span = range(row.start, row.start + len(row.tokens))
            tokens += row.tokens
            positions += span
            slots += [row.block_table[p // block_size] * block_size + p % block_size for p in span]
        padding = [0] * (_MIN_ROWS - len(tokens))
        batch = ModelBatch(
            tokens=torch.tensor(tokens + padding),
            positions=torch.tensor(positions + padding),
            slots=torch.tensor(slots + padding),  # slot 0 lies in the null block
            segments=segments,
        )
        return self.model.hidden(batch, self._cache)

    def _logits(self, hidden: Tensor, wanted: list[int]) -> Tensor:
        padding = [0] * (_MIN_ROWS - len(wanted))
        return self.model.logits(hidden[wanted + padding])[: len(wanted)]


def _check_known(field: str, value: str, known: tuple[str, ...]) -> None:
    """A struct made in Python is not checked against its types, and an unknown kind must not run as another."""
    if value not in known:
        raise EngineConfigError(f"{field} is {value!r}; it must be one of {', '.join(known)}")


def _last_tokens(counts: list[int], rows: list[int] | range) -> list[int]:
    """Where the last token of each of `rows` lies in the batch, rows having `counts` tokens."""
    ends = torch.tensor(counts).cumsum(0).tolist()
    return [ends[row] - 1 for row in rows]


def _context(asked: int | None, stated: int, blocks: int, per_token: int, cache: KVCacheConfig) -> int:
    """Tokens a request may have. A context that was asked for must fit; the model's own is cut to what fits.

    Raises EngineConfigError with the numbers.
    """
    fits = (blocks - 1) * cache.block_size  # block 0 is never handed out
    if asked is not None and asked > stated:
        raise EngineConfigError(f"max_context is {asked}, but the model was made for {stated} tokens")
    needed = asked if asked is not None else 2
    if fits < needed:
        smallest = (-(-needed // cache.block_size) + 1) * cache.block_size * per_token
        raise EngineConfigError(
            f"kv_cache.memory of {cache.memory} bytes holds {max(fits, 0)} tokens ({per_token} bytes each, "
            f"{max(blocks, 0)} blocks of {cache.block_size}, one of them reserved), but max_context needs {needed}: "
            f"give at least {smallest} bytes"
        )
    return asked if asked is not None else min(stated, fits)
