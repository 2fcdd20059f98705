"""`/admin/teams`: teams, and what binds all of their keys together."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict

from gateway.admin import owners
from gateway.admin.deps import Admin, IfMatch, Writer, may_read, set_version
from gateway.admin.idempotency import IdempotencyKey, once
from gateway.admin.owners import NewOwnerRequest, OwnerAnswer, OwnerPath, OwnerRequest, answer_fields
from gateway.admin.pages import Cursor, Filter, Limit
from gateway.admin.policies import PolicyPatch
from gateway.storage.owners import TEAM

router = APIRouter(prefix="/admin/teams", tags=["teams"])


class NewTeam(NewOwnerRequest):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "search",
                    "name": "Search and discovery",
                    "limits": {"tokens_per_minute": 500000},
                    "budgets": [{"limit_usd": "1000.00", "window": "month"}],
                }
            ]
        }
    )


class TeamPatch(PolicyPatch):
    model_config = ConfigDict(json_schema_extra={"examples": [{"limits": {"tokens_per_minute": 200000}}]})


class TeamAnswer(OwnerAnswer):
    """A team as it is stored."""


class TeamPage(BaseModel):
    data: list[TeamAnswer]
    next_cursor: str | None


@router.post("", status_code=201, summary="Make a team")
async def create_team(
    body: NewTeam,
    request: Request,
    response: Response,
    admin: Admin,
    caller: Writer,
    idempotency_key: IdempotencyKey = None,
) -> TeamAnswer:
    """Keys that already name its id are bound from now on."""
    async with once(request, caller, idempotency_key, body) as post:
        if post.answer is None:
            team = await owners.create(post, request, admin, caller, TEAM, body)
            answer = TeamAnswer(**answer_fields(team))
            await post.keep(answer)
        else:
            answer = TeamAnswer(**post.answer)
    owners.set_made(response, TEAM, answer)
    return answer


@router.get("", dependencies=[Depends(may_read)], summary="List teams")
async def list_teams(
    admin: Admin,
    limit: Limit = 50,
    cursor: Cursor = None,
    q: Annotated[Filter, Query(description="A part of the name or the id.")] = None,
) -> TeamPage:
    """In the order they were made."""
    shown, following = await owners.page(admin, TEAM, limit, cursor, q)
    return TeamPage(data=[TeamAnswer(**answer_fields(team)) for team in shown], next_cursor=following)


@router.get("/{team_id:path}", dependencies=[Depends(may_read)], summary="Get a team")
async def get_team(team_id: OwnerPath, admin: Admin, response: Response) -> TeamAnswer:
    team = await owners.get(admin, TEAM, team_id)
    set_version(response, team.version)
    return TeamAnswer(**answer_fields(team))


@router.patch("/{team_id:path}", summary="Change a team")
async def change_team(
    team_id: OwnerPath,
    body: TeamPatch,
    request: Request,
    response: Response,
    admin: Admin,
    caller: Writer,
    if_match: IfMatch = None,
) -> TeamAnswer:
    """Given fields change, `null` clears, absent ones stay; `limits` and `tags` are merged alike (RFC 7396)."""
    team = await owners.change(request, admin, caller, TEAM, team_id, if_match, body, OwnerRequest)
    set_version(response, team.version)
    return TeamAnswer(**answer_fields(team))


@router.delete("/{team_id:path}", summary="Delete a team")
async def delete_team(
    team_id: OwnerPath, request: Request, admin: Admin, caller: Writer, if_match: IfMatch = None
) -> TeamAnswer:
    """Only one without keys that work. The answer is what it was."""
    return TeamAnswer(**answer_fields(await owners.remove(request, admin, caller, TEAM, team_id, if_match)))
