"""What is put in the place of a value.

| operator | on the way in | comes back | in replies, for values that are not the caller's |
|---|---|---|---|
| `placeholder` | `[EMAIL_1_k7]` | yes | `[EMAIL]` |
| `fake` | another value of the same shape | yes | `[EMAIL]` |
| `mask` | `****`, a text of one's own, or all but the last characters | no | the same |
| `hash` | `[EMAIL#b4k7...]`, the same for a value each time, another for each tenant | no | the same |
| `drop` | nothing | no | nothing |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from guards.types import GuardConfigError

_MASK = "****"


class Operator(StrEnum):
    PLACEHOLDER = "placeholder"
    MASK = "mask"
    HASH = "hash"
    FAKE = "fake"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Treatment:
    """`keep_last`: letters and digits of the value that a mask shows, never more than half of them. `text`: what a mask
    is instead."""

    operator: Operator = Operator.PLACEHOLDER
    keep_last: int = 0
    text: str = _MASK

    @property
    def reversible(self) -> bool:
        return self.operator in (Operator.PLACEHOLDER, Operator.FAKE)

    def masked(self, value: str) -> str:
        if not self.keep_last:
            return self.text
        places = [index for index, char in enumerate(value) if char.isalnum()]
        shown = min(self.keep_last, len(places) // 2)
        hidden = set(places[: len(places) - shown])
        return "".join("*" if index in hidden else char for index, char in enumerate(value))


@dataclass(frozen=True, slots=True)
class Operators:
    """`default` is for every kind that `by_kind` does not name."""

    default: Treatment = Treatment()
    by_kind: Mapping[str, Treatment] = field(default_factory=dict)

    def of(self, kind: str) -> Treatment:
        return self.by_kind.get(kind, self.default)

    def reversible(self, kinds: frozenset[str]) -> bool:
        """Whether anything hidden of these kinds can come back."""
        return any(self.of(kind).reversible for kind in kinds)


def read_operators(default: Any, by_kind: Mapping[str, Any], kinds: frozenset[str]) -> Operators:
    """`default` and `by_kind` as the configuration has them; `kinds`: all that the guard looks for.

    Raises GuardConfigError.
    """
    for kind in by_kind:
        if kind not in kinds:
            known = ", ".join(sorted(kinds))
            raise GuardConfigError(f'this guard does not look for "{kind}", only for {known}', ("operators", kind))
    return Operators(
        Treatment() if default is None else _treatment(default, ("operator",)),
        {kind: _treatment(asked, ("operators", kind)) for kind, asked in by_kind.items()},
    )


def _treatment(asked: Any, at: tuple[str | int, ...]) -> Treatment:
    settings: Any = {}
    if isinstance(asked, Mapping) and len(asked) == 1:
        ((asked, settings),) = asked.items()
        at = (*at, str(asked))
    if not isinstance(asked, str) or asked not in set(Operator):
        raise GuardConfigError(f"an operator is one of {', '.join(Operator)}, or mask with settings", at)
    operator = Operator(asked)
    if not isinstance(settings, Mapping):
        raise GuardConfigError("expected settings, as in `mask: {keep_last: 4}`", at)
    known = {"keep_last": int, "text": str} if operator is Operator.MASK else {}
    for name, value in settings.items():
        if name not in known:
            knows = f"knows {', '.join(known)}" if known else "has no settings"
            raise GuardConfigError(f'operator {operator} {knows}, not "{name}"', (*at, str(name)))
        if type(value) is not known[name]:
            raise GuardConfigError(f"expected {'a number' if known[name] is int else 'a text'}", (*at, str(name)))
    if len(settings) > 1:
        raise GuardConfigError("mask takes keep_last or text, not both", at)
    if settings.get("keep_last", 1) < 1:
        raise GuardConfigError("keep_last must be 1 or more", (*at, "keep_last"))
    return Treatment(operator, **settings)
