"""Eight-bit weights and activations (W8A8) through torch's dynamic quantised linear. Eight-bit KV is elsewhere.

Weights have one scale per output row. Activations need a range per token, but `quantized.linear_dynamic` takes one for
the whole call, from the smallest and largest value it sees: an outlier in one request would then coarsen, even wipe
out, the rows of every other request in the batch. So each row is first mapped into [-1, 1] by its own middle and
half-width, a sentinel row holding -1 and 1 pins the range the kernel finds, and the result is mapped back with the
weights' row sums. Then the scale is the same in every call, sums are exact integers, and a row's result is bit-equal
alone and in any batch.

The middle lies on the kernel's grid of 255 steps, so that zero stays exactly zero. On plain text with SmolLM2 this
gives a KL divergence from float32 of 0.022; without that rounding 0.037, with rows only divided by their largest
magnitude 0.036: activations are skewed and mostly near zero.

Measured beside it (AVX512-VNNI, one thread): `onednn.qlinear_pointwise` with rows quantised here is as exact and
somewhat slower for small batches; int8 weights with float activations are slower than float32 unless in bfloat16.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from engine.errors import EngineConfigError

_SMALLEST = 1e-30  # keeps an all-zero row from dividing by zero
_SLACK = 1.008  # a row moved by up to half a step, of 127 or 255, still lies in [-1, 1]


def check_available(supported_engines: list[str]) -> None:
    """Raise EngineConfigError if torch's quantised engines, as it names them, cannot run int8 weights."""
    if not {"x86", "fbgemm", "onednn"}.intersection(supported_engines):
        raise EngineConfigError("weights: int8 needs a torch build with x86 quantised kernels; use weights: f32")


def _reduce_range() -> bool:
    """Whether activations must keep to 7 bits: without VNNI the kernels add pairs in saturating 16-bit sums."""
    return not torch.cpu._is_vnni_supported()


def _row_scales(weight: Tensor) -> Tensor:
    """What maps each row's largest magnitude to 127: float32 [rows]."""
    # Not abs().amax(): for a large vocabulary the copy that abs makes costs more than all the rest of quantising.
    magnitudes = torch.maximum(weight.amax(dim=1), -weight.amin(dim=1))
    return magnitudes.div_(127).clamp_min_(_SMALLEST)


class Int8Linear:
    """A linear with int8 weights. Needs at least 2 input features."""

    def __init__(self, weight: Tensor) -> None:
        rows, columns = weight.shape
        scales = _row_scales(weight)
        with warnings.catch_warnings():
            # Quantised tensors are announced to go; the packed weight made from one is not.
            warnings.filterwarnings("ignore", message=".*quantized tensor creation functions", category=UserWarning)
            zero_points = torch.zeros(rows, dtype=torch.int64)
            quantised = torch.quantize_per_channel(weight, scales, zero_points, 0, torch.qint8)
        self._packed = torch.ops.quantized.linear_prepack(quantised, None)
        self._row_sums = quantised.int_repr().sum(dim=1) * scales
        self._reduce_range = _reduce_range()
        self._half_steps = 63.5 if self._reduce_range else 127.5  # of the kernel's grid, either side of the middle
        self._sentinel = torch.zeros(1, columns)
        self._sentinel[0, 0], self._sentinel[0, 1] = -1.0, 1.0
        self.nbytes = rows * columns + scales.nbytes + self._row_sums.nbytes

    def __call__(self, x: Tensor) -> Tensor:
        low = x.amin(dim=1, keepdim=True).clamp_max_(0.0)
        high = x.amax(dim=1, keepdim=True).clamp_min_(0.0)
        half_width = (high - low).mul_(0.5 * _SLACK).clamp_min_(_SMALLEST)
        middle = (low + high).mul_(0.5 * self._half_steps).div_(half_width).round_() * (half_width / self._half_steps)
        # A poisoned row (NaN, infinity) must not reach the kernel's range; mapping back restores the poison.
        mapped = (x - middle).div_(half_width).nan_to_num_(0.0)
        product = torch.ops.quantized.linear_dynamic(
            torch.cat((mapped, self._sentinel)), self._packed, self._reduce_range
        )
        return torch.addcmul(middle * self._row_sums, product[:-1], half_width)


class Int8Embedding:
    """A table of int8 rows with one scale each."""

    def __init__(self, weight: Tensor) -> None:
        self._scales = _row_scales(weight)
        self._values = (weight / self._scales[:, None]).round_().to(torch.int8)
        self.nbytes = self._values.nbytes + self._scales.nbytes

    def __call__(self, tokens: Tensor) -> Tensor:
        return self._values[tokens] * self._scales[tokens, None]
