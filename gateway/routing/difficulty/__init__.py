"""How hard a question is, told in well under a millisecond, so that easy ones go to a cheaper model.

`features` reads a prompt, `model` scores it, `decision` picks the tier, `training` makes the weights, `report` tells
what it saved. Nothing here sends a request: the router does, to the model that the decision names.
"""

from gateway.routing.difficulty.decision import (
    OVERRIDE_HEADER,
    SHADOW_TAG,
    TIER_TAG,
    Decision,
    DifficultyRouter,
    build_difficulty_routers,
)
from gateway.routing.difficulty.model import DifficultyModel, DifficultyModelError, Tier

__all__ = [
    "OVERRIDE_HEADER",
    "SHADOW_TAG",
    "TIER_TAG",
    "Decision",
    "DifficultyModel",
    "DifficultyModelError",
    "DifficultyRouter",
    "Tier",
    "build_difficulty_routers",
]
