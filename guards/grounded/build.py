"""Builds a `grounded` guard from what the configuration asks, or says what it cannot do."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from guards.base import Policy
from guards.grounded.guard import GroundedGuard, Settings
from guards.resources import Resources
from guards.spec import GuardSpec, read_options
from guards.types import Action, GuardConfigError, Scope, Stage

LEAST_JUDGE_TIMEOUT = 5.0  # seconds


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`context`: the texts of the request that a reply should rest on. `threshold`: the least share of its sentences
    that must be supported. `overlap`: how much of a sentence's words must stand together in the context. `judge`: a
    model says whether a reply is grounded, instead of counting words. `model`: which; None: the one that the caller
    asked."""

    context: tuple[Literal["tool", "system", "user"], ...] = ("tool",)
    threshold: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    overlap: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.55
    judge: bool = False
    model: str | None = None


def build(spec: GuardSpec, resources: Resources) -> GroundedGuard:
    """Raises GuardConfigError."""
    options = read_options(spec, Options)
    policy = Policy.of(
        spec,
        actions=frozenset({Action.BLOCK, Action.FLAG, Action.LOG}),
        action=Action.FLAG,
        stages=frozenset({Stage.OUTPUT}),
        possible=frozenset({Stage.OUTPUT}),
        scopes=frozenset({Scope.ASSISTANT}),
    )
    if not options.context:
        raise GuardConfigError("no context; name tool, system or user", ("context",))
    if options.model is not None and not options.judge:
        raise GuardConfigError("model says who judges; without judge: true nobody does", ("model",))
    if options.judge and spec.timeout is not None and spec.timeout < LEAST_JUDGE_TIMEOUT:
        said = f"judge asks a model: give the guard a timeout of {LEAST_JUDGE_TIMEOUT:g} s or more"
        raise GuardConfigError(said, ("timeout",))
    context = frozenset(map(Scope, options.context))
    return GroundedGuard(policy, Settings(context, options.threshold, options.overlap, options.judge, options.model))
