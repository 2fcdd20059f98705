"""What a case is, and the list of all of them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conformance.exchange import Exchange
    from conformance.probe import Probe

Script = Callable[["Exchange"], Awaitable[None]]
Check = Callable[["Probe"], Awaitable[None]]

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_CASES: dict[str, Case] = {}


class Mismatch(Exception):
    """What came is not what must come. The message says what did."""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to get right.

    `seen` names reports of gateways that got it wrong ("LiteLLM #18842"). `needs` are abilities of a gateway without
    which the case cannot be put to it. `script` answers in the provider's place. `limit` is in seconds; a case that
    takes longer has failed. One that is `alone` runs while no other does, because it counts time or is heavy.
    """

    id: str
    title: str
    check: Check
    script: Script | None
    seen: tuple[str, ...]
    needs: frozenset[str]
    limit: float
    alone: bool


def case(
    id: str,
    title: str,
    *,
    script: Script | None = None,
    seen: Iterable[str] = (),
    needs: Iterable[str] = (),
    limit: float = 10.0,
    alone: bool = False,
) -> Callable[[Check], Check]:
    """Register the decorated function as a case."""
    if not _ID.fullmatch(id) or id in _CASES:
        raise ValueError(f"{id!r} is taken or no case id")

    def register(check: Check) -> Check:
        _CASES[id] = Case(id, title, check, script, tuple(seen), frozenset(needs), limit, alone)
        return check

    return register


def load_cases() -> list[Case]:
    """Every case there is, family by family."""
    package = import_module("conformance.cases")
    for module in sorted(found.name for found in iter_modules(package.__path__)):
        import_module(f"conformance.cases.{module}")
    return list(_CASES.values())


def expect(holds: object, otherwise: str) -> None:
    """Raises Mismatch saying `otherwise` unless `holds`."""
    if not holds:
        raise Mismatch(otherwise)


def expect_equal(found: object, wanted: object, what: str) -> None:
    """Raises Mismatch unless both are equal."""
    expect(found == wanted, f"{what} is {short(found)}, not {short(wanted)}")


def short(value: object) -> str:
    """A value, cut to what fits on a line of a report."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
