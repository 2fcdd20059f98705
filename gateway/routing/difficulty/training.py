"""From labelled prompts to weights. Pure Python; seconds for hundreds of rows, a minute or so for ten thousand.

The two cuts share one line, each with a logistic loss (the all-threshold loss of Rennie and Srebro, 2005), by
stochastic gradient with a rate for each weight (AdaGrad; Duchi et al., 2011). What is learnt by heart looks surer than
it is, so slope and cuts are then fitted to scores of rows whose family the weights had not seen (Platt, 1999).
"""

from __future__ import annotations

import hashlib
import math
import random
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from gateway.routing.difficulty.features import BUCKETS, MEASURES, Features, extract
from gateway.routing.difficulty.model import TIERS, DifficultyModel, logistic
from gateway.routing.difficulty.rows import Row, TrainingDataError

EPOCHS = 12
CALIBRATION_EPOCHS = 60
RATE = 0.3
DECAY = 1e-3  # of a weight with each step that moves it
FOLDS = 5
SEED = 1729
_FOLD_SALT = 0xF01D  # or the folds would be those of the held-out split

Inputs = Sequence[tuple[int, float]]  # places and values
Example = tuple[Inputs, int]  # and the rank of the label


def train(rows: Sequence[Row], *, seed: int = SEED) -> DifficultyModel:
    """Fit the weights to all of `rows`; the same rows and seed make the same weights.

    Raises TrainingDataError if a tier has no row.
    """
    for tier in TIERS:
        if all(row.label is not tier for row in rows):
            raise TrainingDataError(f"there is no row labelled {tier} to train on")
    examples = [(_inputs(extract(row.prompt)), row.label.rank) for row in rows]
    rng = random.Random(seed)
    unseen = list(_unseen_points(rows, examples, rng))
    calibration = _Fit(size=1, decay=0.0)
    calibration.weights[0] = 1.0
    calibration.run(unseen, CALIBRATION_EPOCHS, rng)
    slope = max(calibration.weights[0], 0.0)  # rows without any pattern may turn it round
    fit = _Fit(size=BUCKETS + len(MEASURES), decay=DECAY)
    fit.run(examples, EPOCHS, rng)
    centre = slope * fit.middle()
    return _rounded(
        [slope * weight for weight in fit.weights],
        (centre + calibration.cuts[0], centre + calibration.cuts[1]),
        {"rows": len(rows), "data": digest(rows), "epochs": EPOCHS, "seed": seed},
    )


def digest(rows: Sequence[Row]) -> str:
    """SHA-256 of the rows in their order, in hex: which data weights are from."""
    return hashlib.sha256(msgspec.json.encode(rows)).hexdigest()


class _Fit:
    """Weights and cuts under way."""

    def __init__(self, size: int, decay: float) -> None:
        self.weights = [0.0] * size
        self.cuts = [-0.5, 0.5]
        self._decay = decay
        self._squares = [1e-2] * size
        self._cut_squares = [1e-2, 1e-2]

    def run(self, examples: Sequence[Example], epochs: int, rng: random.Random) -> None:
        """Go through all examples so many times, each time in another order."""
        order = list(examples)
        for _ in range(epochs):
            rng.shuffle(order)
            for inputs, rank in order:
                self._step(inputs, rank)

    def point(self, inputs: Inputs) -> float:
        """Where on the line a prompt stands."""
        weights = self.weights
        return sum(weights[place] * value for place, value in inputs)

    def middle(self) -> float:
        return sum(self.cuts) / len(self.cuts)

    def _step(self, inputs: Inputs, rank: int) -> None:
        point = self.point(inputs)
        slopes = [logistic(point - cut) - (rank > index) for index, cut in enumerate(self.cuts)]
        slope = sum(slopes)
        weights, squares = self.weights, self._squares
        for place, value in inputs:
            gradient = slope * value + self._decay * weights[place]
            squares[place] += gradient * gradient
            weights[place] -= RATE * gradient / math.sqrt(squares[place])
        for index, cut_slope in enumerate(slopes):
            self._cut_squares[index] += cut_slope * cut_slope
            self.cuts[index] += RATE * cut_slope / math.sqrt(self._cut_squares[index])
        self.cuts.sort()


def _unseen_points(rows: Sequence[Row], examples: Sequence[Example], rng: random.Random) -> Iterator[Example]:
    """Each row's point, from weights that were fitted without its family, relative to the middle of their cuts."""
    folds = [row.fold(FOLDS, _FOLD_SALT) for row in rows]
    for fold in range(FOLDS):
        fit = _Fit(size=BUCKETS + len(MEASURES), decay=DECAY)
        fit.run([example for example, own in zip(examples, folds, strict=True) if own != fold], EPOCHS, rng)
        for (inputs, rank), own in zip(examples, folds, strict=True):
            if own == fold:
                yield ((0, fit.point(inputs) - fit.middle()),), rank


def _inputs(features: Features) -> Inputs:
    """As `DifficultyModel.score` weighs them: buckets first, then measures."""
    inputs = [(BUCKETS + index, value) for index, value in enumerate(features.measures) if value]
    for buckets in (features.terms, features.grams):
        inputs += [(bucket, 1 / math.sqrt(len(buckets))) for bucket in sorted(buckets)]
    return inputs


def _rounded(weights: Sequence[float], cuts: tuple[float, float], trained: dict[str, Any]) -> DifficultyModel:
    """The model, with a byte for each bucket."""
    hashed, measures = weights[:BUCKETS], weights[BUCKETS:]
    scale = max(map(abs, hashed)) / 127 or 1.0
    return DifficultyModel(
        hashed=array("b", (round(weight / scale) for weight in hashed)),
        scale=scale,
        measures=tuple(round(weight, 6) for weight in measures),
        cuts=(round(cuts[0], 6), round(cuts[1], 6)),
        trained=trained,
    )
