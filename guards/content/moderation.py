"""Answers what a moderation endpoint answers: which of OpenAI's categories a text is in, by the categories' rules."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from guards.content.categories import CATEGORIES, MODERATION, scorer
from guards.content.judges import windows
from guards.turns import in_turn

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Moderation:
    """Of one text. `scores`: every category of `MODERATION`, 0 to 1. `flagged`: those that reach their threshold."""

    scores: Mapping[str, float]
    flagged: frozenset[str]


async def moderate(
    texts: Sequence[str], thresholds: Mapping[str, float] | None = None, default: float = DEFAULT_THRESHOLD
) -> list[Moderation]:
    """One answer for each text. `thresholds`: by the guard's categories (`self_harm` covers all three of OpenAI's)."""
    limits = dict.fromkeys(MODERATION, default)
    for category, threshold in (thresholds or {}).items():
        limits.update(
            (label, threshold) for label in CATEGORIES[category] if category != "toxicity" and label in limits
        )
    if not scorer.cache_info().currsize:  # compiling takes a quarter of a second
        await asyncio.to_thread(scorer)
    return [await _moderate(text, limits) for text in texts]


async def _moderate(text: str, limits: Mapping[str, float]) -> Moderation:
    scores = dict.fromkeys(MODERATION, 0.0)
    for index, window in enumerate(windows(text)):
        labels = partial(scorer().labels, window)
        for label, score in (await in_turn(labels) if index else labels()).items():
            if label in scores:
                scores[label] = max(scores[label], score)
    return Moderation(scores, frozenset(label for label, score in scores.items() if score >= limits[label]))
