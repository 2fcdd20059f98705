"""Builds a `pii` guard from what the configuration asks, or says what it cannot do."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from guards.base import Policy
from guards.pii.detectors import DETECTORS, KINDS
from guards.resources import Resources
from guards.spans.finder import Finder
from guards.spans.guard import ACTIONS, Extras, SpanGuard
from guards.spans.operators import read_operators
from guards.spans.options import SpanOptions, fingerprint_of, read_allow, read_recognizers, restores
from guards.spans.scanner import Scanner
from guards.spec import GuardSpec, read_options
from guards.types import Action, GuardConfigError

NAME_KINDS = ("PERSON", "LOCATION", "ORGANIZATION")  # a finder is needed for these
_FINDER = "guards.ner.finder"

# Found in any guard that looks for them, or something is wrong with it.
_PROBES: Mapping[str, str] = {
    "EMAIL": "write to ada@example.com",
    "CARD": "card 4111 1111 1111 1111",
    "IBAN": "to DE89 3704 0044 0532 0130 00",
    "US_SSN": "ssn 078-05-1120",
    "IP": "from 203.0.113.7",
    "PHONE": "call 020 7946 0958 or +1 (415) 555-2671",  # loads the numbering plans
}


class Options(SpanOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`entities`: what to look for; None: everything that patterns find. `ner`: names of people, places and
    organizations too (true, or settings of its own); naming one of those in `entities` is enough."""

    entities: tuple[str, ...] | None = None
    ner: bool | dict[str, Any] = False


def build(spec: GuardSpec, resources: Resources) -> SpanGuard:
    """Raises GuardConfigError."""
    options = read_options(spec, Options)
    policy = Policy.of(spec, actions=ACTIONS, action=Action.REDACT)
    recognizers = read_recognizers(options.recognizers)
    wanted, names = _entities(options, {recognizer.kind for recognizer in recognizers})
    scanner = Scanner([detector for detector in DETECTORS if detector.kind in wanted], recognizers)
    finder = _finder(spec, options.ner, names, resources)
    kinds = scanner.kinds | (finder.kinds if finder else frozenset())
    operators = read_operators(options.operator, options.operators, kinds)
    extras = Extras(
        operators=operators,
        allow=read_allow(options.allow),
        finder=finder,
        finder_kinds=finder.kinds if finder else frozenset(),
        finder_at=("ner",),
        cache=resources.cache,
        fingerprint=fingerprint_of("pii", options),
        probes={kind: [_PROBES[kind]] for kind in scanner.kinds if kind in _PROBES},
    )
    return SpanGuard(
        policy, restores(options.restore, policy, operators.reversible(kinds)), scanner, resources.secret, extras
    )


def _entities(options: Options, own: set[str]) -> tuple[frozenset[str], frozenset[str]]:
    """What is asked of patterns, and what of a finder."""
    asked: Sequence[str] = KINDS if options.entities is None else options.entities
    unknown = sorted(set(asked) - {*KINDS, *NAME_KINDS, *own})
    if unknown or not asked:
        said = f"unknown entities {', '.join(unknown)}" if unknown else "no entities"
        raise GuardConfigError(f"{said}; kind 'pii' knows {', '.join((*KINDS, *NAME_KINDS))}", ("entities",))
    names = frozenset(asked) & frozenset(NAME_KINDS)
    return frozenset(asked) - names, names


def _finder(
    spec: GuardSpec, asked: bool | dict[str, Any], names: frozenset[str], resources: Resources
) -> Finder | None:
    """Raises GuardConfigError."""
    if asked is False and not names:
        return None
    if importlib.util.find_spec(_FINDER) is None:
        raise GuardConfigError("names cannot be found: this build has no finder for them", ("ner",))
    module = importlib.import_module(_FINDER)
    settings = dict(asked) if isinstance(asked, dict) else {}
    if names:
        settings.setdefault("entities", sorted(names))
    try:
        options = read_options(msgspec.structs.replace(spec, options=settings), module.NerOptions)
        finder: Finder = module.ner_finder(options, resources)
    except GuardConfigError as error:
        raise GuardConfigError(str(error), ("ner", *error.at)) from None
    return finder
