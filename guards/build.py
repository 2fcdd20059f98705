"""From a configuration to guards: which kinds exist, and what each is asked. A kind is a folder beside this
file."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence

from guards.pii.build import build as build_pii
from guards.runner import GuardRunner, Installed
from guards.spec import GuardSpec
from guards.types import Action, Guard, GuardConfigError

KINDS: Mapping[str, Callable[[GuardSpec, bytes], Guard]] = {"pii": build_pii}

_PROCESS_SECRET = secrets.token_bytes(32)


def build_guard(spec: GuardSpec, *, secret: bytes = _PROCESS_SECRET) -> Guard:
    """One guard. `secret` keys what a guard derives per tenant (placeholder nonces); default: this
    process's own.

    Raises GuardConfigError, with what is known, for an unknown kind and for what the kind cannot enforce.
    """
    build = KINDS.get(spec.kind)
    if build is None:
        raise GuardConfigError(f"guard {spec.name!r}: unknown kind {spec.kind!r}; known: {', '.join(KINDS)}")
    if not spec.name:
        raise GuardConfigError("a guard needs a name")
    if not spec.stages:
        raise GuardConfigError(f"guard {spec.name!r}: no stages; say input, output or both")
    if spec.action is Action.PASS:
        raise GuardConfigError(f"guard {spec.name!r}: action 'pass' does nothing; say redact, block or flag")
    if spec.timeout <= 0:
        raise GuardConfigError(f"guard {spec.name!r}: timeout is {spec.timeout} s; it must be more than 0")
    return build(spec, secret)


def install(spec: GuardSpec, *, secret: bytes = _PROCESS_SECRET) -> Installed:
    """One guard, and how it is run. Raises GuardConfigError."""
    guard = build_guard(spec, secret=secret)
    return Installed(guard, default=spec.default, on_error=spec.on_error, timeout=spec.timeout)


def build_runner(specs: Sequence[GuardSpec], *, secret: bytes = _PROCESS_SECRET) -> GuardRunner:
    """All guards of a configuration, in its order. Raises GuardConfigError."""
    return GuardRunner([install(spec, secret=secret) for spec in specs])
