"""The weights, their file, and the score: a linear model over `features`, with two cuts for three tiers.

The file is JSON (data, never code): one signed byte for each bucket in base64, floats for the rest. See `training`
for how it is made.
"""

from __future__ import annotations

import base64
import binascii
import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import msgspec

from gateway.routing.difficulty.features import BUCKETS, MEASURES, Features

FORMAT = "sluicegate-difficulty"
VERSION = 1
MAX_FILE_BYTES = 2**20
_REMEDY = "make one with: sluicegate difficulty train --data FILE.jsonl --out model.json"


class Tier(StrEnum):
    """How much a question asks of a model, and so the model it is sent to."""

    SIMPLE = "simple"
    MEDIUM = "medium"
    HARD = "hard"

    @property
    def rank(self) -> int:
        """0, 1 or 2."""
        return _RANKS[self]


TIERS = tuple(Tier)
_RANKS = {tier: rank for rank, tier in enumerate(TIERS)}


class DifficultyModelError(ValueError):
    """A weights file that cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class DifficultyModel:
    """`hashed` has a weight of -127 to 127 for each bucket, in units of `scale`; `measures` one for each measure.

    `cuts` are the points on the line behind which a prompt is rather medium than simple, and rather hard than medium.
    `trained` tells where the weights come from; nothing computes with it.
    """

    hashed: array[int]
    scale: float
    measures: tuple[float, ...]
    cuts: tuple[float, float]
    trained: Mapping[str, Any] = field(default_factory=dict)

    def score(self, features: Features) -> float:
        """From 0 (simple) over 0.5 (medium) to 1 (hard): the expected tier, of the tiers' probabilities.

        A proportional-odds model (McCullagh, 1980): one line, two cuts.
        """
        weight = self.hashed.__getitem__
        point = sum(a * b for a, b in zip(self.measures, features.measures, strict=True))
        for buckets in (features.terms, features.grams):
            if buckets:
                point += self.scale * sum(map(weight, buckets)) / math.sqrt(len(buckets))
        return (logistic(point - self.cuts[0]) + logistic(point - self.cuts[1])) / 2

    def to_json(self) -> bytes:
        """The file, as `from_json` reads it."""
        return msgspec.json.format(
            msgspec.json.encode(
                {
                    "format": FORMAT,
                    "version": VERSION,
                    "trained": dict(self.trained),
                    "cuts": self.cuts,
                    "measures": dict(zip(MEASURES, self.measures, strict=True)),
                    "scale": self.scale,
                    "hashed": base64.b64encode(self.hashed.tobytes()).decode(),
                }
            ),
            indent=1,
        )

    @classmethod
    def from_json(cls, raw: bytes) -> Self:
        """Raises DifficultyModelError."""
        try:
            data = msgspec.json.decode(raw, type=_File)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise _unusable(f"is not a file of weights ({error})") from None
        if data.format != FORMAT:
            raise _unusable("is JSON of another kind")
        if data.version != VERSION:
            raise _unusable(f"has format version {data.version}, and this version of Sluicegate reads {VERSION}")
        if set(data.measures) != set(MEASURES):
            raise _unusable("was trained on other measures than this version of Sluicegate takes")
        try:
            hashed = array("b", base64.b64decode(data.hashed, validate=True))
        except (binascii.Error, ValueError):
            raise _unusable("has weights that are not base64") from None
        if len(hashed) != BUCKETS:
            raise _unusable(f"has {len(hashed)} hashed weights in place of {BUCKETS}")
        if data.cuts[0] > data.cuts[1]:
            raise _unusable("has its cuts in the wrong order")
        measures = tuple(data.measures[name] for name in MEASURES)
        return cls(hashed, data.scale, measures, data.cuts, data.trained)

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read a weights file; the bundled one without a path. Raises DifficultyModelError."""
        source = files(__package__) / "data" / "model.json" if path is None else path
        try:
            with source.open("rb") as file:
                raw = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise _unusable(f"cannot be read: {error.strerror}") from None
        if len(raw) > MAX_FILE_BYTES:
            raise _unusable(f"is larger than {MAX_FILE_BYTES} bytes")
        return cls.from_json(raw)


class _File(msgspec.Struct):
    format: str
    version: int
    cuts: tuple[float, float]
    measures: dict[str, float]
    scale: float
    hashed: str
    trained: dict[str, Any] = {}


def logistic(point: float) -> float:
    """1 / (1 + e^-point), without overflow."""
    return 0.5 + 0.5 * math.tanh(point / 2)


def _unusable(reason: str) -> DifficultyModelError:
    return DifficultyModelError(f"the weights file {reason}; {_REMEDY}, or leave the key out for the bundled one")
