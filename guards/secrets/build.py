"""Builds a `secrets` guard from what the configuration asks, or says what it cannot do."""

from __future__ import annotations

from guards.base import Policy
from guards.resources import Resources
from guards.secrets.detectors import DETECTORS, KINDS
from guards.secrets.samples import samples
from guards.spans.guard import ACTIONS, Extras, SpanGuard
from guards.spans.operators import read_operators
from guards.spans.options import SpanOptions, fingerprint_of, read_allow, read_recognizers, restores
from guards.spans.scanner import Scanner
from guards.spec import GuardSpec, read_options
from guards.types import Action, GuardConfigError


class Options(SpanOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`entities`: what to look for; None: everything this kind knows."""

    entities: tuple[str, ...] | None = None


def build(spec: GuardSpec, resources: Resources) -> SpanGuard:
    """Raises GuardConfigError."""
    options = read_options(spec, Options)
    policy = Policy.of(spec, actions=ACTIONS, action=Action.REDACT)
    recognizers = read_recognizers(options.recognizers)
    wanted = KINDS if options.entities is None else options.entities
    unknown = sorted(set(wanted) - {*KINDS, *(recognizer.kind for recognizer in recognizers)})
    if unknown or not wanted:
        asked = f"unknown entities {', '.join(unknown)}" if unknown else "no entities"
        raise GuardConfigError(f"{asked}; kind 'secrets' knows {', '.join(KINDS)}", ("entities",))
    scanner = Scanner([detector for detector in DETECTORS if detector.kind in wanted], recognizers)
    operators = read_operators(options.operator, options.operators, scanner.kinds)
    extras = Extras(
        operators=operators,
        allow=read_allow(options.allow),
        cache=resources.cache,
        fingerprint=fingerprint_of("secrets", options),
        probes={kind: [text] for kind, text in samples().items() if kind in scanner.kinds},
    )
    return SpanGuard(
        policy,
        restores(options.restore, policy, operators.reversible(scanner.kinds)),
        scanner,
        resources.secret,
        extras,
    )
