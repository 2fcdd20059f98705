"""The paged key-value cache's tensors: sizes, writing by slot, reading by block table. Who owns which block is
decided elsewhere (`engine.core.block_pool`).

Block 0 is the null block: padding rows write there and nothing reads it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.config import KVDtype

_SCALE = torch.float16


class LayerCache:
    """One layer's keys and values in float32: [2, blocks, block_size, kv_heads, head_dim]."""

    def __init__(self, blocks: int, block_size: int, kv_heads: int, head_dim: int) -> None:
        # Not cleared, so that memory is taken from the system only as blocks are first used.
        self._store = torch.empty(2, blocks, block_size, kv_heads, head_dim)
        self._by_slot = self._store.view(2, blocks * block_size, kv_heads, head_dim)

    def write(self, slots: Tensor, keys_values: Tensor) -> None:
        """Store `keys_values` [2, tokens, kv_heads, head_dim] at `slots` [tokens]."""
        self._by_slot.index_copy_(1, slots, keys_values)

    def read(self, block_table: Tensor, tokens: int) -> tuple[Tensor, Tensor]:
        """Keys and values of a sequence's first `tokens` positions, each [kv_heads, tokens, head_dim]."""
        found = self._store.index_select(1, block_table).flatten(1, 2)[:, :tokens]
        keys, values = found.transpose(1, 2)
        return keys, values


class Int8LayerCache:
    """One layer's keys and values in int8 with a float16 scale for every token and head.

    A scale per token and head keeps one large key from coarsening its neighbours; one scale per tensor does not work.
    """

    def __init__(self, blocks: int, block_size: int, kv_heads: int, head_dim: int) -> None:
        self._store = torch.empty(2, blocks, block_size, kv_heads, head_dim, dtype=torch.int8)
        self._scales = torch.empty(2, blocks, block_size, kv_heads, 1, dtype=_SCALE)
        self._store_by_slot = self._store.view(2, blocks * block_size, kv_heads, head_dim)
        self._scales_by_slot = self._scales.view(2, blocks * block_size, kv_heads, 1)

    def write(self, slots: Tensor, keys_values: Tensor) -> None:
        """As `LayerCache.write`."""
        # The smallest normal float16 keeps an all-zero head from dividing by zero.
        scales = keys_values.abs().amax(dim=-1, keepdim=True).div_(127).clamp_min_(2.0**-14).to(_SCALE)
        values = (keys_values / scales).round_().to(torch.int8)  # a scale rounded down makes at most 127.07
        self._store_by_slot.index_copy_(1, slots, values)
        self._scales_by_slot.index_copy_(1, slots, scales)

    def read(self, block_table: Tensor, tokens: int) -> tuple[Tensor, Tensor]:
        """As `LayerCache.read`; the result is float32."""
        values = self._store.index_select(1, block_table).flatten(1, 2)[:, :tokens]
        scales = self._scales.index_select(1, block_table).flatten(1, 2)[:, :tokens]
        keys, values = (values * scales.float()).transpose(1, 2)
        return keys, values


class KVCache:
    """All layers' caches, `blocks` blocks each, the null block included."""

    def __init__(
        self, *, layers: int, blocks: int, block_size: int, kv_heads: int, head_dim: int, dtype: KVDtype
    ) -> None:
        kind = Int8LayerCache if dtype == "int8" else LayerCache
        self.layers: list[LayerCache | Int8LayerCache] = [
            kind(blocks, block_size, kv_heads, head_dim) for _ in range(layers)
        ]
        self.blocks = blocks
        self.block_size = block_size


def kv_bytes_per_token(*, layers: int, kv_heads: int, head_dim: int, dtype: KVDtype) -> int:
    """`2 * layers * kv_heads * head_dim * bytes`, and for int8 the scales `2 * layers * kv_heads * 2` as well."""
    per_head = head_dim + _SCALE.itemsize if dtype == "int8" else head_dim * torch.float32.itemsize
    return 2 * layers * kv_heads * per_head
