"""Builds a `pii` guard from what the configuration asks, or says what it cannot do."""

from __future__ import annotations

import msgspec

from guards.base import Policy
from guards.pii.detectors import DETECTORS, KINDS
from guards.resources import Resources
from guards.spans.guard import ACTIONS, PiiGuard
from guards.spans.scanner import Scanner
from guards.spec import GuardSpec, read_options
from guards.types import Action, GuardConfigError, Stage


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`entities`: what to look for; None: everything this kind knows. `restore`: whether what was redacted on the way
    in comes back on the way out; by default wherever values are redacted on the way in."""

    entities: tuple[str, ...] | None = None
    restore: bool | None = None


def build(spec: GuardSpec, resources: Resources) -> PiiGuard:
    """Raises GuardConfigError."""
    options = read_options(spec, Options)
    policy = Policy.of(spec, actions=ACTIONS, action=Action.REDACT)
    restorable = policy.action is Action.REDACT and Stage.INPUT in policy.stages
    if options.restore and not restorable:
        raise GuardConfigError("restore needs action 'redact' and stage 'input'", ("restore",))
    wanted = KINDS if options.entities is None else options.entities
    unknown = sorted(set(wanted) - set(KINDS))
    if unknown or not wanted:
        asked = f"unknown entities {', '.join(unknown)}" if unknown else "no entities"
        raise GuardConfigError(f"{asked}; kind 'pii' knows {', '.join(KINDS)}", ("entities",))
    restore = restorable if options.restore is None else options.restore
    return PiiGuard(policy, restore, Scanner([d for d in DETECTORS if d.kind in wanted]), resources.secret)
