"""From a GGUF file to a model in memory: every tensor is checked, dequantised, and packed as asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.config import Weights
from engine.errors import ModelFileError
from engine.gguf import Header
from engine.model import quant
from engine.model.config import ModelConfig
from engine.model.dequant import to_float32
from engine.model.layers import DenseEmbedding, DenseLinear, Embedding, Linear, RMSNorm
from engine.model.llama import Layer, LlamaModel
from engine.model.rope import RopeTable, inverse_frequencies, pairs_to_halves


def load_model(path: str | Path, header: Header, *, weights: Weights, positions: int) -> LlamaModel:
    """Load the model of the file `path`, whose header is `header`, for sequences of up to `positions` tokens.

    Raises ModelFileError if a tensor is missing, unexpected, of a wrong shape, of a type that cannot be
    dequantised, or not finite; EngineConfigError if `weights` cannot be had on this machine.
    """
    make_linear: Callable[[Tensor], Linear]
    make_embedding: Callable[[Tensor], Embedding]
    if weights == "int8":
        quant.check_available(torch.backends.quantized.supported_engines)
        make_linear, make_embedding = quant.Int8Linear, quant.Int8Embedding
    else:
        make_linear, make_embedding = DenseLinear, DenseEmbedding

    config = ModelConfig.from_header(header)
    tensors = TensorReader(path, header)
    vocab = tensors.read("token_embd.weight", config.vocab_rows, config.hidden)
    head = vocab if config.tied_embeddings else tensors.read("output.weight", config.vocab_rows, config.hidden)
    model = LlamaModel(
        config,
        embedding=make_embedding(vocab),
        layers=[_layer(tensors, config, index, make_linear) for index in range(config.layers)],
        norm=RMSNorm(tensors.read("output_norm.weight", config.hidden), config.norm_eps),
        lm_head=make_linear(head),
        rope=RopeTable(inverse_frequencies(config.head_dim, config.rope_base), positions),
    )
    tensors.refuse_unread()
    return model


def _layer(tensors: TensorReader, config: ModelConfig, index: int, linear: Callable[[Tensor], Linear]) -> Layer:
    hidden, q_rows, kv_rows = config.hidden, config.heads * config.head_dim, config.kv_heads * config.head_dim

    def read(name: str, *shape: int) -> Tensor:
        return tensors.read(f"blk.{index}.{name}.weight", *shape)

    qkv = (
        pairs_to_halves(read("attn_q", q_rows, hidden), config.heads),
        pairs_to_halves(read("attn_k", kv_rows, hidden), config.kv_heads),
        read("attn_v", kv_rows, hidden),
    )
    return Layer(
        attention_norm=RMSNorm(read("attn_norm", hidden), config.norm_eps),
        qkv=linear(torch.cat(qkv)),
        output=linear(read("attn_output", hidden, q_rows)),
        ffn_norm=RMSNorm(read("ffn_norm", hidden), config.norm_eps),
        gate_up=linear(torch.cat((read("ffn_gate", config.ffn, hidden), read("ffn_up", config.ffn, hidden)))),
        down=linear(read("ffn_down", hidden, config.ffn)),
    )


class TensorReader:
    """Reads a GGUF file's tensors as float32 and remembers which were asked for."""

    def __init__(self, path: str | Path, header: Header) -> None:
        try:
            self._data = np.memmap(path, dtype=np.uint8, mode="r")
        except (OSError, ValueError) as error:
            raise ModelFileError(f"{path} cannot be read: {error}") from error
        self._tensors = header.tensors
        self._unread = set(header.tensors)

    def read(self, name: str, *shape: int) -> Tensor:
        """The tensor `name` as float32. Raises ModelFileError unless it is there, finite, and of `shape`."""
        info = self._tensors.get(name)
        if info is None:
            raise ModelFileError(f"the model file lacks the tensor {name!r}")
        if info.shape != shape:
            raise ModelFileError(f"tensor {name!r} has shape {info.shape}, but the metadata asks for {shape}")
        raw = self._data[info.offset : info.offset + info.nbytes]
        try:
            tensor = to_float32(raw, info.type, shape)
        except ModelFileError as error:
            raise ModelFileError(f"tensor {name!r} cannot be read: {error}") from error
        if not torch.isfinite(tensor.sum()):
            raise ModelFileError(f"tensor {name!r} holds values that are not finite")
        self._unread.discard(name)
        return tensor

    def refuse_unread(self) -> None:
        """Raise ModelFileError if the file has tensors that nothing asked for."""
        if self._unread:
            names = ", ".join(sorted(self._unread)[:3])
            raise ModelFileError(f"the model file has {len(self._unread)} tensors that are not supported: {names}")
