"""The ledger's table. Migrations are made from `metadata`; nothing here opens a database.

The same DDL serves SQLite and PostgreSQL. An instant is a BIGINT of microseconds since 1970 UTC, so that both
compare, sort and bucket it alike; in PostgreSQL `to_timestamp(at / 1e6)` shows it. Money is a BIGINT of
pico-dollars.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.dialects.postgresql import JSONB

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

TEXT_LENGTH = 512  # characters; longer texts are cut before they come here


def to_micros(instant: datetime) -> int:
    """Microseconds since 1970 UTC of an aware datetime; exact. Raises ValueError for a naive one."""
    if instant.tzinfo is None:
        raise ValueError("a naive datetime names no instant; give it a time zone")
    return (instant - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The aware UTC datetime of `micros`."""
    return _EPOCH + timedelta(microseconds=micros)


class UtcInstant(TypeDecorator[datetime]):
    """An aware datetime, kept as microseconds since 1970 UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        return None if value is None else to_micros(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else from_micros(value)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# `id` is ours and makes replays idempotent. `request_id` cannot: callers choose theirs (`x-request-id`), and
# one who sends the same twice has still made two requests.
usage_records = Table(
    "usage_records",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("request_id", String(TEXT_LENGTH), nullable=False),
    Column("at", UtcInstant, nullable=False),  # when the request came in
    Column("key_id", String(TEXT_LENGTH), nullable=False),
    Column("key_name", String(TEXT_LENGTH), nullable=False),
    Column("team", String(TEXT_LENGTH)),
    Column("user", String(TEXT_LENGTH)),
    Column("model", String(TEXT_LENGTH)),  # the configured name that answered
    Column("requested_model", String(TEXT_LENGTH), nullable=False),  # what the caller wrote
    Column("target", String(TEXT_LENGTH)),
    Column("served_model", String(TEXT_LENGTH)),  # the provider's own name
    Column("endpoint", String(TEXT_LENGTH), nullable=False),
    Column("stream", Boolean, nullable=False),
    Column("status", Integer, nullable=False),
    Column("outcome", String(32), nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("cached_input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("compute_us", BigInteger, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("cost_pico", BigInteger, nullable=False),
    Column("price", Text),  # JSON: the price it was billed at (`Price.snapshot`)
    Column("tags", JSON().with_variant(JSONB(), "postgresql"), nullable=False),
    Column("duration_ms", Float(53), nullable=False),
    Column("first_token_ms", Float(53)),
    Column("attempts", Integer, nullable=False),
)
Index(None, usage_records.c.at)
Index(None, usage_records.c.key_id, usage_records.c.at)
Index(None, usage_records.c.team, usage_records.c.at)
Index(None, usage_records.c.request_id)
