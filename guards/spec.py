"""What a configured guard is asked to do, before any kind has looked at it. No guard is built here."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from guards.types import Action, Stage


class OnError(StrEnum):
    """What happens to a request when its guard fails or runs out of time."""

    BLOCK = "block"
    PASS = "pass"  # noqa: S105


class GuardSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One guard of the configuration.

    `stages`: where it looks. `action`: what it does with a finding (`pass` is not a choice). `restore`:
    whether what was redacted on the way in comes back on the way out. `default`: it runs for every key.
    `timeout`: seconds one call may wait. `entities`: what to look for, None for everything the kind knows.
    `threshold`: the score from which a finding counts, for kinds that score.
    """

    name: str
    kind: str
    stages: tuple[Stage, ...] = (Stage.INPUT, Stage.OUTPUT)
    action: Action = Action.REDACT
    restore: bool = False
    default: bool = False
    on_error: OnError = OnError.BLOCK
    timeout: float = 2.0
    entities: tuple[str, ...] | None = None
    threshold: float | None = None
