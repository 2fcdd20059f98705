"""Makes small GGUF files of the llama architecture, and the transformers model of the same weights to compare with."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from transformers import LlamaConfig, LlamaForCausalLM

from engine.config import EngineConfig, KVCacheConfig
from engine.core.runner import BatchRow
from engine.types import SamplingParams

GREEDY = SamplingParams(max_tokens=1, temperature=0.0)

# Where the float16 scales of a K-quant's block lie; everything else in a block may be any bytes.
_SCALE_OFFSETS = {Kind.Q2_K: (80, 82), Kind.Q3_K: (108,), Kind.Q4_K: (0, 2), Kind.Q5_K: (0, 2), Kind.Q6_K: (208,)}


def real_model_path() -> Path:
    """The SmolLM2 file; its absence is a failure, never a skip."""
    default = Path(__file__).parents[2] / "models" / "smollm2-135m.gguf"
    path = Path(os.environ.get("SLUICEGATE_TEST_MODEL", default))
    if not path.is_file():
        pytest.fail(f"the test model is not at {path}: run `make test`, or set SLUICEGATE_TEST_MODEL")
    return path


@dataclass
class TinyModel:
    """A random llama. `weights` are float32 as a reader of the file should see them, in GGUF order and names."""

    hidden: int = 64
    ffn: int = 96
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 16
    vocab: int = 100
    vocab_rows: int = 100
    context: int = 128
    tied: bool = True
    kind: Kind = Kind.F32
    seed: int = 0
    metadata: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, np.ndarray] = field(default_factory=dict)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        layer: dict[str, tuple[int, ...]] = {
            "attn_norm": (self.hidden,),
            "attn_q": (q, self.hidden),
            "attn_k": (kv, self.hidden),
            "attn_v": (kv, self.hidden),
            "attn_output": (self.hidden, q),
            "ffn_norm": (self.hidden,),
            "ffn_gate": (self.ffn, self.hidden),
            "ffn_up": (self.ffn, self.hidden),
            "ffn_down": (self.hidden, self.ffn),
        }
        shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (self.vocab_rows, self.hidden)}
        for index in range(self.layers):
            shapes |= {f"blk.{index}.{name}.weight": shape for name, shape in layer.items()}
        shapes["output_norm.weight"] = (self.hidden,)
        if not self.tied:
            shapes["output.weight"] = (self.vocab_rows, self.hidden)
        return shapes

    def write(self, path: Path, *, without: str = "", extra: dict[str, Any] | None = None, poison: str = "") -> Path:
        """Write the file; `without` leaves a tensor out, `extra` adds some, `poison` puts a NaN into one."""
        generator = np.random.default_rng(self.seed)
        writer = gguf.GGUFWriter(path, "llama")
        self._write_metadata(writer)
        for name, shape in self.shapes().items():
            stored, values = random_tensor(shape, Kind.F32 if len(shape) == 1 else self.kind, generator)
            self.weights[name] = values
            if name == poison:
                stored.reshape(-1)[3] = np.nan
            if name != without:
                kind = None if stored.dtype == np.float32 else self.kind
                writer.add_tensor(name, stored, raw_dtype=kind)
        for name, values in (extra or {}).items():
            writer.add_tensor(name, values)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    def _write_metadata(self, writer: gguf.GGUFWriter) -> None:
        writer.add_block_count(self.layers)
        writer.add_context_length(self.context)
        writer.add_embedding_length(self.hidden)
        writer.add_feed_forward_length(self.ffn)
        writer.add_head_count(self.heads)
        writer.add_head_count_kv(self.kv_heads)
        writer.add_key_length(self.head_dim)
        writer.add_value_length(self.head_dim)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_rope_dimension_count(self.head_dim)
        writer.add_rope_freq_base(10_000.0)
        writer.add_token_list([f"t{index}" for index in range(self.vocab)])
        writer.add_eos_token_id(2)
        for key, value in self.metadata.items():
            add: Any = {str: writer.add_string, float: writer.add_float32, int: writer.add_uint32}[type(value)]
            add(key, value)

    def reference(self) -> LlamaForCausalLM:
        """transformers' own decoder with the weights last written."""
        config = LlamaConfig(
            vocab_size=self.vocab_rows,
            hidden_size=self.hidden,
            intermediate_size=self.ffn,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.kv_heads,
            head_dim=self.head_dim,
            max_position_embeddings=self.context,
            rms_norm_eps=1e-5,
            tie_word_embeddings=self.tied,
            rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        )
        model: Any = LlamaForCausalLM(config)
        model.eval()
        state = {_hf_name(name): torch.from_numpy(self._hf_rows(name)) for name in self.weights}
        model.load_state_dict(state, strict=self.tied is False)
        model.tie_weights()
        reference: LlamaForCausalLM = model
        return reference

    def _hf_rows(self, name: str) -> np.ndarray:
        """Rows as transformers wants them: row 2i + j of a q or k head is its row j * d/2 + i."""
        values = self.weights[name]
        if ".attn_q." not in name and ".attn_k." not in name:
            return values
        half = self.head_dim // 2
        order = [head + 2 * i + j for head in range(0, len(values), 2 * half) for j in (0, 1) for i in range(half)]
        return values[order]


_HF_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def _hf_name(name: str) -> str:
    fixed = {
        "token_embd.weight": "model.embed_tokens.weight",
        "output_norm.weight": "model.norm.weight",
        "output.weight": "lm_head.weight",
    }
    if name in fixed:
        return fixed[name]
    _, index, part, _ = name.split(".")
    return f"model.layers.{index}.{_HF_NAMES[part]}.weight"


def random_tensor(shape: tuple[int, ...], kind: Kind, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A tensor as stored, and the float32 values `gguf` reads from it."""
    if len(shape) == 1:
        values = generator.uniform(0.5, 1.5, shape).astype(np.float32)
        return values, values
    if kind in _SCALE_OFFSETS:
        block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
        stored = generator.integers(0, 256, (shape[0], shape[1] // block, block_bytes), dtype=np.uint8)
        for offset in _SCALE_OFFSETS[kind]:
            scale = generator.uniform(0.5e-4, 2e-4, stored.shape[:2]).astype(np.float16)
            stored[..., offset : offset + 2] = scale[..., None].view(np.uint8)
        stored = stored.reshape(shape[0], -1)
    else:
        values = generator.standard_normal(shape).astype(np.float32) / np.sqrt(shape[-1], dtype=np.float32)
        stored = gguf.quants.quantize(values, kind)
    return stored, np.array(gguf.quants.dequantize(stored, kind)).reshape(shape)


def engine_config(path: Path, **changes: Any) -> EngineConfig:
    """A small configuration, one thread, that holds at least 1,024 tokens of a tiny model."""
    defaults: dict[str, Any] = {
        "name": "test",
        "path": str(path),
        "threads": 1,
        "kv_cache": KVCacheConfig(memory=8 * 2**20),
    }
    return EngineConfig(**(defaults | changes))


def row(
    tokens: list[int],
    start: int,
    block_table: list[int],
    *,
    params: SamplingParams = GREEDY,
    output_index: int = 0,
    sample: bool = True,
) -> BatchRow:
    """One row of a batch."""
    return BatchRow(
        sequence_id=f"s{block_table[0]}",
        tokens=tokens,
        start=start,
        block_table=block_table,
        sample=sample,
        params=params,
        output_index=output_index,
    )
