"""Prices that are set while the gate runs.

Going back drops them; rows of the ledger keep the price they were billed at.

Revision: 0004
After: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "model_prices",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(512), nullable=False),
        sa.Column("effective_at", sa.BigInteger(), nullable=False),
        sa.Column("price", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_model_prices"),
    )
    op.create_index("ix_model_prices_name_effective_at", "model_prices", ["name", "effective_at"], unique=True)


def downgrade() -> None:
    op.drop_index("ix_model_prices_name_effective_at", table_name="model_prices")
    op.drop_table("model_prices")
