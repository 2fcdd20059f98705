"""A model's shape from its metadata; whatever cannot be computed rightly is refused."""

from __future__ import annotations

from typing import Any

import pytest
from gguf import GGMLQuantizationType as Kind

from engine.errors import ModelFileError
from engine.gguf import Header, TensorInfo
from engine.model.config import ModelConfig

METADATA: dict[str, Any] = {
    "general.architecture": "llama",
    "llama.block_count": 30,
    "llama.context_length": 8192,
    "llama.embedding_length": 576,
    "llama.feed_forward_length": 1536,
    "llama.attention.head_count": 9,
    "llama.attention.head_count_kv": 3,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.rope.freq_base": 100_000.0,
    "llama.rope.dimension_count": 64,
    "llama.vocab_size": 100,
    "tokenizer.ggml.eos_token_id": 2,
}


def header(changes: dict[str, Any] | None = None, *, without: str = "", tensors: tuple[str, ...] = ()) -> Header:
    metadata = {key: value for key, value in (METADATA | (changes or {})).items() if key != without}
    found = {name: TensorInfo(name, (104, 576), Kind.F32, 0, 0) for name in ("token_embd.weight", *tensors)}
    return Header(3, metadata, found)


def test_fields_are_read() -> None:
    config = ModelConfig.from_header(header())
    assert (config.layers, config.hidden, config.ffn) == (30, 576, 1536)
    assert (config.heads, config.kv_heads, config.head_dim) == (9, 3, 64)
    assert (config.vocab_size, config.vocab_rows, config.context) == (100, 104, 8192)
    assert config.tied_embeddings
    assert config.eos_token_ids == {2}


def test_absent_optional_fields_take_the_formats_defaults() -> None:
    config = ModelConfig.from_header(header(without="llama.attention.head_count_kv"))
    assert config.kv_heads == config.heads
    assert ModelConfig.from_header(header(without="llama.rope.freq_base")).rope_base == 10_000.0


def test_an_output_tensor_unties_the_embeddings() -> None:
    assert not ModelConfig.from_header(header(tensors=("output.weight",))).tied_embeddings


def test_every_token_that_ends_a_turn_is_an_end_token() -> None:
    changes = {"tokenizer.ggml.eot_token_id": 7, "tokenizer.ggml.eom_token_id": 9}
    assert ModelConfig.from_header(header(changes)).eos_token_ids == {2, 7, 9}


@pytest.mark.parametrize(
    "key", ["llama.block_count", "llama.embedding_length", "llama.attention.layer_norm_rms_epsilon"]
)
def test_a_missing_field_is_named(key: str) -> None:
    with pytest.raises(ModelFileError, match=key):
        ModelConfig.from_header(header(without=key))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"general.architecture": "qwen2"}, "qwen2"),
        ({"general.architecture": None}, "None"),
        ({"llama.rope.scaling.type": "yarn"}, "yarn"),
        ({"llama.rope.scaling.type": "linear"}, "linear"),
        ({"llama.rope.scale_linear": 4.0}, "scale_linear"),
        ({"llama.expert_count": 8}, "expert_count"),
        ({"llama.attention.sliding_window": 4096}, "sliding_window"),
        ({"llama.attention.head_count": [9, 8]}, "head_count"),
        ({"llama.attention.head_count_kv": 4}, "cannot share"),
        ({"llama.attention.head_count_kv": 0}, "head_count_kv"),
        ({"llama.embedding_length": 577}, "do not divide"),
        ({"llama.attention.value_length": 32}, "values of 32"),
        ({"llama.rope.dimension_count": 32}, "32 of 64"),
        ({"llama.attention.key_length": 63, "llama.attention.value_length": 63}, "63"),
        ({"llama.attention.layer_norm_rms_epsilon": float("nan")}, "epsilon"),
        ({"llama.context_length": True}, "context_length"),
        ({"llama.vocab_size": 105}, "105"),
        ({"tokenizer.ggml.eos_token_id": 104}, "eos_token_id"),
    ],
)
def test_what_cannot_be_computed_is_refused_with_its_name(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelFileError, match=words):
        ModelConfig.from_header(header(changes))


def test_neutral_values_of_the_same_fields_are_accepted() -> None:
    changes = {"llama.rope.scaling.type": "none", "llama.rope.scaling.factor": 1.0, "llama.expert_count": 0}
    ModelConfig.from_header(header(changes))


def test_rope_factors_in_a_tensor_are_refused() -> None:
    with pytest.raises(ModelFileError, match="rope_freqs"):
        ModelConfig.from_header(header(tensors=("rope_freqs.weight",)))
