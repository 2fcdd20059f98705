"""Rope's tables and rotation against transformers and against the definition."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from engine.model.rope import RopeTable, inverse_frequencies, pairs_to_halves, rotate


@pytest.mark.parametrize(("head_dim", "base"), [(64, 100_000.0), (16, 10_000.0)])
def test_tables_equal_those_of_transformers(head_dim: int, base: float) -> None:
    config = LlamaConfig(
        hidden_size=head_dim,
        num_attention_heads=1,
        max_position_embeddings=8192,
        rope_parameters={"rope_type": "default", "rope_theta": base},
    )
    positions = torch.tensor([0, 1, 1_000, 8_191])
    cos, sin = LlamaRotaryEmbedding(config)(torch.zeros(1), positions[None])
    table = RopeTable(inverse_frequencies(head_dim, base), 8192)
    ours_cos, ours_sin = table.at(positions)
    assert torch.allclose(ours_cos[:, 0], cos[0], atol=1e-6)
    assert torch.allclose(ours_sin[:, 0].abs(), sin[0].abs(), atol=1e-6)


def test_rotation_is_multiplication_by_unit_complex_numbers() -> None:
    x = torch.randn(5, 3, 16, generator=torch.Generator().manual_seed(0))
    frequencies = inverse_frequencies(16, 10_000.0)
    positions = torch.tensor([0, 1, 2, 50, 99])
    found = rotate(x, *RopeTable(frequencies, 100).at(positions))
    numbers = torch.complex(x[..., :8], x[..., 8:])
    turned = numbers * torch.polar(torch.ones(5, 8), positions[:, None] * frequencies)[:, None]
    assert torch.allclose(found, torch.cat((turned.real, turned.imag), dim=-1), atol=1e-5)


def test_pairs_become_halves_within_each_head() -> None:
    rows = torch.arange(12.0)[:, None]
    assert pairs_to_halves(rows, heads=2)[:, 0].tolist() == [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]
