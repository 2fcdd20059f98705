"""Eight-bit linears: close to float32, and no row ever changes another."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import EngineConfigError
from engine.model import quant
from engine.model.quant import Int8Embedding, Int8Linear


def random_linear(seed: int = 0, rows: int = 48, columns: int = 96) -> tuple[torch.Tensor, Int8Linear]:
    weight = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) / columns**0.5
    return weight, Int8Linear(weight)


def relative_error(found: torch.Tensor, exact: torch.Tensor) -> float:
    return float((found - exact).norm() / exact.norm())


def test_int8_linear_is_close_to_float32() -> None:
    weight, linear = random_linear()
    x = torch.randn(16, 96, generator=torch.Generator().manual_seed(1))
    assert relative_error(linear(x), x @ weight.T) < 0.03


def test_int8_linear_is_close_for_rows_far_from_zero() -> None:
    weight, linear = random_linear()
    x = 5 + torch.rand(16, 96, generator=torch.Generator().manual_seed(1))
    assert relative_error(linear(x), x @ weight.T) < 0.03


@settings(max_examples=40, deadline=None)
@given(
    neighbours=st.integers(1, 20),
    outlier=st.sampled_from([0.0, 1e-20, 50.0, 1e6, 1e30, float("inf"), float("nan")]),
    place=st.integers(0, 20),
    seed=st.integers(0, 10),
)
def test_a_row_is_bit_equal_alone_and_beside_outliers(neighbours: int, outlier: float, place: int, seed: int) -> None:
    _, linear = random_linear()
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1, 96, generator=generator)
    batch = torch.randn(neighbours + 1, 96, generator=generator) * outlier
    place = min(place, neighbours)
    batch[place] = x[0]
    assert torch.equal(linear(batch)[place], linear(x)[0])


def test_a_poisoned_row_stays_poisoned() -> None:
    _, linear = random_linear()
    x = torch.ones(3, 96)
    x[1, 5] = float("nan")
    assert linear(x).isnan().all(dim=1).tolist() == [False, True, False]


# The fractions are ones whose middle, once divided and multiplied again, comes back a rounding off.
@pytest.mark.parametrize("value", [0.0, 1.37431800365448, 4.32307767868042, -2.107348918914795, -3e4])
def test_a_constant_row_harms_neither_itself_nor_its_neighbour(value: float) -> None:
    weight, linear = random_linear()
    x = torch.randn(2, 96, generator=torch.Generator().manual_seed(4))
    neighbour = linear(x[1:])[0]
    x[0] = value
    found = linear(x)
    assert torch.allclose(found[0], x[0] @ weight.T, atol=abs(value) * 0.05)
    assert torch.equal(found[1], neighbour)


def test_int8_embedding_is_close_to_its_table_and_a_quarter_of_its_size() -> None:
    table = torch.randn(100, 64, generator=torch.Generator().manual_seed(2))
    embedding = Int8Embedding(table)
    tokens = torch.tensor([3, 99, 3])
    assert relative_error(embedding(tokens), table[tokens]) < 0.01
    assert embedding.nbytes == 100 * 64 + 100 * 4


def test_int8_without_kernels_is_refused_not_ignored() -> None:
    quant.check_available(["qnnpack", "fbgemm"])
    with pytest.raises(EngineConfigError, match="weights: f32"):
        quant.check_available(["qnnpack"])
