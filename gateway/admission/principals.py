"""Who is calling: the key, whose it is, what it may use, and the limits and budgets that bind it. No look-ups here."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from gateway.admission.limits import Binding


class Role(StrEnum):
    """What a caller may do, the least first."""

    CLIENT = "client"  # may call models
    VIEWER = "viewer"  # may read the admin API
    ADMIN = "admin"  # may do everything


_RANK = {role: rank for rank, role in enumerate(Role)}


def lower(one: Role, other: Role) -> Role:
    return min(one, other, key=_RANK.__getitem__)


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticated caller. Built from a stored key with its user and team, or the admin key (`key_id` "admin").

    `models` are allow-lists of names and patterns, of the key, its user and its team: a model must be on each of them.
    `guards` are run beside the default ones. `bindings` are those of key, user and team that limit anything.
    """

    key_id: str
    key_name: str
    role: Role = Role.CLIENT
    team: str | None = None
    user: str | None = None
    models: tuple[tuple[str, ...], ...] = ()
    guards: tuple[str, ...] = ()
    tags: dict[str, str] = {}
    bindings: tuple[Binding, ...] = ()

    @property
    def tenant(self) -> str:
        """Whose data this caller's is: nothing cached for one tenant is ever seen by another."""
        return f"team:{self.team}" if self.team else f"key:{self.key_id}"

    def may_use(self, model: str) -> bool:
        return all(any(matches(pattern, model) for pattern in allowed) for allowed in self.models)


def matches(pattern: str, name: str) -> bool:
    """Whether `name` is the pattern, in which `*` stands for any text, an empty one too. In linear time."""
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    *middle, last = rest
    at, end = len(first), len(name) - len(last)
    if at > end or not name.startswith(first) or not name.endswith(last):
        return False
    for part in middle:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
