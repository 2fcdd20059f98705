"""How well weights do on labelled prompts that they were not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.routing.difficulty.decision import DEFAULT_THRESHOLDS, tier_of
from gateway.routing.difficulty.features import extract
from gateway.routing.difficulty.model import TIERS, DifficultyModel, Tier
from gateway.routing.difficulty.rows import Row, TrainingDataError


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`confusion[asked][given]` counts rows by their label's and their decision's rank.

    `auc` is how often a hard row scores above a simple one (ties count half); None if one of the two has no row.
    """

    confusion: tuple[tuple[int, ...], ...]
    auc: float | None

    @property
    def rows(self) -> int:
        return sum(map(sum, self.confusion))

    @property
    def accuracy(self) -> float:
        return sum(self.confusion[rank][rank] for rank in range(len(TIERS))) / self.rows

    def shown(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "rows": self.rows,
            "accuracy": round(self.accuracy, 4),
            "auc_simple_vs_hard": None if self.auc is None else round(self.auc, 4),
            "label_to_decision": {
                asked.value: {given.value: self.confusion[asked.rank][given.rank] for given in TIERS} for asked in TIERS
            },
        }


def evaluate(
    model: DifficultyModel, rows: Sequence[Row], thresholds: tuple[float, float] = DEFAULT_THRESHOLDS
) -> Evaluation:
    """How the model does on `rows`. Raises TrainingDataError if there are none."""
    if not rows:
        raise TrainingDataError("there are no rows to evaluate on")
    counts = [[0] * len(TIERS) for _ in TIERS]
    scores: dict[Tier, list[float]] = {tier: [] for tier in TIERS}
    for row in rows:
        score = model.score(extract(row.prompt))
        counts[row.label.rank][tier_of(score, thresholds).rank] += 1
        scores[row.label].append(score)
    return Evaluation(tuple(map(tuple, counts)), _auc(scores[Tier.SIMPLE], scores[Tier.HARD]))


def _auc(lower: Sequence[float], upper: Sequence[float]) -> float | None:
    """The share of pairs in which the second is above the first, by ranks (Mann and Whitney, 1947)."""
    if not lower or not upper:
        return None
    ranked = sorted([*((score, 0) for score in lower), *((score, 1) for score in upper)])
    won = 0.0
    start = below = 0
    while start < len(ranked):
        end = start
        while end < len(ranked) and ranked[end][0] == ranked[start][0]:
            end += 1
        tied_upper = sum(side for _, side in ranked[start:end])
        tied_lower = end - start - tied_upper
        won += tied_upper * (below + tied_lower / 2)
        below += tied_lower
        start = end
    return won / (len(lower) * len(upper))
