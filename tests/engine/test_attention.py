"""Paged attention against the textbook formula, and the cache's exactness and size."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.attention.cache import Int8LayerCache, KVCache, LayerCache, kv_bytes_per_token
from engine.attention.paged import Segment, attend, make_segment
from engine.config import KVDtype

BLOCKS, BLOCK, KV_HEADS, HEAD_DIM = 40, 4, 2, 8


def textbook(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, start: int) -> torch.Tensor:
    """One query and one head at a time: [tokens, heads, d] over [length, kv_heads, d]."""
    tokens, heads, head_dim = queries.shape
    group = heads // keys.shape[1]
    output = torch.zeros(tokens, heads, head_dim)
    for token in range(tokens):
        visible = start + token + 1
        for head in range(heads):
            k, v = keys[:visible, head // group], values[:visible, head // group]
            weights = (k @ queries[token, head] / math.sqrt(head_dim)).softmax(0)
            output[token, head] = weights @ v
    return output.flatten(1)


def slots(table: list[int], start: int, count: int) -> torch.Tensor:
    return torch.tensor([table[p // BLOCK] * BLOCK + p % BLOCK for p in range(start, start + count)])


@settings(max_examples=60, deadline=None)
@given(
    group=st.sampled_from([1, 3]),
    chunks=st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=3), min_size=1, max_size=3),
    seed=st.integers(0, 1_000),
)
def test_ragged_chunks_over_scattered_blocks_equal_the_formula(group: int, chunks: list[list[int]], seed: int) -> None:
    """`chunks[i]` are the pieces in which sequence i is computed; step n runs every sequence's nth piece."""
    generator = torch.Generator().manual_seed(seed)
    cache = LayerCache(BLOCKS, BLOCK, KV_HEADS, HEAD_DIM)
    cache._store.fill_(float("nan"))  # reading a slot that was not written shows
    free = (torch.randperm(BLOCKS - 1, generator=generator) + 1).tolist()
    tables = [[free.pop() for _ in range(-(-sum(pieces) // BLOCK))] for pieces in chunks]
    inputs = [torch.randn(3, sum(p), KV_HEADS * group, HEAD_DIM, generator=generator) for p in chunks]
    for step in range(max(map(len, chunks))):
        active = [i for i, pieces in enumerate(chunks) if step < len(pieces)]
        segments: list[Segment] = []
        queries: list[torch.Tensor] = []
        expected: list[torch.Tensor] = []
        for i in active:
            start, count = sum(chunks[i][:step]), chunks[i][step]
            q, k, v = inputs[i][0], inputs[i][1, :, :KV_HEADS], inputs[i][2, :, :KV_HEADS]
            new = slice(start, start + count)
            cache.write(slots(tables[i], start, count), torch.stack((k[new], v[new])))
            segments.append(make_segment(sum(map(len, queries)), start, count, tables[i], BLOCK))
            queries.append(q[new])
            expected.append(textbook(q[new], k[: start + count], v[: start + count], start))
        found = attend(torch.cat(queries), cache, segments)
        assert torch.allclose(found, torch.cat(expected), atol=1e-5)


def test_padding_rows_come_back_as_zeros_and_touch_only_the_null_block() -> None:
    cache = LayerCache(BLOCKS, BLOCK, KV_HEADS, HEAD_DIM)
    cache._store.zero_()
    cache.write(torch.tensor([4, 0, 0]), torch.ones(2, 3, KV_HEADS, HEAD_DIM))
    assert cache._store[:, 2:].abs().sum() == 0
    found = attend(torch.ones(3, 4, HEAD_DIM), cache, [make_segment(0, 0, 1, [1], BLOCK)])
    assert found[0].tolist() == [1.0] * 32
    assert found[1:].abs().sum() == 0


@settings(max_examples=50, deadline=None)
@given(scale=st.sampled_from([0.0, 1e-6, 1.0, 300.0]), seed=st.integers(0, 100))
def test_int8_cache_is_within_half_a_step_of_every_heads_largest_value(scale: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    keys_values = torch.randn(2, 6, KV_HEADS, HEAD_DIM, generator=generator) * scale
    keys_values[0, 3, 1] *= 1_000  # an outlier head coarsens itself only
    cache = Int8LayerCache(BLOCKS, BLOCK, KV_HEADS, HEAD_DIM)
    table = [7, 2]
    cache.write(slots(table, 0, 6), keys_values)
    keys, values = cache.read(torch.tensor(table), 6)
    found = torch.stack((keys.transpose(0, 1), values.transpose(0, 1)))
    step = (keys_values.abs().amax(-1, keepdim=True) / 127).clamp_min(2.0**-14)
    assert ((found - keys_values).abs() <= step * 0.57).all()


@pytest.mark.parametrize("dtype", ["f32", "int8"])
def test_bytes_per_token_is_what_the_tensors_take(dtype: KVDtype) -> None:
    cache = KVCache(layers=3, blocks=BLOCKS, block_size=BLOCK, kv_heads=KV_HEADS, head_dim=HEAD_DIM, dtype=dtype)
    taken = sum(
        tensor.nbytes
        for layer in cache.layers
        for tensor in (layer._store, getattr(layer, "_scales", None))
        if tensor is not None
    )
    per_token = kv_bytes_per_token(layers=3, kv_heads=KV_HEADS, head_dim=HEAD_DIM, dtype=dtype)
    assert taken == per_token * BLOCKS * BLOCK


def test_grouped_query_attention_divides_the_cache_by_the_group() -> None:
    few, many = (kv_bytes_per_token(layers=80, kv_heads=n, head_dim=128, dtype="f32") for n in (8, 64))
    assert many == 8 * few
    assert few * 4096 == 2 * 80 * 8 * 128 * 4096 * 4
