"""Who is calling: the key, what it may use and whose it is."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Role(StrEnum):
    CLIENT = "client"  # may call models
    VIEWER = "viewer"  # may read the admin API
    ADMIN = "admin"  # may do everything


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticated caller. Built from a stored key, or from the admin key (`key_id` "admin")."""

    key_id: str
    key_name: str
    role: Role = Role.CLIENT
    team: str | None = None
    user: str | None = None
    models: tuple[str, ...] | None = None  # None: every model
    guards: tuple[str, ...] = ()  # guards beside the default ones
    tags: dict[str, str] = {}

    @property
    def tenant(self) -> str:
        """Whose data this caller's is: nothing cached for one tenant is ever seen by another."""
        return f"team:{self.team}" if self.team else f"key:{self.key_id}"
