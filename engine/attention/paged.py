"""Causal grouped-query attention of a ragged batch over the paged cache, on CPU.

One call of torch's SDPA per sequence, so a sequence's result depends on its own shape only and never on the batch it
is in; padding sequences to one length is not faster on CPU and changes rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.attention.cache import Int8LayerCache, LayerCache


@dataclass(frozen=True, slots=True)
class Segment:
    """One sequence's part of a step: `count` query tokens from batch row `row`, at positions from `start`.

    `block_table` [ceil((start + count) / block_size)]. `mask` [count, start + count] is added to the scores of a
    chunk that has earlier tokens; None when the kernel's own causal rule, or no rule, is right.
    """

    row: int
    start: int
    count: int
    block_table: Tensor
    mask: Tensor | None


def make_segment(row: int, start: int, count: int, block_table: list[int], block_size: int) -> Segment:
    """A segment with the blocks it reads and the mask it needs."""
    length = start + count
    table = torch.tensor(block_table[: -(-length // block_size)], dtype=torch.int64)
    mask = None
    if start > 0 and count > 1:  # the kernel's causal rule aligns rows at the top left; here the last row sees all
        mask = torch.full((count, length), float("-inf")).triu_(start + 1)
    return Segment(row, start, count, table, mask)


def attend(queries: Tensor, cache: LayerCache | Int8LayerCache, segments: list[Segment]) -> Tensor:
    """Attention of `queries` [tokens, heads, head_dim] to the cached keys and values: [tokens, heads * head_dim].

    The step's own keys and values must have been written. Rows outside every segment come back as zeros.
    """
    tokens, heads, head_dim = queries.shape
    output = queries.new_zeros(tokens, heads, head_dim)
    for segment in segments:
        keys, values = cache.read(segment.block_table, segment.start + segment.count)
        if segment.count == 1:
            # The heads that share a key head become the rows of one query matrix.
            query = queries[segment.row].view(1, keys.shape[0], -1, head_dim)
            found = F.scaled_dot_product_attention(query, keys[None], values[None])
            output[segment.row] = found.view(heads, head_dim)
        else:
            rows = slice(segment.row, segment.row + segment.count)
            found = F.scaled_dot_product_attention(
                queries[rows].transpose(0, 1)[None],
                keys[None],
                values[None],
                attn_mask=segment.mask,
                is_causal=segment.mask is None,
                enable_gqa=True,
            )
            output[rows] = found[0].transpose(0, 1)
    return output.flatten(1)
