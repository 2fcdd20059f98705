"""Small random files of every stored type and head layout, against transformers with the same weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from model_files import TinyModel, engine_config, row

from engine.errors import ModelFileError
from engine.gguf import read_header
from engine.model.loader import load_model
from engine.runner import TorchRunner

TOKENS = [5, 17, 3, 88, 42, 42, 0, 99, 61]
BLOCKS = [3, 1]


@torch.inference_mode()
def largest_difference(tiny: TinyModel, path: Path) -> float:
    """Between our logits and transformers', at every position."""
    ours = TorchRunner(engine_config(path)).logits([row(TOKENS, 0, BLOCKS)], every_token=True)
    theirs = tiny.reference()(torch.tensor([TOKENS])).logits[0, :, : tiny.vocab]
    assert ours.shape == theirs.shape
    assert theirs.std() > 0.05  # a comparison of zeros would prove nothing
    return float((ours - theirs).abs().max())


@pytest.mark.parametrize(
    "kind",
    [Kind.F32, Kind.F16, Kind.BF16, Kind.Q8_0, Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q4_K, Kind.Q5_K, Kind.Q6_K],
    ids=lambda kind: kind.name,
)
def test_every_stored_type_gives_the_reference_logits(kind: Kind, tmp_path: Path) -> None:
    tiny = TinyModel(hidden=256, ffn=256, heads=4, kv_heads=2, head_dim=64, layers=1, kind=kind)
    assert largest_difference(tiny, tiny.write(tmp_path / "m.gguf")) < 1e-4


@pytest.mark.parametrize(
    ("heads", "kv_heads", "head_dim"), [(4, 4, 16), (4, 1, 16), (6, 2, 16), (1, 1, 32), (3, 3, 8), (4, 2, 32)]
)
def test_every_head_layout_gives_the_reference_logits(heads: int, kv_heads: int, head_dim: int, tmp_path: Path) -> None:
    tiny = TinyModel(hidden=96, heads=heads, kv_heads=kv_heads, head_dim=head_dim)
    assert largest_difference(tiny, tiny.write(tmp_path / "m.gguf")) < 1e-4


def test_an_untied_output_gives_the_reference_logits(tmp_path: Path) -> None:
    tiny = TinyModel(tied=False)
    assert largest_difference(tiny, tiny.write(tmp_path / "m.gguf")) < 1e-4


def test_rows_that_pad_the_vocabulary_are_cut_off(tmp_path: Path) -> None:
    tiny = TinyModel(vocab_rows=128)
    assert largest_difference(tiny, tiny.write(tmp_path / "m.gguf")) < 1e-4


@pytest.mark.parametrize("name", ["token_embd.weight", "blk.1.attn_k.weight", "output_norm.weight"])
def test_a_missing_tensor_is_named(name: str, tmp_path: Path) -> None:
    path = TinyModel().write(tmp_path / "m.gguf", without=name)
    with pytest.raises(ModelFileError, match=name):
        TorchRunner(engine_config(path))


def test_a_tensor_nothing_uses_is_refused(tmp_path: Path) -> None:
    extra = {"blk.0.attn_q.bias": np.zeros(64, dtype=np.float32)}
    path = TinyModel().write(tmp_path / "m.gguf", extra=extra)
    with pytest.raises(ModelFileError, match=r"attn_q\.bias"):
        TorchRunner(engine_config(path))


def test_a_tensor_of_another_shape_is_refused_with_both_shapes(tmp_path: Path) -> None:
    extra = {"output.weight": np.zeros((100, 32), dtype=np.float32)}
    path = TinyModel().write(tmp_path / "m.gguf", extra=extra)
    with pytest.raises(ModelFileError, match=r"\(100, 32\).*\(100, 64\)"):
        TorchRunner(engine_config(path))


@pytest.mark.parametrize("name", ["token_embd.weight", "blk.0.ffn_up.weight"])
def test_a_weight_that_is_not_a_number_is_refused(name: str, tmp_path: Path) -> None:
    path = TinyModel().write(tmp_path / "m.gguf", poison=name)
    with pytest.raises(ModelFileError, match="not finite"):
        TorchRunner(engine_config(path))


def test_a_file_cut_off_is_refused(tmp_path: Path) -> None:
    path = TinyModel().write(tmp_path / "m.gguf")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelFileError, match="cut off"):
        TorchRunner(engine_config(path))


def test_a_file_that_vanishes_after_its_header_is_refused(tmp_path: Path) -> None:
    path = TinyModel().write(tmp_path / "m.gguf")
    header = read_header(path)
    path.unlink()
    with pytest.raises(ModelFileError, match="cannot be read"):
        load_model(path, header, weights="f32", positions=16)


def test_a_stated_rope_scaling_is_refused(tmp_path: Path) -> None:
    path = TinyModel(metadata={"llama.rope.scaling.type": "yarn"}).write(tmp_path / "m.gguf")
    with pytest.raises(ModelFileError, match="yarn"):
        TorchRunner(engine_config(path))
