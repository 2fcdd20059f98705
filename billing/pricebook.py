"""Which price holds for a target at an instant: an override, else the configured price, else the price list's.

Reads no file and no database: whoever makes the book brings what those say.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from billing.bundled import ModelFacts
from billing.prices import Price


class Source(StrEnum):
    """Where a price comes from."""

    OVERRIDE = "override"
    CONFIGURED = "config"
    LISTED = "list"


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A price set while the gate runs, from `effective_at` (aware) on.

    `name` is a target's, or a configured model's: then it holds for all targets of that model.
    """

    name: str
    effective_at: datetime
    price: Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A price in force, with where it is from; of an override also which one."""

    price: Price
    source: Source
    override: Override | None = None


class _Line:
    """Overrides in the order in which they come into force."""

    def __init__(self, overrides: Iterable[Override]) -> None:
        self._overrides = sorted(overrides, key=lambda override: override.effective_at)
        self._times = [override.effective_at for override in self._overrides]

    def at(self, instant: datetime) -> Override | None:
        """The one in force: the latest that is not after `instant`."""
        index = bisect_right(self._times, instant)
        return self._overrides[index - 1] if index else None

    def after(self, instant: datetime) -> list[Override]:
        return self._overrides[bisect_right(self._times, instant) :]


_EMPTY = _Line(())


class PriceBook:
    """Prices of the configured targets.

    `models_of`: for every target the configured models that have it. `facts`: what the price list says of a target.
    A target without any of the three prices has none, which is not the same as a price of nothing.
    """

    def __init__(
        self,
        configured: Mapping[str, Price],
        models_of: Mapping[str, Sequence[str]],
        facts: Mapping[str, ModelFacts | None],
        overrides: Sequence[Override] = (),
    ) -> None:
        self._models_of = {target: tuple(models) for target, models in models_of.items()}
        self._standing: dict[str, Quote] = {}
        for target in self._models_of:
            listed = facts.get(target)
            if target in configured:
                self._standing[target] = Quote(price=configured[target], source=Source.CONFIGURED)
            elif listed is not None and listed.price is not None:
                self._standing[target] = Quote(price=listed.price, source=Source.LISTED)
        self._reasons = {target: found.reason for target, found in facts.items() if found is not None and found.reason}
        self._lines: dict[str, tuple[_Line, _Line]] = {}  # of a target: its own overrides, and its models'
        self._overrides: tuple[Override, ...] = ()
        self.replace_overrides(overrides)

    @property
    def targets(self) -> Mapping[str, tuple[str, ...]]:
        """Every target's name, with the models that have it."""
        return self._models_of

    @property
    def overrides(self) -> tuple[Override, ...]:
        """All there are, of names that no target has too."""
        return self._overrides

    def targets_of(self, name: str) -> list[str]:
        """The targets an override under `name` holds for; none if nothing is called that."""
        return [target for target, models in self._models_of.items() if name == target or name in models]

    def replace_overrides(self, overrides: Iterable[Override]) -> None:
        """Take these in place of those before; a look-up sees the old ones or the new ones, never some of each."""
        named: dict[str, list[Override]] = {}
        taken = tuple(overrides)
        for override in taken:
            named.setdefault(override.name, []).append(override)
        lines: dict[str, tuple[_Line, _Line]] = {}
        for target, models in self._models_of.items():
            own = named.get(target, [])
            shared = [override for model in models if model != target for override in named.get(model, [])]
            if own or shared:
                lines[target] = (_Line(own), _Line(shared))
        self._lines, self._overrides = lines, taken

    def price(self, target: str, at: datetime) -> Price | None:
        """What `target` costs at `at` (aware); None if nothing says."""
        quote = self.quote(target, at) if target in self._lines else self._standing.get(target)
        return None if quote is None else quote.price

    def source(self, target: str, at: datetime) -> Source | None:
        """Where that price is from."""
        quote = self.quote(target, at)
        return None if quote is None else quote.source

    def quote(self, target: str, at: datetime) -> Quote | None:
        """The price in force with its source. An override of the target's own name goes before one of a model's."""
        own, shared = self._lines.get(target, (_EMPTY, _EMPTY))
        override = own.at(at) or shared.at(at)
        if override is not None:
            return Quote(price=override.price, source=Source.OVERRIDE, override=override)
        return self._standing.get(target)

    def upcoming(self, target: str, at: datetime) -> list[Override]:
        """Overrides that will come into force after `at`, the next first. One of a model's name is not among them
        where the target will have an override of its own by then: it will change nothing.
        """
        own, shared = self._lines.get(target, (_EMPTY, _EMPTY))
        mine = own.after(at)
        if own.at(at) is not None:
            return mine
        first = mine[0].effective_at if mine else None
        others = [override for override in shared.after(at) if first is None or override.effective_at < first]
        return others + mine

    def reason(self, target: str) -> str | None:
        """Why the price list has no price for a target that it knows."""
        return self._reasons.get(target)
