"""An operator's own classifier as an ONNX model (Prompt Guard 2 and the like), run in a worker process.

The folder holds `model.onnx`, with `input_ids` and `attention_mask` going in and one row of logits for each text coming
out, and `tokenizer.json` in Hugging Face's format. Long texts are read in overlapping windows of tokens; the highest
score counts. Nothing is downloaded; `onnxruntime` and `tokenizers` are only loaded in the worker.
"""

from __future__ import annotations

import math
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from guards.pool import PoolError, WorkerPool
from guards.types import GuardConfigError

FILES = ("model.onnx", "tokenizer.json")
TOKENS = 512  # of a window
OVERLAP = 64
BATCH = 8  # windows that are run at once
MOST_CHARACTERS = 200_000  # of a text; a longer one cannot be vouched for
LIMIT = 60.0  # seconds for one text in the worker
LEAST_APART = 0.1  # by which the scores of the two canaries must differ


class TextTooLong(Exception):
    """A text has more characters than the classifier is made to read."""


class Classifier:
    """`benign`: which of the logits stands for harmless texts; the others together are the score."""

    def __init__(self, folder: Path, benign: int, pool: WorkerPool) -> None:
        self._folder = folder
        self._benign = benign
        self._pool = pool

    @staticmethod
    def check(folder: Path) -> None:
        """Raises GuardConfigError if the folder has not what is needed; loads nothing."""
        for name in FILES:
            if not (folder / name).is_file():
                raise GuardConfigError(f"there is no file {name} in {folder}", ("onnx",))

    async def prepare(self, attack: str, benign: str) -> None:
        """Load the model and try it on a text of either kind. Raises GuardConfigError."""
        try:
            first = await self._pool.load(load, str(self._folder), self._benign, attack)
            second = await self.score(benign)
        except PoolError as error:
            raise GuardConfigError(f"the model in {self._folder} does not work: {error}", ("onnx",)) from None
        if not first - second >= LEAST_APART:
            raise GuardConfigError(
                f"the model in {self._folder} gives an obvious injection {first:.2f} and a harmless text {second:.2f}; "
                "it cannot tell them apart. Is onnx_benign_label right?",
                ("onnx",),
            )

    async def score(self, text: str) -> float:
        """0 to 1: the highest of all windows. Raises PoolError, TextTooLong."""
        if len(text) > MOST_CHARACTERS:
            raise TextTooLong(f"more than {MOST_CHARACTERS} characters")
        sent = text.encode("utf-8", "replace").decode()  # no lone surrogates
        return await self._pool.run(highest, str(self._folder), self._benign, sent, limit=LIMIT)


def load(folder: str, benign: int, text: str) -> float:
    """In a worker: load what `highest` needs, and use it once."""
    return highest(folder, benign, text)


def highest(folder: str, benign: int, text: str) -> float:
    """In a worker: 1 minus the probability of `benign`, in the window where that is highest.

    Raises ValueError for a model of another shape.
    """
    session, tokenizer = _loaded(folder)
    first = tokenizer.encode(text)
    windows = [first, *first.overflowing]
    names = {wanted.name for wanted in session.get_inputs()}
    best = 0.0
    for start in range(0, len(windows), BATCH):
        best = max(best, _run(session, names, windows[start : start + BATCH], benign))
    return best


@lru_cache(maxsize=2)
def _loaded(folder: str) -> tuple[Any, Any]:
    onnxruntime, tokenizers = import_module("onnxruntime"), import_module("tokenizers")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(Path(folder) / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )
    tokenizer = tokenizers.Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    tokenizer.enable_truncation(TOKENS, stride=OVERLAP)
    tokenizer.no_padding()
    return session, tokenizer


def _run(session: Any, names: set[str], windows: list[Any], benign: int) -> float:
    np = import_module("numpy")
    length = max(max(len(window.ids) for window in windows), 1)
    given = {name: np.zeros((len(windows), length), dtype=np.int64) for name in names}
    for row, window in enumerate(windows):
        for name, values in (
            ("input_ids", window.ids),
            ("attention_mask", window.attention_mask),
            ("token_type_ids", window.type_ids),
        ):
            if name in given:
                given[name][row, : len(values)] = values
    logits = np.asarray(session.run(None, given)[0], dtype=np.float64)
    if logits.ndim != 2 or len(logits) != len(windows) or not 0 <= benign < logits.shape[1] or logits.shape[1] < 2:
        raise ValueError(f"the model's first output has the shape {logits.shape}; one row of logits a text is needed")
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    score = float((1 - odds[:, benign] / odds.sum(axis=1)).max())
    if not math.isfinite(score):
        raise ValueError("the model's scores are not numbers")
    return score
