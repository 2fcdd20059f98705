"""`/admin/guards`: the configured guards, and what each would say of a text."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, Field

from gateway.admin.deps import Admin, may_read
from gateway.errors import NotFound
from guards.check import check_text
from guards.types import Scope, Stage

router = APIRouter(prefix="/admin/guards", tags=["guards"])

MAX_TEXT = 200_000  # characters


class GuardBody(BaseModel):
    name: str
    kind: str
    stages: list[Stage] = Field(description="Where it stands, with what its kind adds.")
    input_scopes: list[Scope] = Field(description="The texts of a request that it looks at.")
    output_scopes: list[Scope] = Field(description="The texts of a reply that it looks at.")
    default: bool = Field(description="It runs for every key.")
    on_error: str
    dry_run: bool
    timeout: float = Field(description="Seconds one call may wait.")


class GuardList(BaseModel):
    data: list[GuardBody]


class CheckBody(BaseModel):
    text: str = Field(max_length=MAX_TEXT)
    stage: Stage = Stage.INPUT
    scope: Scope = Scope.USER


class VerdictBody(BaseModel):
    guard: str
    stage: Stage
    action: str
    dry_run: bool
    findings: dict[str, int] = Field(description="How many of each kind were found.")
    score: float | None
    error: str | None = Field(description="Why the guard failed, if it did; then `action` is its on_error.")
    text: str | None = Field(description="The text after the guard; null if it is blocked.")


@router.get("", dependencies=[Depends(may_read)], summary="The guards, in the order they run")
async def list_guards(admin: Admin) -> GuardList:
    line = admin.line()
    found = []
    for spec in line.config.guard_specs():
        entry = line.guards.installed(spec.name)
        assert entry is not None  # both are made from one configuration
        guard = entry.guard
        found.append(
            GuardBody(
                name=spec.name,
                kind=spec.kind,
                stages=sorted(guard.stages),
                input_scopes=sorted(guard.scopes(Stage.INPUT)) if Stage.INPUT in guard.stages else [],
                output_scopes=sorted(guard.scopes(Stage.OUTPUT)) if Stage.OUTPUT in guard.stages else [],
                default=entry.default,
                on_error=entry.on_error.value,
                dry_run=entry.dry_run,
                timeout=entry.timeout,
            )
        )
    return GuardList(data=found)


@router.post("/{name}/check", dependencies=[Depends(may_read)], summary="What a guard would say of a text")
async def check_guard(admin: Admin, name: Annotated[str, Path(max_length=200)], body: CheckBody) -> VerdictBody:
    """The text is neither stored nor logged. A guard that asks a model has none to ask here."""
    entry = admin.line().guards.installed(name)
    if entry is None:
        known = ", ".join(admin.line().guards.names) or "none"
        raise NotFound(f"There is no guard {name!r}; configured: {known}.")
    return VerdictBody.model_validate(await check_text(entry, body.text, body.stage, body.scope))
