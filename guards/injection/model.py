"""The weights, their file, and what they say of a stretch of words: two linear models over `features`.

One head is for what people say to a model (`direct`), one for texts that were fetched (`indirect`), where a plain
order to whoever reads it is already odd. The file is JSON (data, never code): one signed byte for each bucket, packed
(zlib) in base64. See `train` for how it is made.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import msgspec

from guards.injection.features import BUCKETS, FEATURES, norm, sums

FORMAT = "sluicegate-injection"
VERSION = 1
MAX_FILE_BYTES = 2**20

SPAN = 80  # tokens that are weighed together in what people say
_STRIDE = SPAN // 2
SENTENCE = 48  # tokens of a sentence of a fetched text; a longer one is cut
FEWEST = 3  # tokens of a sentence that says enough to be weighed
NOTHING = -9.0  # log-odds of a text with nothing to weigh


class InjectionModelError(ValueError):
    """A weights file that cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Head:
    """`weights`: one for each hash, in units of `scale` (see `features.sums`). `bias`: log-odds of unknown words."""

    weights: array[int]
    scale: float
    bias: float

    @classmethod
    def of(cls, buckets: Sequence[int], scale: float, bias: float) -> Self:
        """From one weight of -127 to 127 for each bucket."""
        return cls(array("b", [*buckets, *(-weight for weight in buckets)]), scale, bias)

    @property
    def buckets(self) -> array[int]:
        return self.weights[:BUCKETS]

    def spans(self, tokens: Sequence[bytes]) -> float:
        """The highest log-odds of any stretch of `SPAN` tokens: padding neither adds nor takes away."""
        totals = sums(tokens, self.weights)
        last = len(tokens)
        starts = range(0, max(last - _STRIDE, 1), _STRIDE)
        return max(self._odds(totals, start, min(start + SPAN, last)) for start in starts)

    def sentences(self, tokens: Sequence[bytes]) -> float:
        """The highest log-odds of any sentence of at least `FEWEST` tokens."""
        totals = sums(tokens, self.weights)
        best = NOTHING
        for start, end in sentence_bounds(tokens):
            best = max(best, self._odds(totals, start, end))
        return best

    def _odds(self, totals: Sequence[int], start: int, end: int) -> float:
        if start == end:
            return NOTHING
        return self.bias + self.scale * (totals[end] - totals[start]) / norm(end - start)


def sentence_bounds(tokens: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Where sentences of at least `FEWEST` tokens begin and end; longer ones than `SENTENCE` are cut."""
    start = 0
    for place, token in enumerate(tokens):
        ends = token == b"."
        if ends or place - start >= SENTENCE:
            if place - start >= FEWEST:
                yield start, place
            start = place + ends
    if len(tokens) - start >= FEWEST:
        yield start, len(tokens)


@dataclass(frozen=True, slots=True)
class InjectionModel:
    """`trained` tells where the weights come from; nothing computes with it."""

    direct: Head
    indirect: Head
    trained: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """The file, as `from_json` reads it."""
        heads = {"direct": self.direct, "indirect": self.indirect}
        return msgspec.json.format(
            msgspec.json.encode(
                {
                    "format": FORMAT,
                    "version": VERSION,
                    "features": FEATURES,
                    "trained": dict(self.trained),
                    "heads": {
                        name: {
                            "bias": head.bias,
                            "scale": head.scale,
                            "hashed": base64.b64encode(zlib.compress(head.buckets.tobytes(), 9)).decode(),
                        }
                        for name, head in heads.items()
                    },
                }
            ),
            indent=1,
        )

    @classmethod
    def from_json(cls, raw: bytes) -> Self:
        """Raises InjectionModelError."""
        try:
            data = msgspec.json.decode(raw, type=_File)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise InjectionModelError(f"the weights file is not a file of weights ({error})") from None
        if data.format != FORMAT:
            raise InjectionModelError("the weights file is JSON of another kind")
        if (data.version, data.features) != (VERSION, FEATURES):
            raise InjectionModelError("the weights file is of another version of Sluicegate; train it anew")
        return cls(data.heads.direct.head(), data.heads.indirect.head(), data.trained)

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read a weights file; the bundled one without a path. Raises InjectionModelError."""
        source = files(__package__) / "data" / "weights.json" if path is None else path
        try:
            with source.open("rb") as file:
                raw = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise InjectionModelError(f"the weights file cannot be read: {error.strerror}") from None
        if len(raw) > MAX_FILE_BYTES:
            raise InjectionModelError(f"the weights file is larger than {MAX_FILE_BYTES} bytes")
        return cls.from_json(raw)


@cache
def bundled() -> InjectionModel:
    """The weights that ship, read once. Raises InjectionModelError."""
    return InjectionModel.load()


class _Head(msgspec.Struct):
    bias: float
    scale: float
    hashed: str

    def head(self) -> Head:
        try:
            packed = base64.b64decode(self.hashed, validate=True)
            weights = array("b", zlib.decompressobj().decompress(packed, BUCKETS + 1))
        except (binascii.Error, ValueError, zlib.error):
            raise InjectionModelError("the weights file has weights that cannot be unpacked") from None
        if len(weights) != BUCKETS:
            raise InjectionModelError(f"the weights file has not {BUCKETS} weights for each head")
        if -128 in weights:
            raise InjectionModelError("the weights file has weights below -127")
        return Head.of(weights, self.scale, self.bias)


class _Heads(msgspec.Struct):
    direct: _Head
    indirect: _Head


class _File(msgspec.Struct):
    format: str
    version: int
    features: int
    heads: _Heads
    trained: dict[str, Any] = {}
