"""What a model's shape is, read from its GGUF metadata and checked. Not its weights and not its tokenizer.

A file that states something this engine does not compute (another architecture, rope scaling, experts, a sliding
window) is refused: a model run by the wrong formula answers fluently and wrongly.
Key names: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.errors import ModelFileError
from engine.gguf import Header

ARCHITECTURES = ("llama",)

# Keys that change the computation, with the only value that means "no change".
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "rope.scaling.type": ("none",),
    "rope.scaling.factor": (0.0, 1.0),
    "rope.scaling.attn_factor": (1.0,),
    "rope.scale_linear": (0.0, 1.0),
    "rope.dimension_sections": (),
    "expert_count": (0,),
    "attention.sliding_window": (0,),
    "attention.clamp_kqv": (0.0,),
    "attention.max_alibi_bias": (0.0,),
    "attention.causal": (True,),
    "attention.scale": (0.0,),
    "attn_logit_softcapping": (0.0,),
    "final_logit_softcapping": (0.0,),
    "logit_scale": (1.0,),
    "embedding_scale": (1.0,),
    "residual_scale": (1.0,),
    "use_parallel_residual": (False,),
}

_END_KEYS = ("eos_token_id", "eot_token_id", "eom_token_id")


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A decoder's shape. `context` is the number of positions the model was made for.

    `vocab_size` counts real tokens; `vocab_rows` counts rows of the embedding, which may be padded beyond them.
    """

    architecture: str
    layers: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab_size: int
    vocab_rows: int
    context: int
    norm_eps: float
    rope_base: float
    tied_embeddings: bool
    eos_token_ids: frozenset[int]

    @classmethod
    def from_header(cls, header: Header) -> ModelConfig:
        """Raises ModelFileError if a field is missing, contradicts another, or is not supported."""
        metadata = header.metadata
        architecture = metadata.get("general.architecture")
        if architecture not in ARCHITECTURES:
            raise ModelFileError(f"the model's architecture is {architecture!r}; supported: {', '.join(ARCHITECTURES)}")
        fields = _Fields(metadata, architecture)
        fields.refuse_unsupported()
        if "rope_freqs.weight" in header.tensors:
            raise ModelFileError("the model scales its rope by 'rope_freqs.weight', which is not supported")
        embedding = header.tensors.get("token_embd.weight")
        if embedding is None or len(embedding.shape) != 2:
            raise ModelFileError("the model has no two-dimensional tensor 'token_embd.weight'")

        hidden = fields.count("embedding_length")
        heads = fields.count("attention.head_count")
        config = cls(
            architecture=architecture,
            layers=fields.count("block_count"),
            hidden=hidden,
            ffn=fields.count("feed_forward_length"),
            heads=heads,
            kv_heads=fields.count("attention.head_count_kv", heads),
            head_dim=fields.count("attention.key_length", hidden // heads),
            vocab_size=_vocab_size(metadata, fields, embedding.shape[0]),
            vocab_rows=embedding.shape[0],
            context=fields.count("context_length"),
            norm_eps=fields.positive("attention.layer_norm_rms_epsilon"),
            rope_base=fields.positive("rope.freq_base", 10_000.0),
            tied_embeddings="output.weight" not in header.tensors,
            eos_token_ids=_end_tokens(metadata, embedding.shape[0]),
        )
        config._check(fields)
        return config

    def _check(self, fields: _Fields) -> None:
        if self.heads % self.kv_heads:
            raise ModelFileError(f"{self.heads} attention heads cannot share {self.kv_heads} key-value heads")
        if "attention.key_length" not in fields and self.hidden % self.heads:
            raise ModelFileError(f"{self.heads} attention heads do not divide a hidden size of {self.hidden}")
        value_length = fields.count("attention.value_length", self.head_dim)
        if value_length != self.head_dim:
            raise ModelFileError(f"keys of length {self.head_dim} with values of {value_length} are not supported")
        rotated = fields.count("rope.dimension_count", self.head_dim)
        if rotated != self.head_dim or self.head_dim % 2:
            raise ModelFileError(f"rope over {rotated} of {self.head_dim} dimensions is not supported")


class _Fields:
    """Typed access to one architecture's keys."""

    def __init__(self, metadata: dict[str, Any], architecture: str) -> None:
        self._metadata = metadata
        self._prefix = architecture + "."

    def __contains__(self, key: str) -> bool:
        return self._prefix + key in self._metadata

    def _get(self, key: str, default: Any) -> Any:
        value = self._metadata.get(self._prefix + key, default)
        if value is None:
            raise ModelFileError(f"the model file lacks the field {self._prefix + key!r}")
        return value

    def count(self, key: str, default: int | None = None) -> int:
        """A whole number of at least 1."""
        value = self._get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ModelFileError(f"the field {self._prefix + key!r} is {value!r:.80}, not a positive whole number")
        return value

    def positive(self, key: str, default: float | None = None) -> float:
        """A finite number above 0."""
        value = self._get(key, default)
        if not isinstance(value, (int, float)) or not 0 < value < float("inf"):
            raise ModelFileError(f"the field {self._prefix + key!r} is {value!r:.80}, not a positive number")
        return float(value)

    def refuse_unsupported(self) -> None:
        for key, neutral in _NEUTRAL.items():
            if key in self and self._metadata[self._prefix + key] not in neutral:
                value = self._metadata[self._prefix + key]
                raise ModelFileError(f"the model sets {self._prefix + key!r} to {value!r:.80}, which is not supported")


def _vocab_size(metadata: dict[str, Any], fields: _Fields, rows: int) -> int:
    tokens = metadata.get("tokenizer.ggml.tokens")
    size = len(tokens) if isinstance(tokens, list) else fields.count("vocab_size", rows)
    if not 1 <= size <= rows:
        raise ModelFileError(f"the vocabulary has {size} tokens, but the embedding {rows} rows")
    return size


def _end_tokens(metadata: dict[str, Any], rows: int) -> frozenset[int]:
    found = set()
    for name in _END_KEYS:
        token = metadata.get(f"tokenizer.ggml.{name}")
        if token is None:
            continue
        if not isinstance(token, int) or not 0 <= token < rows:
            raise ModelFileError(f"the field 'tokenizer.ggml.{name}' is {token!r:.80}, not a token of the vocabulary")
        found.add(token)
    return frozenset(found)
