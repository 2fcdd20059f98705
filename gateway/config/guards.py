"""The `guards` section. What only one kind of guard knows is checked by that kind, when it is built: see
`gateway.parts.guards`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from gateway.config.section import Section
from gateway.config.values import Duration, Name
from guards.build import KINDS
from guards.spec import GuardSpec, OnError
from guards.types import Action, Scope, Stage


class Guard(Section):
    """One guard; None leaves the choice to its kind. `default` runs it for every key.

    `dry_run`: it says what it would do, and nothing is done.
    """

    model_config = ConfigDict(extra="allow")

    name: Name
    kind: Literal[tuple(KINDS)]  # type: ignore[valid-type]  # the names of a mapping
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)] | None = None
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)] | None = None
    action: Literal[Action.REDACT, Action.BLOCK, Action.FLAG, Action.LOG] | None = None
    default: bool = False
    on_error: OnError = OnError.BLOCK
    dry_run: bool = False
    timeout: Duration | None = None

    def to_spec(self) -> GuardSpec:
        """The guards' own form."""
        common = {key: getattr(self, key) for key in type(self).model_fields}
        options = {key: value for key, value in (self.model_extra or {}).items() if value is not None}
        return GuardSpec(**common, options=options)
