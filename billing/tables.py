"""The ledger's tables. Migrations are made from `metadata`; nothing here opens a database.

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
TAG_LENGTH = 128  # characters of a tag's name that reports know; a row may have tags with longer ones


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
    Column("user", String(TEXT_LENGTH)),  # the key's, else the one the caller named
    Column("key_user", String(TEXT_LENGTH)),  # the key's: what a budget of the user counts
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
    Column("cache_write_tokens", BigInteger, nullable=False, server_default="0"),
    Column("audio_input_tokens", BigInteger, nullable=False, server_default="0"),
    Column("output_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("audio_output_tokens", BigInteger, nullable=False, server_default="0"),
    Column("images", BigInteger, nullable=False, server_default="0"),
    Column("requests", BigInteger, nullable=False, server_default="0"),  # as the provider bills them
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

# Sums of `usage_records`, written in the same transactions: of every hour and every day (UTC), along one dimension at
# a time ("", which is all; key, team, user, key_user, target, endpoint, tag:NAME), and by model in each. One dimension
# at a time, because a table by all of them at once would have nearly a row for every request where users or tags are
# many. `billing.rollup` writes it.
usage_sums = Table(
    "usage_sums",
    metadata,
    Column("dimension", String(len("tag:") + TAG_LENGTH), primary_key=True),
    Column("span", String(4), primary_key=True),  # hour or day
    Column("start", BigInteger, primary_key=True, autoincrement=False),  # microseconds since 1970 UTC
    Column("series", String(32), primary_key=True),  # a digest of dimension and value, which may be long for a key
    Column("model", String(TEXT_LENGTH), primary_key=True),  # "" for none
    Column("value", String(TEXT_LENGTH), nullable=False),
    Column("label", String(TEXT_LENGTH), nullable=False),  # a key's name; "" in other dimensions
    Column("requests", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("cached_input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost_micro", BigInteger, nullable=False),  # the cost is both together; in pico-dollars alone it
    Column("cost_pico_rest", BigInteger, nullable=False),  # could pass 64 bits
    sqlite_with_rowid=False,  # kept in the order of the key, which is the order reports read in
)
Index(None, usage_sums.c.series, usage_sums.c.span, usage_sums.c.start)

# Prices set while the gate runs; rows are only ever added. `name` is a target's or a configured model's.
model_prices = Table(
    "model_prices",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(TEXT_LENGTH), nullable=False),
    Column("effective_at", UtcInstant, nullable=False),
    Column("price", Text, nullable=False),  # JSON (`Price.snapshot`)
    Column("created_at", UtcInstant, nullable=False),
    Column("created_by", String(64), nullable=False),
)
Index(None, model_prices.c.name, model_prices.c.effective_at, unique=True)
