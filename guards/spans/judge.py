"""What becomes of the values that a reply holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from guards.spans.allow import Allow
from guards.spans.operators import Operator, Operators
from guards.spans.vault import Vault
from guards.types import Action, GuardBlocked, Stage, Verdict


class Piece(NamedTuple):
    """Decided text. `raw`: as it came; `out`: what may be sent; `fixed`: a value, or what stood for one: no finder sees
    it."""

    raw: str
    out: str
    fixed: bool


@dataclass(frozen=True, slots=True, repr=False)
class Judge:
    """What becomes of values that a reply holds. `counts` receives what was found, by kind."""

    name: str
    action: Action
    vault: Vault
    operators: Operators
    allow: Allow | None
    counts: dict[str, int]

    def value(self, kind: str, value: str, canonical: Callable[[str], str]) -> str:
        """What stands in the place of a value found by pattern. Raises GuardBlocked."""
        form = canonical(value)
        if self.vault.owns(form) or (self.allow is not None and self.allow.covers(value, canonical)):
            return value
        real = self.vault.real(form)
        return self._foreign(kind, value, form) if real is None else real

    def name_of(self, kind: str, value: str, canonical: Callable[[str], str]) -> str:
        """The same for what a finder found. Raises GuardBlocked."""
        form = canonical(value)
        if self.vault.owns(form) or self.vault.owns_words(value):
            return value
        if self.allow is not None and self.allow.covers(value, canonical):
            return value
        return self._foreign(kind, value, form)

    def _foreign(self, kind: str, value: str, form: str) -> str:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self.action is Action.BLOCK:
            raise GuardBlocked(
                Verdict(guard=self.name, stage=Stage.OUTPUT, action=self.action, findings=dict(self.counts))
            )
        if self.action is not Action.REDACT:
            return value
        treatment = self.operators.of(kind)
        match treatment.operator:
            case Operator.MASK:
                return treatment.masked(value)
            case Operator.HASH:
                return self.vault.hashed(kind, form)
            case Operator.DROP:
                return ""
            case _:
                return f"[{kind}]"
