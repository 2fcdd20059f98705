"""The Llama decoder (https://arxiv.org/abs/2302.13971): pre-norm RMSNorm, grouped-query attention with rope, SwiGLU.

Computes a ragged batch: all sequences' tokens in one list, attention per sequence. Holds weights, not the cache.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.attention.cache import Int8LayerCache, KVCache, LayerCache
from engine.attention.paged import Segment, attend
from engine.model.config import ModelConfig
from engine.model.layers import Embedding, Linear, RMSNorm
from engine.model.rope import RopeTable, rotate


@dataclass(frozen=True, slots=True)
class ModelBatch:
    """The tokens of one step. `tokens`, `positions`, `slots`: [tokens], int64."""

    tokens: Tensor
    positions: Tensor
    slots: Tensor
    segments: list[Segment]


@dataclass(frozen=True, slots=True)
class Layer:
    """One decoder layer's weights."""

    attention_norm: RMSNorm
    qkv: Linear  # rows: q heads, k heads, v heads
    output: Linear
    ffn_norm: RMSNorm
    gate_up: Linear  # rows: gate, up
    down: Linear

    @property
    def nbytes(self) -> int:
        parts = (self.attention_norm, self.qkv, self.output, self.ffn_norm, self.gate_up, self.down)
        return sum(part.nbytes for part in parts)


class LlamaModel:
    """A loaded decoder. `nbytes`: all weights as they lie in memory."""

    def __init__(
        self,
        config: ModelConfig,
        *,
        embedding: Embedding,
        layers: list[Layer],
        norm: RMSNorm,
        lm_head: Linear,
        rope: RopeTable,
    ) -> None:
        self.config = config
        self._embedding = embedding
        self._layers = layers
        self._norm = norm
        self._lm_head = lm_head
        self._rope = rope
        self.nbytes = embedding.nbytes + norm.nbytes + lm_head.nbytes + sum(layer.nbytes for layer in layers)

    def hidden(self, batch: ModelBatch, cache: KVCache) -> Tensor:
        """Write the batch's keys and values and return the last layer's output [tokens, hidden]."""
        cos_sin = self._rope.at(batch.positions)
        x = self._embedding(batch.tokens)
        for layer, layer_cache in zip(self._layers, cache.layers, strict=True):
            x = x + layer.output(self._attention(layer, layer.attention_norm(x), cos_sin, batch, layer_cache))
            gate, up = layer.gate_up(layer.ffn_norm(x)).chunk(2, dim=-1)
            x = x + layer.down(F.silu(gate) * up)
        return x

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores of the next token for rows of `hidden`'s output: [rows, vocab_size], float32.

        Rows that only pad the vocabulary are cut off, so they can never be chosen.
        """
        return self._lm_head(self._norm(hidden))[:, : self.config.vocab_size]

    def _attention(
        self,
        layer: Layer,
        x: Tensor,
        cos_sin: tuple[Tensor, Tensor],
        batch: ModelBatch,
        cache: LayerCache | Int8LayerCache,
    ) -> Tensor:
        config = self.config
        qkv = layer.qkv(x).view(x.shape[0], config.heads + 2 * config.kv_heads, config.head_dim)
        split = config.heads + config.kv_heads
        rotated = rotate(qkv[:, :split], *cos_sin)  # q and k heads together
        cache.write(batch.slots, torch.stack((rotated[:, config.heads :], qkv[:, split:])))
        return attend(rotated[:, : config.heads], cache, batch.segments)
