"""What `/admin/teams` and `/admin/users` do alike. The routes are in `teams` and `users`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Path, Request, Response
from pydantic import Field

from gateway.admin.deps import AdminContext, actor, changing, check_version, set_version, transaction
from gateway.admin.idempotency import Post
from gateway.admin.pages import NO_CONTROLS, decode_cursor, encode_cursor
from gateway.admin.policies import Label, PolicyAnswer, PolicyBody, PolicyPatch, check_known, patched
from gateway.admission.principals import Principal
from gateway.errors import Conflict, InvalidRequest, NotFound
from gateway.storage import keys, owners
from gateway.storage.owners import MAX_ID, Kind, Owner, OwnerFields

OwnerPath = Annotated[str, Path(min_length=1, max_length=200, pattern=NO_CONTROLS)]


class OwnerRequest(PolicyBody):
    name: Label

    def fields(self) -> OwnerFields:
        """Raises InvalidRequest."""
        return OwnerFields(name=self.name, role=None, policy=self.policy())


class NewOwnerRequest(OwnerRequest):
    id: Label | None = Field(
        default=None, description=f"What keys and usage name it by, at most {MAX_ID} characters; by default the name."
    )


class OwnerAnswer(PolicyAnswer):
    id: str
    name: str
    created_at: datetime
    updated_at: datetime
    version: int


def answer_fields(owner: Owner) -> dict[str, Any]:
    return {
        "id": owner.id,
        **owner.fields.as_json(),
        "created_at": owner.created_at,
        "updated_at": owner.updated_at,
        "version": owner.version,
    }


def set_made(response: Response, kind: Kind, answer: OwnerAnswer) -> None:
    """The headers of the answer to one that was made."""
    response.headers["location"] = f"/admin/{kind.word}s/{quote(answer.id, safe='@+')}"
    set_version(response, answer.version)


async def create(
    post: Post,
    request: Request,
    admin: AdminContext,
    caller: Principal,
    kind: Kind,
    body: NewOwnerRequest,
) -> Owner:
    """Raises InvalidRequest, Conflict."""
    check_known(body, type(body).model_fields, admin)
    owner_id = body.id or body.name
    if len(owner_id) > MAX_ID:
        param = "id" if body.id else "name"
        message = f"'{param}' is longer than an id can be; give an 'id' of at most {MAX_ID} characters."
        raise InvalidRequest(message, param=param, code="invalid_value")
    owner = await owners.create(post.connection, actor(request, caller), kind, owner_id, body.fields(), post.now)
    if owner is None:
        raise Conflict(f"There is a {kind.word} {owner_id!r} already.", param="id", code="already_exists")
    return owner


async def change(
    request: Request,
    admin: AdminContext,
    caller: Principal,
    kind: Kind,
    owner_id: str,
    if_match: str | None,
    body: PolicyPatch,
    model: type[OwnerRequest],
) -> Owner:
    now = datetime.now(UTC)
    async with changing(admin) as connection:
        owner = found(kind, await owners.lock(connection, kind, owner_id))
        check_version(if_match, owner.version)
        asked = patched(owner.fields.as_json(), body, model)
        check_known(asked, body.model_fields_set, admin)
        return await owners.change(connection, actor(request, caller), kind, owner, asked.fields(), now)


async def remove(
    request: Request, admin: AdminContext, caller: Principal, kind: Kind, owner_id: str, if_match: str | None
) -> Owner:
    now = datetime.now(UTC)
    async with changing(admin) as connection:
        owner = found(kind, await owners.lock(connection, kind, owner_id))
        check_version(if_match, owner.version)
        if await keys.any_active(connection, kind, owner_id, now):
            raise Conflict(f"The {kind.word} has keys that work; revoke them first.", code="in_use")
        await owners.remove(connection, actor(request, caller), kind, owner, now)
    return owner


async def get(admin: AdminContext, kind: Kind, owner_id: str) -> Owner:
    async with transaction(admin) as connection:
        return found(kind, await owners.get(connection, kind, owner_id))


async def page(
    admin: AdminContext, kind: Kind, limit: int, cursor: str | None, q: str | None
) -> tuple[Sequence[Owner], str | None]:
    """A page, and the cursor of the next one."""
    after = decode_cursor(cursor)
    async with transaction(admin) as connection:
        listed = await owners.page(connection, kind, limit + 1, after, q)
    shown = listed[:limit]
    return shown, encode_cursor(shown[-1].created_at, shown[-1].id) if len(listed) > limit else None


def found(kind: Kind, owner: Owner | None) -> Owner:
    if owner is None:
        raise NotFound(f"There is no such {kind.word}.", code=f"{kind.word}_not_found")
    return owner
