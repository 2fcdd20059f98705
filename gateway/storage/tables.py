"""The gate's own tables. The ledger's are in `billing.tables`; migrations are made from both."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, MetaData, String, Table

from billing.tables import UtcInstant
from billing.tables import metadata as billing_metadata

metadata = MetaData(naming_convention=billing_metadata.naming_convention)

# A key's secret is nowhere: `hash` is its SHA-256, enough because the secret is 256 random bits. `hint` is its last
# four characters, so that a person can tell keys apart.
api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("hash", String(64), nullable=False),
    Column("hint", String(8), nullable=False),
    Column("name", String(200), nullable=False),
    Column("role", String(16), nullable=False),
    Column("team", String(200)),
    Column("user", String(200)),
    Column("models", JSON(none_as_null=True)),  # null: every model
    Column("guards", JSON, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("expires_at", UtcInstant),
    Column("revoked_at", UtcInstant),
)
Index(None, api_keys.c.hash, unique=True)
Index(None, api_keys.c.created_at, api_keys.c.id)

# Append-only: triggers in the database refuse to change or delete a row.
audit_log = Table(
    "audit_log",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", UtcInstant, nullable=False),
    Column("actor_id", String(64), nullable=False),
    Column("actor_name", String(200), nullable=False),
    Column("address", String(64)),
    Column("request_id", String(128)),
    Column("action", String(64), nullable=False),
    Column("target", String(512), nullable=False),
    Column("before", JSON(none_as_null=True)),
    Column("after", JSON(none_as_null=True)),
)

ALL_METADATA = [metadata, billing_metadata]
