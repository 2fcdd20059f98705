"""From a configuration to guards: which kinds exist, and what each is asked. A kind is a folder beside this
file, loaded when the first guard of it is built."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence

from guards.resources import Resources
from guards.runner import GuardRunner, Installed
from guards.spec import GuardSpec
from guards.types import Guard, GuardConfigError

Build = Callable[[GuardSpec, Resources], Guard]

# Each module has a function `build(spec, resources)`.
KINDS: Mapping[str, str] = {
    "pii": "guards.pii.build",
    "secrets": "guards.secrets.build",
    "injection": "guards.injection.build",
    "content": "guards.content.build",
    "topics": "guards.topics.build",
    "schema": "guards.schema.build",
    "leak": "guards.leak.build",
    "grounded": "guards.grounded.build",
    "judge": "guards.judge.build",
    "nemo": "guards.nemo.build",
}

SECONDS = 2.0  # that one call may wait
SECONDS_TO_ASK = 20.0  # the same for guards that ask a language model


def build_guard(spec: GuardSpec, resources: Resources | None = None) -> Guard:
    """One guard, not yet prepared.

    Raises GuardConfigError, with what is known, for an unknown kind and for what the kind cannot enforce.
    """
    module = KINDS.get(spec.kind)
    if module is None:
        raise GuardConfigError(f'unknown kind "{spec.kind}"; known: {", ".join(KINDS)}', ("kind",))
    if not spec.name:
        raise GuardConfigError("a guard needs a name", ("name",))
    if spec.timeout is not None and spec.timeout <= 0:
        raise GuardConfigError(f"timeout is {spec.timeout:g} s; it must be more than 0", ("timeout",))
    build: Build = importlib.import_module(module).build
    return build(spec, resources or Resources())


def install(spec: GuardSpec, resources: Resources) -> Installed:
    """One guard, and how it is run. Raises GuardConfigError."""
    guard = build_guard(spec, resources)
    return Installed(
        guard,
        default=spec.default,
        on_error=spec.on_error,
        timeout=spec.timeout or (SECONDS_TO_ASK if guard.asks_models else SECONDS),
        dry_run=spec.dry_run,
    )


def build_runner(specs: Sequence[GuardSpec], resources: Resources | None = None) -> GuardRunner:
    """All guards of a configuration, in its order. Raises GuardConfigError."""
    shared = resources or Resources()
    return GuardRunner([install(spec, shared) for spec in specs])
