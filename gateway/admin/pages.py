"""Cursor pages: how a list is cut, and the forms of ids and filters in paths and queries."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Path, Query
from pydantic import AfterValidator

from gateway.errors import InvalidRequest

NO_CONTROLS = r"^[^\x00-\x1f\x7f]*$"  # a database may refuse them, and no name has any


def _utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        return instant.replace(tzinfo=UTC)
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("is outside the years 1 to 9999 in UTC") from None


Instant = Annotated[datetime, AfterValidator(_utc)]  # of UTC if it names no zone; a date is its beginning
Limit = Annotated[int, Query(ge=1, le=500, description="Entries of a page.")]
Cursor = Annotated[str | None, Query(max_length=400, description="`next_cursor` of the page before.")]
Filter = Annotated[str | None, Query(min_length=1, max_length=512, pattern=NO_CONTROLS)]
Id = Annotated[str, Path(max_length=128, pattern=r"^[A-Za-z0-9._@+-]+$")]


def encode_cursor(at: datetime, entry_id: str) -> str:
    return base64.urlsafe_b64encode(f"{at.isoformat()}|{entry_id}".encode()).decode()


def decode_cursor(cursor: str | None) -> tuple[datetime, str] | None:
    """Raises InvalidRequest for one that no page gave out."""
    if cursor is None:
        return None
    try:
        at, _, entry_id = base64.b64decode(cursor, altchars=b"-_", validate=True).decode().partition("|")
        instant = datetime.fromisoformat(at)
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise bad_cursor() from None
    if instant.tzinfo is None or not re.fullmatch(r"[^\x00-\x1f\x7f]+", entry_id):
        raise bad_cursor()
    return instant, entry_id


def bad_cursor() -> InvalidRequest:
    return InvalidRequest("'cursor' is not one this API gave out.", param="cursor", code="invalid_value")
