"""Rotary position embeddings as two tables (RoFormer, https://arxiv.org/abs/2104.09864). No model knowledge.

A scaling (NTK, YaRN, Llama-3) is another way to make the inverse frequencies and a factor on both tables; applying
them stays the same. The rotation pairs dimension i with i + d/2, so weights stored for adjacent pairs are
reordered when they are loaded.
"""

from __future__ import annotations

import torch
from torch import Tensor


def inverse_frequencies(head_dim: int, base: float) -> Tensor:
    """Unscaled rope: `base ** (-2i / head_dim)`, shape [head_dim / 2], float32."""
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim
    return 1.0 / (base**exponents)


class RopeTable:
    """Cosines and sines of every position below `positions`.

    `cos`, `sin`: [positions, 1, head_dim]; the first half of `sin` is negated, so that the rotation is
    `x * cos + swap_halves(x) * sin`.
    """

    def __init__(self, inverse_frequency: Tensor, positions: int, factor: float = 1.0) -> None:
        angles = torch.arange(positions, dtype=torch.float32)[:, None] * inverse_frequency
        cos, sin = angles.cos() * factor, angles.sin() * factor
        self.cos = torch.cat((cos, cos), dim=-1)[:, None]
        self.sin = torch.cat((-sin, sin), dim=-1)[:, None]

    def at(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """The tables' rows for `positions` [tokens]: two tensors [tokens, 1, head_dim]."""
        return self.cos[positions], self.sin[positions]


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate `x` [tokens, heads, head_dim] by the tables' rows for its tokens."""
    first, second = x.chunk(2, dim=-1)
    return torch.addcmul(x * cos, torch.cat((second, first), dim=-1), sin)


def pairs_to_halves(weight: Tensor, heads: int) -> Tensor:
    """Reorder a projection's rows [heads * head_dim, hidden] from adjacent pairs to halves.

    Llama-architecture GGUF files store q and k for the pairing (2i, 2i + 1); `rotate` pairs (i, i + d/2).
    Queries and keys are reordered alike, so their products do not change.
    """
    rows, hidden = weight.shape
    return weight.view(heads, rows // heads // 2, 2, hidden).transpose(1, 2).reshape(rows, hidden)
