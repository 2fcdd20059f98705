"""`Idempotency-Key`: a POST that is sent twice is carried out once, and answered the same again for a day.

The answer is kept without a new key's secret. That is made from a salt in the row and from the credential of the
caller, so that the same caller gets it again and the database alone gives it to nobody.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import orjson
from fastapi import Header, Request
from pydantic import BaseModel
from sqlalchemy import and_, delete, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.admin.deps import changing, context
from gateway.admission.authenticate import credential
from gateway.admission.principals import Principal
from gateway.errors import Conflict
from gateway.storage.keys import PREFIX, hash_secret, new_secret
from gateway.storage.rows import insert_if_new
from gateway.storage.tables import idempotency

KEPT = timedelta(hours=24)
PRUNED = 100  # outdated rows that one new row takes away with it

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]([ -~]*[!-~])?$",
        description="Sent again with the same request within 24 hours, it is not carried out again; the answer is the "
        "same, a new secret in it too.",
    ),
]


class Post:
    """One POST, in its transaction. `answer` is what it was answered the first time; None: this is the first time."""

    def __init__(
        self, connection: AsyncConnection, now: datetime, row: dict[str, Any] | None = None, credential: str = ""
    ) -> None:
        self.connection = connection
        self.now = now
        self.answer: dict[str, Any] | None = row and row["answer"]
        self._row = row
        self._credential = credential

    def secret(self) -> str:
        """A new key's secret; in an answer given again, the one of the first time.

        Raises Conflict for a caller whose own secret is another by now.
        """
        if self._row is None:
            return new_secret()
        message = f"{self._credential}\0{self._row['key']}".encode("utf-8", "surrogateescape")
        derived = hmac.digest(bytes.fromhex(self._row["salt"]), message, hashlib.sha256)
        secret = PREFIX + base64.urlsafe_b64encode(derived).decode().rstrip("=")
        if self.answer is not None and not hmac.compare_digest(self._row["secret_hash"] or "", hash_secret(secret)):
            raise Conflict(
                "This was carried out, but its secret can only be told again to the credential it was made with.",
                param="Idempotency-Key",
                code="idempotency_key_reused",
            )
        return secret

    async def keep(self, answer: BaseModel, secret: str | None = None) -> None:
        """Keep the answer (without the secret in it) for when the same request comes again."""
        if self._row is None:
            return
        values = {"answer": answer.model_dump(mode="json"), "secret_hash": secret and hash_secret(secret)}
        await self.connection.execute(
            update(idempotency).where(_same(self._row["caller"], self._row["key"])).values(values)
        )


@asynccontextmanager
async def once(request: Request, caller: Principal, key: str | None, body: BaseModel | None) -> AsyncIterator[Post]:
    """The transaction a POST is carried out in. A second one with the same key waits until the first has ended.

    Raises Conflict where the key came with another request before, StorageUnavailable.
    """
    now = datetime.now(UTC)
    async with changing(context(request)) as connection:
        if key is None:
            yield Post(connection, now)
        else:
            row = await _claim(connection, caller.key_id, key, _fingerprint(request, body), now)
            yield Post(connection, now, row, credential(request.scope) or "")


async def _claim(connection: AsyncConnection, caller: str, key: str, fingerprint: str, now: datetime) -> dict[str, Any]:
    """The row of this key: a new one, or that of the same request before. Raises Conflict."""
    outdated = idempotency.c.created_at <= now - KEPT
    await connection.execute(delete(idempotency).where(_same(caller, key), outdated))
    row = {
        "caller": caller,
        "key": key,
        "fingerprint": fingerprint,
        "salt": secrets.token_hex(32),
        "secret_hash": None,
        "answer": None,
        "created_at": now,
    }
    if not await insert_if_new(connection, idempotency, row):
        found = (await connection.execute(select(idempotency).where(_same(caller, key)))).one()
        if found.fingerprint != fingerprint:
            raise Conflict(
                "This Idempotency-Key came with another request before.",
                param="Idempotency-Key",
                code="idempotency_key_reused",
            )
        return dict(found._mapping)
    # Rows that another transaction holds are left to it, or two that prune could wait for each other.
    ids = (
        select(idempotency.c.caller, idempotency.c.key).where(outdated).limit(PRUNED).with_for_update(skip_locked=True)
    )
    await connection.execute(delete(idempotency).where(tuple_(idempotency.c.caller, idempotency.c.key).in_(ids)))
    return row


def _same(caller: str, key: str) -> Any:
    return and_(idempotency.c.caller == caller, idempotency.c.key == key)


def _fingerprint(request: Request, body: BaseModel | None) -> str:
    sent = body.model_dump(mode="json", exclude_unset=True) if body is not None else None
    whole = [request.method, request.scope["path"], sent]
    return hashlib.sha256(orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)).hexdigest()
