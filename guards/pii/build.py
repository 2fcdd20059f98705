"""Builds a `pii` guard from what the configuration asks, or says what it cannot do."""

from __future__ import annotations

from guards.pii.detectors import DETECTORS, KINDS
from guards.pii.guard import PiiGuard, PiiPolicy
from guards.pii.scanner import Scanner
from guards.spec import GuardSpec
from guards.types import Action, GuardConfigError, Stage


def build(spec: GuardSpec, secret: bytes) -> PiiGuard:
    """Raises GuardConfigError."""
    if spec.threshold is not None:
        raise GuardConfigError(f"guard {spec.name!r}: kind 'pii' finds or does not find; it takes no threshold")
    if spec.restore and (spec.action is not Action.REDACT or Stage.INPUT not in spec.stages):
        raise GuardConfigError(f"guard {spec.name!r}: restore needs action 'redact' and stage 'input'")
    wanted = KINDS if spec.entities is None else spec.entities
    unknown = sorted(set(wanted) - set(KINDS))
    if unknown or not wanted:
        asked = f"unknown entities {', '.join(unknown)}" if unknown else "no entities"
        raise GuardConfigError(f"guard {spec.name!r}: {asked}; kind 'pii' knows {', '.join(KINDS)}")
    policy = PiiPolicy(name=spec.name, looks_at=frozenset(spec.stages), action=spec.action, restore=spec.restore)
    return PiiGuard(policy, Scanner([d for d in DETECTORS if d.kind in wanted]), secret)
