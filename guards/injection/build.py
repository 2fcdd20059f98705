"""Builds an `injection` guard from what the configuration asks, or says what it cannot do."""

from __future__ import annotations

from pathlib import Path

import msgspec

from guards.base import Policy
from guards.injection.guard import InjectionGuard
from guards.injection.judge import Limits
from guards.injection.onnx import Classifier
from guards.resources import Resources
from guards.spec import GuardSpec, read_options
from guards.types import Action, GuardConfigError, Scope, Stage

ACTIONS = frozenset({Action.BLOCK, Action.FLAG, Action.LOG})
SCOPES = frozenset({Scope.USER, Scope.TOOL})
SHORTEST_ALLOWED = 8  # characters
MOST_ALLOWED = 200


class JudgeOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`model`: the name that the gate knows it by; None: the one that the caller asked. `judge_from` says when."""

    model: str | None = None


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Scores are 0 to 1. `threshold`: from which on what is said is an attack; `indirect_threshold`: what was fetched
    (results of tools, and blocks in a message that are marked as fetched). `judge`: ask a language model about texts
    from `judge_from` up to the threshold. `onnx`: folder of an operator's own classifier. `onnx_benign_label`: which of
    its logits stands for harmless. `weights`: a file in place of the bundled one. `allow`: phrases not to be judged.
    """

    threshold: float = 0.8
    indirect_threshold: float = 0.8
    judge: JudgeOptions | None = None
    judge_from: float = 0.4
    onnx: str | None = None
    onnx_benign_label: int = 0
    weights: str | None = None
    allow: tuple[str, ...] = ()


def build(spec: GuardSpec, resources: Resources) -> InjectionGuard:
    """Raises GuardConfigError."""
    options = read_options(spec, Options)
    policy = Policy.of(
        spec,
        actions=ACTIONS,
        action=Action.BLOCK,
        stages=frozenset({Stage.INPUT}),
        scopes=SCOPES,
        possible=frozenset({Stage.INPUT}),
    )
    for key in ("threshold", "indirect_threshold"):
        if not 0 < getattr(options, key) < 1:
            raise GuardConfigError(f"{key} must lie between 0 and 1", (key,))
    if options.judge is not None and not 0 < options.judge_from < min(options.threshold, options.indirect_threshold):
        raise GuardConfigError("judge_from must lie between 0 and the thresholds", ("judge_from",))
    if options.judge is None and "judge_from" in spec.options:
        raise GuardConfigError("judge_from says when the judge is asked; there is no judge", ("judge_from",))
    if options.onnx is None and "onnx_benign_label" in spec.options:
        raise GuardConfigError("onnx_benign_label belongs to onnx; there is none", ("onnx_benign_label",))
    if options.onnx_benign_label < 0:
        raise GuardConfigError("onnx_benign_label is a place in the model's output, from 0", ("onnx_benign_label",))
    if len(options.allow) > MOST_ALLOWED:
        raise GuardConfigError(f"at most {MOST_ALLOWED} phrases can be allowed", ("allow",))
    for index, phrase in enumerate(options.allow):
        if len(phrase.strip()) < SHORTEST_ALLOWED:
            raise GuardConfigError(f"an allowed phrase has at least {SHORTEST_ALLOWED} characters", ("allow", index))
    weights = None if options.weights is None else _file(options.weights)
    classifier = None
    if options.onnx is not None:
        folder = Path(options.onnx).resolve()
        Classifier.check(folder)
        classifier = Classifier(folder, options.onnx_benign_label, resources.pool)
    return InjectionGuard(
        policy,
        resources.cache,
        b"injection\0" + msgspec.json.encode(options) + (weights.read_bytes() if weights else b""),
        Limits(options.threshold, options.indirect_threshold, options.judge_from if options.judge else None),
        weights=weights,
        allowed=options.allow,
        classifier=classifier,
        model=options.judge.model if options.judge else None,
    )


def _file(name: str) -> Path:
    path = Path(name)
    if not path.is_file():
        raise GuardConfigError(f"there is no file {name}", ("weights",))
    return path
