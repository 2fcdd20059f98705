"""`/admin/keys`: give out keys, list them, change them, rotate their secrets, take them back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from gateway.admin.deps import (
    Admin,
    IfMatch,
    Writer,
    actor,
    changing,
    check_version,
    may_read,
    set_version,
    transaction,
)
from gateway.admin.idempotency import IdempotencyKey, once
from gateway.admin.pages import Cursor, Filter, Id, Instant, Limit, decode_cursor, encode_cursor
from gateway.admin.policies import Body, Label, PolicyAnswer, PolicyBody, PolicyPatch, check_known, patched
from gateway.admission.principals import Role
from gateway.config.values import parse_duration
from gateway.errors import Conflict, InvalidRequest, NotFound
from gateway.storage import keys
from gateway.storage.keys import MAX_GRACE, KeyFields, KeyFilter, KeyState, StoredKey

router = APIRouter(prefix="/admin/keys", tags=["keys"])


def _grace(value: object) -> float:
    seconds = 0.0 if value in (0, "0", "0s") and value is not False else parse_duration(value)
    if seconds > MAX_GRACE.total_seconds():
        raise ValueError("must be at most 30 days")
    return seconds


class KeyRequest(PolicyBody):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "search-backend",
                    "team": "search",
                    "models": ["assistant", "gpt-*"],
                    "limits": {"requests_per_minute": 600, "concurrent_requests": 20},
                    "budgets": [{"limit_usd": "250.00", "window": "month", "timezone": "Europe/Berlin"}],
                }
            ]
        }
    )

    name: Label
    team: Label | None = Field(default=None, description="A team's id; or its name, where only one has it.")
    user: Label | None = Field(default=None, description="A user's id; or the name, where only one has it.")
    expires_at: Instant | None = None
    role: Role = Role.CLIENT

    def fields(self) -> KeyFields:
        """Raises InvalidRequest."""
        return KeyFields(
            name=self.name,
            role=self.role,
            team=self.team,
            user=self.user,
            expires_at=self.expires_at,
            policy=self.policy(),
        )


class KeyPatch(PolicyPatch):
    model_config = ConfigDict(json_schema_extra={"examples": [{"limits": {"requests_per_minute": 60}, "team": None}]})

    team: Label | None = None
    user: Label | None = None
    expires_at: Instant | None = None
    role: Role | None = None


class RotateRequest(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"grace": "1h"}]})

    grace: Annotated[
        float,
        BeforeValidator(_grace),
        WithJsonSchema({"anyOf": [{"type": "string", "pattern": r"^\d+(ms|s|m|h|d)$"}, {"type": "number"}]}),
    ] = Field(default=0.0, description="How long the old secrets go on: a duration like `1h`, at most 30 days.")


class KeyAnswer(PolicyAnswer):
    id: str
    name: str
    hint: str = Field(description="The last characters of the newest secret.")
    status: KeyState
    role: Role
    team: str | None
    user: str | None
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    version: int


class NewKeyAnswer(KeyAnswer):
    key: str = Field(description="The secret. It appears this once.")


class RotatedKeyAnswer(NewKeyAnswer):
    old_secrets_until: datetime = Field(description="When the secrets before this one end.")


class KeyPage(BaseModel):
    data: list[KeyAnswer]
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last one.")


@router.post("", status_code=201, summary="Make a key")
async def create_key(
    body: KeyRequest,
    request: Request,
    response: Response,
    admin: Admin,
    caller: Writer,
    idempotency_key: IdempotencyKey = None,
) -> NewKeyAnswer:
    """The secret is in this answer and nowhere else, ever."""
    async with once(request, caller, idempotency_key, body) as post:
        secret = post.secret()
        answer = post.answer
        if answer is None:
            check_known(body, KeyRequest.model_fields, admin)
            _check_expiry(body.expires_at, post.now)
            key = await keys.create(post.connection, actor(request, caller), body.fields(), secret, post.now)
            made = _answer(key, post.now)
            await post.keep(made, secret)
            answer = made.model_dump()
    response.headers["location"] = f"/admin/keys/{answer['id']}"
    set_version(response, answer["version"])
    return NewKeyAnswer(**answer, key=secret)


@router.get("", dependencies=[Depends(may_read)], summary="List keys")
async def list_keys(
    admin: Admin,
    limit: Limit = 50,
    cursor: Cursor = None,
    team: Filter = None,
    user: Filter = None,
    status: Annotated[KeyState | None, Query()] = None,
    q: Annotated[Filter, Query(description="A part of the name or the id.")] = None,
) -> KeyPage:
    """In the order they were made."""
    after, now = decode_cursor(cursor), datetime.now(UTC)
    asked = KeyFilter(team=team, user=user, state=status, q=q)
    async with transaction(admin) as connection:
        found = await keys.page(connection, asked, limit + 1, now, after)
    page = found[:limit]
    more = encode_cursor(page[-1].created_at, page[-1].id) if len(found) > limit else None
    return KeyPage(data=[_answer(key, now) for key in page], next_cursor=more)


@router.get("/{key_id}", dependencies=[Depends(may_read)], summary="Get a key")
async def get_key(key_id: Id, admin: Admin, response: Response) -> KeyAnswer:
    async with transaction(admin) as connection:
        key = _found(await keys.get(connection, key_id))
    set_version(response, key.version)
    return _answer(key, datetime.now(UTC))


@router.patch("/{key_id}", summary="Change a key")
async def change_key(
    key_id: Id,
    body: KeyPatch,
    request: Request,
    response: Response,
    admin: Admin,
    caller: Writer,
    if_match: IfMatch = None,
) -> KeyAnswer:
    """Given fields change, `null` clears, absent ones stay; `limits` and `tags` are merged alike (RFC 7396)."""
    now = datetime.now(UTC)
    async with changing(admin) as connection:
        key = _changeable(await keys.lock(connection, key_id))
        check_version(if_match, key.version)
        asked = patched(key.fields.as_json(), body, KeyRequest)
        check_known(asked, body.model_fields_set, admin)
        if "expires_at" in body.model_fields_set:
            _check_expiry(asked.expires_at, now)
        key = await keys.change(connection, actor(request, caller), key, asked.fields(), now)
    set_version(response, key.version)
    return _answer(key, now)


@router.delete("/{key_id}", summary="Revoke a key")
async def revoke_key(
    key_id: Id, request: Request, response: Response, admin: Admin, caller: Writer, if_match: IfMatch = None
) -> KeyAnswer:
    """For good. It stays listed, because rows of the ledger name it."""
    now = datetime.now(UTC)
    async with changing(admin) as connection:
        key = _found(await keys.lock(connection, key_id))
        check_version(if_match, key.version)
        key = await keys.revoke(connection, actor(request, caller), key, now)
    set_version(response, key.version)
    return _answer(key, now)


@router.post("/{key_id}/rotate", summary="Give a key a new secret")
async def rotate_key(
    key_id: Id,
    request: Request,
    response: Response,
    admin: Admin,
    caller: Writer,
    body: RotateRequest | None = None,
    idempotency_key: IdempotencyKey = None,
) -> RotatedKeyAnswer:
    """The secrets it has end after `grace`, at once if none is given. The new one is in this answer only."""
    async with once(request, caller, idempotency_key, body) as post:
        secret = post.secret()
        answer = post.answer
        if answer is None:
            key = _changeable(await keys.lock(post.connection, key_id))
            until = post.now + timedelta(seconds=body.grace if body else 0.0)
            key = await keys.rotate(post.connection, actor(request, caller), key, secret, until, post.now)
            made = RotatedKeyAnswer(**_answer(key, post.now).model_dump(), key="", old_secrets_until=until)
            await post.keep(made, secret)
            answer = made.model_dump()
    set_version(response, answer["version"])
    return RotatedKeyAnswer(**{**answer, "key": secret})


def _check_expiry(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        raise InvalidRequest("'expires_at' is in the past.", param="expires_at", code="invalid_value")


def _found(key: StoredKey | None) -> StoredKey:
    if key is None:
        raise NotFound("There is no such key.", code="key_not_found")
    return key


def _changeable(key: StoredKey | None) -> StoredKey:
    found = _found(key)
    if found.revoked_at is not None:
        raise Conflict("The key is revoked; nothing of it can be changed.", code="key_revoked")
    return found


def _answer(key: StoredKey, now: datetime) -> KeyAnswer:
    columns: dict[str, Any] = key.fields.columns()
    return KeyAnswer(
        **columns,
        id=key.id,
        hint=key.hint,
        status=key.state(now),
        created_at=key.created_at,
        updated_at=key.updated_at,
        revoked_at=key.revoked_at,
        version=key.version,
    )
