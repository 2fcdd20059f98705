"""Which tier serves a request: by score and thresholds, by the caller's word, or as ever while it only watches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.errors import InvalidRequest
from gateway.routing.difficulty.features import Prompt, extract, prompt_of, prompt_of_body
from gateway.routing.difficulty.model import TIERS, DifficultyModel, DifficultyModelError, Tier

if TYPE_CHECKING:
    from gateway.config import Config

OVERRIDE_HEADER = "x-sluicegate-difficulty"
TIER_TAG = "sluicegate.difficulty"  # in the ledger: what was decided
SHADOW_TAG = "sluicegate.difficulty.shadow"  # and the tier that served all the same
DEFAULT_THRESHOLDS = (0.35, 0.7)


@dataclass(frozen=True, slots=True)
class Decision:
    """`tier` is what was decided, from `score` (0 to 1; None when the caller overrode it) or by the caller.

    `shadow` is the tier that serves in its place while the router only watches.
    """

    tier: Tier
    score: float | None = None
    overridden: bool = False
    shadow: Tier | None = None

    @property
    def serving(self) -> Tier:
        return self.tier if self.shadow is None else self.shadow

    def tags(self) -> dict[str, str]:
        """How the ledger's row tells the decision; `report` reads it."""
        tags = {TIER_TAG: self.tier.value}
        if self.shadow is not None:
            tags[SHADOW_TAG] = self.shadow.value
        return tags


class DifficultyRouter:
    """Decides for one configured model. `models` has the configured model of each tier.

    A score below the first of `thresholds` is simple, one below the second medium. With `shadow` that tier serves every
    request without an override, and decisions are only recorded.
    """

    def __init__(
        self,
        model: DifficultyModel,
        models: Mapping[Tier, str],
        *,
        thresholds: tuple[float, float] = DEFAULT_THRESHOLDS,
        shadow: Tier | None = None,
    ) -> None:
        self._model = model
        self._models = dict(models)
        self._thresholds = thresholds
        self._shadow = shadow

    @property
    def models(self) -> Mapping[Tier, str]:
        return self._models

    def decide(
        self, texts: Sequence[tuple[str, str]], override: str | None, *, tools: int = 0, structured: bool = False
    ) -> Decision:
        """Decide on a conversation of (role, text). `override` is the header's value.

        Raises InvalidRequest for an override that is no tier.
        """
        return self._decide(prompt_of(texts, tools=tools, structured=structured), override)

    def decide_body(self, body: dict[str, Any], override: str | None) -> Decision:
        """The same on a request's body in OpenAI's chat or completions shape."""
        return self._decide(prompt_of_body(body), override)

    def model_for(self, decision: Decision) -> str:
        """The configured model that serves."""
        return self._models[decision.serving]

    def _decide(self, prompt: Prompt, override: str | None) -> Decision:
        if override is not None:
            return Decision(_tier(override), overridden=True)
        score = self._model.score(extract(prompt))
        return Decision(tier_of(score, self._thresholds), score, shadow=self._shadow)


def tier_of(score: float, thresholds: tuple[float, float] = DEFAULT_THRESHOLDS) -> Tier:
    """The tier of a score."""
    return TIERS[sum(score >= threshold for threshold in thresholds)]


def build_difficulty_routers(config: Config) -> dict[str, DifficultyRouter]:
    """The router of every model with `routing: difficulty`, by the model's name.

    Raises ConfigError with the line of each weights file that cannot be used.
    """
    from gateway.config import ConfigError

    routers: dict[str, DifficultyRouter] = {}
    faults = []
    for index, model in enumerate(config.models):
        section = model.difficulty
        if section is None:
            continue
        try:
            weights = DifficultyModel.load(section.model)
        except DifficultyModelError as error:
            faults.append(config.fault(("models", index, "difficulty", "model"), str(error)))
            continue
        routers[model.name] = DifficultyRouter(
            weights,
            {tier: getattr(section, tier.value) for tier in TIERS},
            thresholds=section.thresholds,
            shadow=Tier(section.shadow) if section.shadow else None,
        )
    if faults:
        raise ConfigError("configuration", faults)
    return routers


def _tier(word: str) -> Tier:
    try:
        return Tier(word.strip().lower())
    except ValueError:
        raise InvalidRequest(
            f"The header {OVERRIDE_HEADER} takes simple, medium or hard.", param=OVERRIDE_HEADER
        ) from None
