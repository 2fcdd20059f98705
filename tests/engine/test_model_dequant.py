"""Every stored type gives the values that the `gguf` package reads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from model_files import random_tensor

from engine.errors import ModelFileError
from engine.model.dequant import to_float32

KINDS = [
    Kind.F32, Kind.F16, Kind.BF16, Kind.Q8_0, Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1,
    Kind.Q2_K, Kind.Q3_K, Kind.Q4_K, Kind.Q5_K, Kind.Q6_K,
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_dequantised_values_equal_those_of_gguf(kind: Kind) -> None:
    stored, values = random_tensor((24, 512), kind, np.random.default_rng(3))
    data = np.ascontiguousarray(stored).reshape(-1).view(np.uint8)
    found = to_float32(data, kind, (24, 512))
    assert found.dtype == torch.float32
    assert np.array_equal(found.numpy(), values)
    assert np.ptp(values) > 0


def test_a_type_without_a_reader_is_refused_by_name() -> None:
    with pytest.raises(ModelFileError, match="Q8_K"):
        to_float32(np.zeros(292, dtype=np.uint8), Kind.Q8_K, (1, 256))
