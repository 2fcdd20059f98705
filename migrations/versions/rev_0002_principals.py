"""Teams and users, secrets apart from their keys, the audit log, idempotent answers.

Going back keeps each key with its newest secret, and drops what 0001 has no place for.

Revision: 0002
After: 0001
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TRIGGERS = {
    "sqlite": [
        f"""CREATE TRIGGER audit_log_no_{event.lower()} BEFORE {event} ON audit_log
            BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"""
        for event in ("UPDATE", "DELETE")
    ]
    + [
        # INSERT OR REPLACE deletes a row without asking the trigger above.
        """CREATE TRIGGER audit_log_no_replace BEFORE INSERT ON audit_log
            WHEN EXISTS (SELECT 1 FROM audit_log WHERE id = NEW.id)
            BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"""
    ],
    "postgresql": [
        """CREATE FUNCTION audit_log_append_only() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$""",
        """CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE ON audit_log
            FOR EACH ROW EXECUTE FUNCTION audit_log_append_only()""",
        """CREATE TRIGGER audit_log_no_truncate BEFORE TRUNCATE ON audit_log
            FOR EACH STATEMENT EXECUTE FUNCTION audit_log_append_only()""",
    ],
}


def _policy_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("models", sa.JSON(none_as_null=True)),
        sa.Column("guards", sa.JSON(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("limits", sa.JSON(none_as_null=True)),
        sa.Column("budgets", sa.JSON(none_as_null=True)),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
    ]


def upgrade() -> None:
    op.create_table(
        "teams",
        sa.Column("id", sa.String(100), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        *_policy_columns(),
        sa.PrimaryKeyConstraint("id", name="pk_teams"),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.String(100), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        *_policy_columns(),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
    )
    for table in ("teams", "users"):
        op.create_index(f"ix_{table}_created_at_id", table, ["created_at", "id"])
        op.create_index(f"ix_{table}_name", table, ["name"])
    _create_audit_log()
    op.create_table(
        "idempotency",
        sa.Column("caller", sa.String(64), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("salt", sa.String(64), nullable=False),
        sa.Column("secret_hash", sa.String(64)),
        sa.Column("answer", sa.JSON(none_as_null=True)),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("caller", "key", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"])
    _move_secrets_out()


def _create_audit_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            primary_key=True,
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor_id", sa.String(64), nullable=False),
        sa.Column("actor_name", sa.String(200), nullable=False),
        sa.Column("address", sa.String(64)),
        sa.Column("request_id", sa.String(128)),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("target", sa.String(512), nullable=False),
        sa.Column("before", sa.JSON(none_as_null=True)),
        sa.Column("after", sa.JSON(none_as_null=True)),
        sa.PrimaryKeyConstraint("id", name="pk_audit_log"),
    )
    op.create_index("ix_audit_log_at", "audit_log", ["at"])
    op.create_index("ix_audit_log_target_id", "audit_log", ["target", "id"])
    for statement in _TRIGGERS[op.get_bind().dialect.name]:
        op.execute(statement)


def _move_secrets_out() -> None:
    op.create_table(
        "key_secrets",
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(32), nullable=False),
        sa.Column("hint", sa.String(8), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("hash", name="pk_key_secrets"),
    )
    op.create_index("ix_key_secrets_key_id", "key_secrets", ["key_id"])
    op.execute(
        "INSERT INTO key_secrets (hash, key_id, hint, created_at) SELECT hash, id, hint, created_at FROM api_keys"
    )
    op.drop_index("ix_api_keys_hash", table_name="api_keys")
    with op.batch_alter_table("api_keys") as keys:
        keys.drop_column("hash")
        keys.drop_column("hint")
        keys.add_column(sa.Column("limits", sa.JSON(none_as_null=True)))
        keys.add_column(sa.Column("budgets", sa.JSON(none_as_null=True)))
        keys.add_column(sa.Column("updated_at", sa.BigInteger()))
        keys.add_column(sa.Column("version", sa.Integer()))
    op.execute("UPDATE api_keys SET updated_at = COALESCE(revoked_at, created_at), version = 1")
    with op.batch_alter_table("api_keys") as keys:
        keys.alter_column("updated_at", existing_type=sa.BigInteger(), nullable=False)
        keys.alter_column("version", existing_type=sa.Integer(), nullable=False)
    op.create_index("ix_api_keys_team", "api_keys", ["team"])
    op.create_index("ix_api_keys_user", "api_keys", ["user"])


def downgrade() -> None:
    op.drop_index("ix_api_keys_user", table_name="api_keys")
    op.drop_index("ix_api_keys_team", table_name="api_keys")
    with op.batch_alter_table("api_keys") as keys:
        keys.drop_column("version")
        keys.drop_column("updated_at")
        keys.drop_column("budgets")
        keys.drop_column("limits")
        keys.add_column(sa.Column("hash", sa.String(64)))
        keys.add_column(sa.Column("hint", sa.String(8)))
    # Of several secrets the newest is the one without an end.
    for column in ("hash", "hint"):
        op.execute(
            f"UPDATE api_keys SET {column} = (SELECT {column} FROM key_secrets"  # noqa: S608  both are words of ours
            " WHERE key_id = api_keys.id AND expires_at IS NULL)"
        )
    with op.batch_alter_table("api_keys") as keys:
        keys.alter_column("hash", existing_type=sa.String(64), nullable=False)
        keys.alter_column("hint", existing_type=sa.String(8), nullable=False)
    op.create_index("ix_api_keys_hash", "api_keys", ["hash"], unique=True)
    for table in ("key_secrets", "idempotency", "audit_log", "users", "teams"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_log_append_only()")
