"""What keys, teams and users have alike: what they may use, and what limits them; to and from their columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Self

import msgspec

from billing.budgets import Budget, Window
from billing.money import display
from gateway.admission.limits import Binding, Limits

NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """`models` are names and patterns; None allows every model. `guards` are run beside the default ones."""

    models: tuple[str, ...] | None = None
    guards: tuple[str, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    limits: Limits = NO_LIMITS
    budgets: tuple[Budget, ...] = ()

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> Self:
        """Raises ValueError or LookupError for a row that no version of ours wrote."""
        models = columns["models"]
        return cls(
            models=None if models is None else tuple(models),
            guards=tuple(columns["guards"]),
            tags=columns["tags"],
            limits=msgspec.convert(columns["limits"] or {}, Limits),
            budgets=tuple(_budget(budget) for budget in columns["budgets"] or ()),
        )

    def columns(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "models": None if self.models is None else list(self.models),
            "guards": list(self.guards),
            "tags": dict(self.tags),
            "limits": msgspec.to_builtins(self.limits) or None,
            "budgets": [_budget_columns(budget) for budget in self.budgets] or None,
        }

    def binding(self, kind: str, owner_id: str) -> Binding | None:
        """What binds all that `owner_id` does; None if nothing does."""
        if self.limits == NO_LIMITS and not self.budgets:
            return None
        return Binding(kind=kind, id=owner_id, limits=self.limits, budgets=self.budgets)


def _budget(columns: Mapping[str, Any]) -> Budget:
    return Budget(limit=Decimal(columns["limit_usd"]), window=Window(columns["window"]), timezone=columns["timezone"])


def _budget_columns(budget: Budget) -> dict[str, Any]:
    return {"limit_usd": display(budget.limit), "window": budget.window.value, "timezone": budget.timezone}
