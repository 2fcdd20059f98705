"""Sampling against transformers' processors, against the distribution, and against its neighbours."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from engine import sampling
from engine.types import SamplingParams


def params(temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, seed: int | None = None) -> SamplingParams:
    return SamplingParams(max_tokens=1, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)


def random_logits(rows: int, vocab: int, seed: int, spread: float = 3.0) -> torch.Tensor:
    return torch.randn(rows, vocab, generator=torch.Generator().manual_seed(seed)) * spread


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    vocab=st.sampled_from([5, 300, 2_000]),
    spread=st.sampled_from([0.05, 1.0, 5.0]),
    temperature=st.sampled_from([0.3, 1.0, 1.7]),
    top_k=st.sampled_from([0, 1, 3, 50, 10_000]),
    top_p=st.sampled_from([0.05, 0.5, 0.9, 0.999, 1.0]),
)
def test_warped_logits_equal_those_of_transformers(
    seed: int, vocab: int, spread: float, temperature: float, top_k: int, top_p: float
) -> None:
    logits = random_logits(3, vocab, seed, spread)
    expected = TemperatureLogitsWarper(temperature)(None, logits)
    if top_k:
        expected = TopKLogitsWarper(top_k)(None, expected)
    if top_p < 1:
        expected = TopPLogitsWarper(top_p)(None, expected)
    found = sampling.warp(logits, [params(temperature, top_k, top_p)] * 3)
    probabilities = expected.softmax(-1)
    # Sums of float32 differ in their last bits, which may move a nucleus's edge by one token.
    assert ((found.isfinite() ^ expected.isfinite()).sum(-1) <= 1).all()
    assert torch.allclose(found.softmax(-1), probabilities, atol=probabilities.max().item() * 2e-3 + 1e-4)


def test_rows_with_different_parameters_do_not_mix() -> None:
    logits = random_logits(6, 500, 1)
    mixed = [params(0.5), params(1.0, 5), params(1.0, 0, 0.5), params(2.0, 40, 0.9), params(), params(1.0, 1)]
    together = sampling.warp(logits, mixed)
    for index, one in enumerate(mixed):
        assert torch.equal(together[index], sampling.warp(logits[index : index + 1], [one])[0])


def test_top_p_keeps_the_token_that_crosses_p_and_the_lowest_ids_among_equals() -> None:
    logits = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    kept = sampling.warp(logits, [params(top_p=0.65)])[0].isfinite()
    assert kept.tolist() == [True, True, False, False]
    flat = sampling.warp(torch.zeros(1, 1_000), [params(top_p=0.01)])[0].isfinite().nonzero().flatten()
    assert flat.tolist() == list(range(10))


def test_temperature_zero_takes_the_largest_and_the_lowest_id_on_ties() -> None:
    logits = torch.tensor([[1.0, 5.0, 5.0, 0.0], [2.0, 2.0, 2.0, 2.0]])
    assert sampling.sample(logits, [params(0.0)] * 2, [0, 0]) == [1, 0]


def test_a_tiny_temperature_is_greedy_not_nan() -> None:
    logits = random_logits(4, 200, 3)
    assert sampling.sample(logits, [params(1e-40)] * 4, [0] * 4) == logits.argmax(-1).tolist()


def test_a_poisoned_row_fails_alone() -> None:
    logits = random_logits(4, 50, 2)
    logits[1, 7] = float("nan")
    logits[2] = float("-inf")
    rows = [params(0.0), params(seed=1), params(0.0), params(seed=1)]
    found = sampling.sample(logits, rows, [0] * 4)
    assert found[1] is None
    assert found[2] is None
    assert found[0] == logits[0].argmax().item()
    assert found[3] == sampling.sample(logits[3:], [params(seed=1)], [0])[0]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(-(2**63), 2**64 - 1), output_index=st.integers(0, 100_000), others=st.integers(0, 5))
def test_a_seeded_row_draws_the_same_in_any_batch(seed: int, output_index: int, others: int) -> None:
    logits = random_logits(others + 1, 200, 5)
    alone = sampling.sample(logits[:1], [params(seed=seed)], [output_index])
    order = [*range(1, others + 1), 0]
    neighbours = [params() if i % 2 else params(0.7, 9, 0.8, i) for i in range(others)]
    batch = sampling.sample(logits[order], [*neighbours, params(seed=seed)], [*range(others), output_index])
    assert batch[-1] == alone[0]


def chi_square(counts: torch.Tensor, probabilities: torch.Tensor) -> float:
    expected = probabilities * counts.sum()
    return ((counts - expected) ** 2 / expected).sum().item()


# 7 degrees of freedom: a right sampler passes 40 with a probability of one in a million.
LIMIT = 40.0
PROBABILITIES = torch.tensor([0.3, 0.25, 0.15, 0.1, 0.08, 0.06, 0.04, 0.02])


@pytest.mark.parametrize("across", ["output_index", "seed"])
def test_seeded_draws_follow_the_distribution(across: str) -> None:
    n = 4_000
    logits = PROBABILITIES.log().expand(n, 8)
    if across == "seed":
        tokens = sampling.sample(logits, [params(seed=i) for i in range(n)], [3] * n)
    else:
        tokens = sampling.sample(logits, [params(seed=11)] * n, list(range(n)))
    counts = torch.bincount(torch.tensor(tokens), minlength=8)
    assert chi_square(counts, PROBABILITIES) < LIMIT


def test_neighbouring_draws_are_independent() -> None:
    n = 4_000
    logits = torch.tensor([0.5, 0.5]).log().expand(n, 2)
    tokens = torch.tensor(sampling.sample(logits, [params(seed=1)] * n, list(range(n))))
    pairs = torch.bincount(tokens[:-1] * 2 + tokens[1:], minlength=4)
    assert chi_square(pairs, torch.full((4,), 0.25)) < LIMIT


def test_unseeded_draws_follow_the_distribution_and_differ_between_calls() -> None:
    n = 4_000
    logits = PROBABILITIES.log().expand(n, 8)
    first, second = (sampling.sample(logits, [params()] * n, [0] * n) for _ in range(2))
    assert first != second
    assert chi_square(torch.bincount(torch.tensor(first), minlength=8), PROBABILITIES) < LIMIT


def test_noise_is_the_published_generator_and_its_double_logarithm() -> None:
    seed, gamma, mask = 1234567, 0x9E3779B97F4A7C15, 2**64 - 1
    first_outputs = [6457827717110365317, 3203168211198807973, 9817491932198370423]  # SplitMix64's test vector
    found = sampling._noise([(seed + gamma) & mask], 3)[0]
    uniform = torch.tensor([((value >> 12) + 0.5) / 2**52 for value in first_outputs], dtype=torch.float64)
    assert torch.allclose(found, (-uniform.log()).log().float(), atol=1e-6)
