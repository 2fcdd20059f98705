"""`/admin/users`: users, their role, and what binds all of their keys together."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from gateway.admin import owners
from gateway.admin.deps import Admin, IfMatch, Writer, may_read, set_version
from gateway.admin.idempotency import IdempotencyKey, once
from gateway.admin.owners import NewOwnerRequest, OwnerAnswer, OwnerPath, OwnerRequest, answer_fields
from gateway.admin.pages import Cursor, Filter, Limit
from gateway.admin.policies import PolicyPatch
from gateway.admission.principals import Role
from gateway.storage.owners import USER, OwnerFields

router = APIRouter(prefix="/admin/users", tags=["users"])


class UserRequest(OwnerRequest):
    role: Role = Field(default=Role.CLIENT, description="The highest role the user's keys can have.")

    def fields(self) -> OwnerFields:
        """Raises InvalidRequest."""
        return replace(super().fields(), role=self.role)


class NewUser(UserRequest, NewOwnerRequest):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"id": "jane", "name": "Jane Doe", "role": "viewer", "limits": {"concurrent_requests": 4}},
            ]
        }
    )


class UserPatch(PolicyPatch):
    model_config = ConfigDict(json_schema_extra={"examples": [{"role": "admin", "limits": None}]})

    role: Role | None = None


class UserAnswer(OwnerAnswer):
    role: Role


class UserPage(BaseModel):
    data: list[UserAnswer]
    next_cursor: str | None


@router.post("", status_code=201, summary="Make a user")
async def create_user(
    body: NewUser,
    request: Request,
    response: Response,
    admin: Admin,
    caller: Writer,
    idempotency_key: IdempotencyKey = None,
) -> UserAnswer:
    """Keys that already name its id are bound from now on."""
    async with once(request, caller, idempotency_key, body) as post:
        if post.answer is None:
            user = await owners.create(post, request, admin, caller, USER, body)
            answer = UserAnswer(**answer_fields(user))
            await post.keep(answer)
        else:
            answer = UserAnswer(**post.answer)
    owners.set_made(response, USER, answer)
    return answer


@router.get("", dependencies=[Depends(may_read)], summary="List users")
async def list_users(
    admin: Admin,
    limit: Limit = 50,
    cursor: Cursor = None,
    q: Annotated[Filter, Query(description="A part of the name or the id.")] = None,
) -> UserPage:
    """In the order they were made."""
    shown, following = await owners.page(admin, USER, limit, cursor, q)
    return UserPage(data=[UserAnswer(**answer_fields(user)) for user in shown], next_cursor=following)


@router.get("/{user_id:path}", dependencies=[Depends(may_read)], summary="Get a user")
async def get_user(user_id: OwnerPath, admin: Admin, response: Response) -> UserAnswer:
    user = await owners.get(admin, USER, user_id)
    set_version(response, user.version)
    return UserAnswer(**answer_fields(user))


@router.patch("/{user_id:path}", summary="Change a user")
async def change_user(
    user_id: OwnerPath,
    body: UserPatch,
    request: Request,
    response: Response,
    admin: Admin,
    caller: Writer,
    if_match: IfMatch = None,
) -> UserAnswer:
    """Given fields change, `null` clears, absent ones stay; `limits` and `tags` are merged alike (RFC 7396)."""
    user = await owners.change(request, admin, caller, USER, user_id, if_match, body, UserRequest)
    set_version(response, user.version)
    return UserAnswer(**answer_fields(user))


@router.delete("/{user_id:path}", summary="Delete a user")
async def delete_user(
    user_id: OwnerPath, request: Request, admin: Admin, caller: Writer, if_match: IfMatch = None
) -> UserAnswer:
    """Only one without keys that work. The answer is what it was."""
    return UserAnswer(**answer_fields(await owners.remove(request, admin, caller, USER, user_id, if_match)))
