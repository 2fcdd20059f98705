"""The decoder's small parts: float32 linear and embedding, RMSNorm. Quantised twins are in `engine.model.quant`."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class Linear(Protocol):
    """`y = x W^T`: [tokens, in] to [tokens, out], float32. `nbytes` is what the weights occupy."""

    nbytes: int

    def __call__(self, x: Tensor) -> Tensor: ...


class Embedding(Protocol):
    """Token ids [tokens] to rows [tokens, hidden], float32. `nbytes` is what the table occupies."""

    nbytes: int

    def __call__(self, tokens: Tensor) -> Tensor: ...


class DenseLinear:
    """A float32 linear, its weights packed for oneDNN where torch has it.

    Packed weights took 0.3 to 0.9 of `F.linear`'s time for 2 to 256 tokens (AVX512, one thread). They sum in another
    order: SmolLM2's logits are 3e-5 (median) from float64's, with `F.linear` 1.4e-5.
    """

    def __init__(self, weight: Tensor) -> None:
        self.nbytes = weight.nbytes
        self._packed = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call, unused-ignore]
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight, None) if self._packed else weight

    def __call__(self, x: Tensor) -> Tensor:
        if self._packed:
            result: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, None, "none", [], "")
            return result
        return F.linear(x, self._weight)


class DenseEmbedding:
    """A float32 table [vocab, hidden]."""

    def __init__(self, weight: Tensor) -> None:
        self.nbytes = weight.nbytes
        self._weight = weight

    def __call__(self, tokens: Tensor) -> Tensor:
        return F.embedding(tokens, self._weight)


class RMSNorm:
    """`x / sqrt(mean(x²) + eps) * weight` over the last dimension (https://arxiv.org/abs/1910.07467)."""

    def __init__(self, weight: Tensor, eps: float) -> None:
        self.nbytes = weight.nbytes
        self._weight = weight
        self._shape = list(weight.shape)
        self._eps = eps

    def __call__(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self._shape, self._weight, self._eps)
