"""Stored GGUF blocks to float32. The three commonest types in torch, ten times as fast; the rest by the `gguf` package.

Layouts: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md and `gguf.quants`, which the tests compare with.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from gguf.constants import GGMLQuantizationType
from gguf.quants import QuantError, dequantize
from torch import Tensor

from engine.errors import ModelFileError

_BLOCK = 32  # values in a block of each type below


def to_float32(data: np.ndarray, kind: GGMLQuantizationType, shape: tuple[int, ...]) -> Tensor:
    """The tensor of `shape` that `data` (uint8, as stored) holds.

    Raises ModelFileError if `kind` cannot be dequantised.
    """
    fast = _FAST.get(kind)
    if fast is not None:
        block_bytes, function = fast
        return function(torch.from_numpy(data.reshape(-1, block_bytes).copy())).view(shape)
    try:
        values = dequantize(data.reshape(*shape[:-1], -1), kind)
    except (NotImplementedError, QuantError) as error:
        raise ModelFileError(f"tensors of type {kind.name} are not supported") from error
    return torch.from_numpy(np.array(values, dtype=np.float32)).view(shape)


def _half(blocks: Tensor, start: int) -> Tensor:
    """The float16 at byte `start` of every block, as float32 [blocks, 1]."""
    return blocks[:, start : start + 2].contiguous().view(torch.float16).float()


def _nibbles(packed: Tensor) -> Tensor:
    """Bytes [blocks, 16] to float32 [blocks, 32]: the low halves, then the high halves."""
    values = torch.empty(packed.shape[0], _BLOCK)
    values[:, : _BLOCK // 2] = packed & 15
    values[:, _BLOCK // 2 :] = packed >> 4
    return values


def _q8_0(blocks: Tensor) -> Tensor:
    return blocks[:, 2:].view(torch.int8) * _half(blocks, 0)


def _q4_0(blocks: Tensor) -> Tensor:
    return _nibbles(blocks[:, 2:]).sub_(8).mul_(_half(blocks, 0))


def _q4_1(blocks: Tensor) -> Tensor:
    return _nibbles(blocks[:, 4:]).mul_(_half(blocks, 0)).add_(_half(blocks, 2))


_FAST: dict[GGMLQuantizationType, tuple[int, Callable[[Tensor], Tensor]]] = {
    GGMLQuantizationType.Q8_0: (34, _q8_0),
    GGMLQuantizationType.Q4_0: (18, _q4_0),
    GGMLQuantizationType.Q4_1: (20, _q4_1),
}
