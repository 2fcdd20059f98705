"""What differs between two configurations, and what of it only a restart can change.

A difference names its place, never a value: either may be a secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.config.faults import Fault, Path
from gateway.config.guards import Guard
from gateway.config.schema import Config, Model, Target
from gateway.config.section import Section

# Parts that are opened once, for as long as the process lives.
FIXED: tuple[Path, ...] = (
    ("server",),
    ("admin_key",),
    ("storage",),
    ("shared_state",),
    ("engine",),
    ("telemetry", "otlp_endpoint"),
    ("telemetry", "service_name"),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """`path` is its place in the newer file, `label` the same with names for indices: `models[small].limits`."""

    path: Path
    label: str


def differences(old: Config, new: Config) -> list[Difference]:
    """Every part that is not the same, in the order of the schema; what was taken out or added is named as a whole."""
    return list(_section(old, new, (), ""))


def restart_faults(new: Config, found: Sequence[Difference]) -> list[Fault]:
    """A fault for each difference that a running gate cannot take over."""
    return [
        new.fault(difference.path, "cannot change while the gate runs; restart it for that")
        for difference in found
        if any(difference.path[: len(fixed)] == fixed for fixed in FIXED)
    ]


def _section(old: Section, new: Section, path: Path, label: str) -> Iterator[Difference]:
    for name in type(new).model_fields:
        at = f"{label}.{name}" if label else name
        yield from _value(getattr(old, name), getattr(new, name), (*path, name), at)
    yield from _value(old.model_extra or {}, new.model_extra or {}, path, label)


def _value(old: Any, new: Any, path: Path, label: str) -> Iterator[Difference]:
    if isinstance(old, Target) and isinstance(new, Target):
        yield from _target(old, new, path, label)
    elif isinstance(old, Section) and isinstance(new, Section):
        yield from _section(old, new, path, label)
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            yield from _value(old.get(key), new.get(key), (*path, key), f"{label}.{key}")
    elif isinstance(old, tuple) and isinstance(new, tuple) and any(isinstance(one, Section) for one in (*old, *new)):
        if all(isinstance(one, Model | Guard) for one in (*old, *new)):
            yield from _named(old, new, path, label)
        else:
            yield from _listed(old, new, path, label)
    elif old != new:
        yield Difference(path, label)


def _target(old: Target, new: Target, path: Path, label: str) -> Iterator[Difference]:
    """A name that is made from the rest changes with it: that is one difference, not two."""
    found = list(_section(old, new, path, label))
    own = [difference for difference in found if difference.path != (*path, "name")]
    yield from own or found


def _named(old: Sequence[Model | Guard], new: Sequence[Model | Guard], path: Path, label: str) -> Iterator[Difference]:
    before = {one.name: one for one in old}
    after = {one.name: one for one in new}
    for index, one in enumerate(new):
        at = f"{label}[{one.name}]"
        if one.name in before:
            yield from _section(before[one.name], one, (*path, index), at)
        else:
            yield Difference((*path, index), at)
    for name in before:
        if name not in after:
            yield Difference(path, f"{label}[{name}]")
    if [name for name in before if name in after] != [name for name in after if name in before]:
        yield Difference(path, label)  # their order


def _listed(old: Sequence[Any], new: Sequence[Any], path: Path, label: str) -> Iterator[Difference]:
    """Without names there is no telling which is which once their number differs."""
    if len(old) != len(new):
        yield Difference(path, label)
        return
    for index, (one, other) in enumerate(zip(old, new, strict=True)):
        yield from _value(one, other, (*path, index), f"{label}[{index}]")
