"""The gate's own tables. The ledger's are in `billing.tables`; migrations are made from both."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, MetaData, String, Table

from billing.tables import UtcInstant
from billing.tables import metadata as billing_metadata

metadata = MetaData(naming_convention=billing_metadata.naming_convention)


def _policy_columns() -> list[Column[Any]]:
    """What keys, teams and users have alike."""
    return [
        Column("models", JSON(none_as_null=True)),  # names and patterns; null: every model
        Column("guards", JSON, nullable=False),
        Column("tags", JSON, nullable=False),
        Column("limits", JSON(none_as_null=True)),  # `gateway.admission.limits.Limits`
        Column("budgets", JSON(none_as_null=True)),
    ]


api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("role", String(16), nullable=False),
    Column("team", String(200)),
    Column("user", String(200)),
    *_policy_columns(),
    Column("created_at", UtcInstant, nullable=False),
    Column("updated_at", UtcInstant, nullable=False),
    Column("expires_at", UtcInstant),
    Column("revoked_at", UtcInstant),
    Column("version", Integer, nullable=False),
)
Index(None, api_keys.c.created_at, api_keys.c.id)
Index(None, api_keys.c.team)
Index(None, api_keys.c.user)

# The secrets themselves are nowhere: `hash` is a secret's SHA-256, enough because the secret is 256 random bits. `hint`
# is its last four characters, so that a person can tell keys apart. Each key has one secret without an end; those it
# replaced have one (their grace).
key_secrets = Table(
    "key_secrets",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("key_id", String(32), nullable=False),
    Column("hint", String(8), nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("expires_at", UtcInstant),
)
Index(None, key_secrets.c.key_id)

# A key names its team and user by `id`. It may name some that have no row here: those have no policy.
teams = Table(
    "teams",
    metadata,
    Column("id", String(100), primary_key=True),
    Column("name", String(200), nullable=False),
    *_policy_columns(),
    Column("created_at", UtcInstant, nullable=False),
    Column("updated_at", UtcInstant, nullable=False),
    Column("version", Integer, nullable=False),
)
Index(None, teams.c.created_at, teams.c.id)
Index(None, teams.c.name)

users = Table(
    "users",
    metadata,
    Column("id", String(100), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("role", String(16), nullable=False),
    *_policy_columns(),
    Column("created_at", UtcInstant, nullable=False),
    Column("updated_at", UtcInstant, nullable=False),
    Column("version", Integer, nullable=False),
)
Index(None, users.c.created_at, users.c.id)
Index(None, users.c.name)

# Answers to POSTs that came with an Idempotency-Key, for a day. `salt` makes a new key's secret again for the caller
# who has the credential it was made with; `secret_hash` tells whether it was that one.
idempotency = Table(
    "idempotency",
    metadata,
    Column("caller", String(64), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("salt", String(64), nullable=False),
    Column("secret_hash", String(64)),
    Column("answer", JSON(none_as_null=True)),
    Column("created_at", UtcInstant, nullable=False),
)
Index(None, idempotency.c.created_at)

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
Index(None, audit_log.c.at)
Index(None, audit_log.c.target, audit_log.c.id)

ALL_METADATA = [metadata, billing_metadata]
