"""`/admin/keys`: give out keys, list them, take them back."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from gateway.admin.deps import AdminContext, context, may_read, may_write
from gateway.admission.principals import Role
from gateway.errors import InvalidRequest, NotFound, Unsupported
from gateway.storage.keys import NewKey, StoredKey

router = APIRouter(prefix="/admin/keys", tags=["keys"])

Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Names = Annotated[list[Label], Field(max_length=200)]

# In the contract, but enforced by no code yet. A key must not look limited when it is not.
_NOT_ENFORCED = ("limits", "budgets")


class KeyRequest(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "search-backend", "team": "search", "models": ["assistant"]}]},
    )

    name: Label
    team: Label | None = None
    user: Label | None = None
    models: Names | None = Field(default=None, description="Models the key may use; all of them if left out.")
    guards: Names = Field(default=[], description="Guards for this key beside the default ones.")
    tags: dict[Label, Label] = Field(default={}, max_length=32)
    expires_at: AwareDatetime | None = None
    role: Role = Role.CLIENT
    limits: dict[str, Any] | None = None
    budgets: list[dict[str, Any]] | None = None


class KeyAnswer(BaseModel):
    id: str
    name: str
    hint: str = Field(description="The last characters of the secret.")
    role: Role
    team: str | None
    user: str | None
    models: list[str] | None
    guards: list[str]
    tags: dict[str, str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class NewKeyAnswer(KeyAnswer):
    key: str = Field(description="The secret. It appears this once.")


class KeyPage(BaseModel):
    data: list[KeyAnswer]
    next_cursor: str | None = Field(description="Send as `cursor` for the next page; null on the last one.")


@router.post("", status_code=201, dependencies=[Depends(may_write)])
async def create_key(body: KeyRequest, admin: Annotated[AdminContext, Depends(context)]) -> NewKeyAnswer:
    for name in _NOT_ENFORCED:
        if getattr(body, name):
            raise Unsupported(f"'{name}' are not enforced by this version, so they are not taken.", param=name)
    _known("models", body.models or [], admin.model_names)
    _known("guards", body.guards, admin.guard_names)
    if body.expires_at is not None and body.expires_at <= datetime.now(UTC):
        raise InvalidRequest("'expires_at' is in the past.", param="expires_at", code="invalid_value")
    new = NewKey(
        name=body.name,
        role=body.role,
        team=body.team,
        user=body.user,
        models=None if body.models is None else tuple(body.models),
        guards=tuple(body.guards),
        tags=body.tags,
        expires_at=body.expires_at,
    )
    stored, secret = await admin.keys.create(new, datetime.now(UTC))
    admin.authenticator.forget()
    return NewKeyAnswer(**_fields(stored), key=secret)


@router.get("", dependencies=[Depends(may_read)])
async def list_keys(
    admin: Annotated[AdminContext, Depends(context)],
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: str | None = None,
) -> KeyPage:
    found = await admin.keys.page(limit + 1, _decode(cursor))
    page = found[:limit]
    more = len(found) > limit
    return KeyPage(data=[KeyAnswer(**_fields(key)) for key in page], next_cursor=_encode(page[-1]) if more else None)


@router.get("/{key_id}", dependencies=[Depends(may_read)])
async def get_key(key_id: str, admin: Annotated[AdminContext, Depends(context)]) -> KeyAnswer:
    return KeyAnswer(**_fields(_found(await admin.keys.get(key_id))))


@router.delete("/{key_id}", dependencies=[Depends(may_write)])
async def revoke_key(key_id: str, admin: Annotated[AdminContext, Depends(context)]) -> KeyAnswer:
    """Revoke a key for good. It stays listed, because rows of the ledger name it."""
    key = _found(await admin.keys.revoke(key_id, datetime.now(UTC)))
    admin.authenticator.forget()
    return KeyAnswer(**_fields(key))


def _known(param: str, asked: list[str], known: frozenset[str]) -> None:
    for name in asked:
        if name not in known:
            raise InvalidRequest(
                f"'{param}' names {name!r}, which is not configured; known: {', '.join(sorted(known)) or 'none'}.",
                param=param,
                code="invalid_value",
            )


def _found(key: StoredKey | None) -> StoredKey:
    if key is None:
        raise NotFound("There is no such key.", code="key_not_found")
    return key


def _fields(key: StoredKey) -> dict[str, Any]:
    return {field: getattr(key, field) for field in KeyAnswer.model_fields}


def _encode(key: StoredKey) -> str:
    return base64.urlsafe_b64encode(f"{key.created_at.isoformat()}|{key.id}".encode()).decode()


def _decode(cursor: str | None) -> tuple[datetime, str] | None:
    if cursor is None:
        return None
    try:
        at, _, key_id = base64.b64decode(cursor, altchars=b"-_", validate=True).decode().partition("|")
        instant = datetime.fromisoformat(at)
    except (binascii.Error, UnicodeDecodeError, ValueError):
        instant = None
    if instant is None or instant.tzinfo is None or not key_id:
        raise InvalidRequest("'cursor' is not one this API gave out.", param="cursor", code="invalid_value")
    return instant, key_id
