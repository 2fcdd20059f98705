"""More kinds of usage on each row of the ledger, and sums of it by hour and day, filled from the rows there are.

Revision: 0003
After: 0002
"""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

COUNTS = ("cache_write_tokens", "audio_input_tokens", "audio_output_tokens", "images", "requests")
DAY = 86_400_000_000  # microseconds
AT_ONCE = 5_000  # sums inserted by one statement

# The sums of one day by hour, dimension, value and model. `value` is null where a row has none.
DAY_SUMS = """
SELECT at - at % 3600000000 AS start, coalesce(model, '') AS model, {dimension} AS dimension, {value} AS value,
       max({label}) AS label, count(*) AS requests, CAST(sum(input_tokens) AS BIGINT) AS input_tokens,
       CAST(sum(cached_input_tokens) AS BIGINT) AS cached_input_tokens,
       CAST(sum(output_tokens) AS BIGINT) AS output_tokens,
       CAST(sum(cost_pico / 1000000) AS BIGINT) AS cost_micro,
       CAST(sum(cost_pico % 1000000) AS BIGINT) AS cost_pico_rest
FROM {rows} WHERE {condition} AND at >= :since AND at < :until GROUP BY 1, 2, 3, 4
"""
DAYS_OF_HOURS = """
INSERT INTO usage_sums (dimension, span, start, series, model, value, label, requests, input_tokens,
                        cached_input_tokens, output_tokens, cost_micro, cost_pico_rest)
SELECT dimension, 'day', start - start % 86400000000, series, model, value, max(label), sum(requests),
       sum(input_tokens), sum(cached_input_tokens), sum(output_tokens), sum(cost_micro), sum(cost_pico_rest)
FROM usage_sums WHERE span = 'hour' GROUP BY dimension, start - start % 86400000000, series, model, value
"""
KEYS_USERS = """
UPDATE usage_records SET key_user = "user" WHERE EXISTS (
    SELECT 1 FROM api_keys WHERE api_keys.id = usage_records.key_id AND api_keys."user" = usage_records."user"
)
"""
TAGS = {
    "sqlite": "usage_records, json_each(usage_records.tags) AS tag",
    "postgresql": "usage_records, jsonb_each_text(usage_records.tags) AS tag",
}


def upgrade() -> None:
    for name in COUNTS:
        op.add_column("usage_records", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("usage_records", sa.Column("key_user", sa.String(512)))
    sums = op.create_table(
        "usage_sums",
        sa.Column("dimension", sa.String(132), nullable=False),
        sa.Column("span", sa.String(4), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("series", sa.String(32), nullable=False),
        sa.Column("model", sa.String(512), nullable=False),
        sa.Column("value", sa.String(512), nullable=False),
        sa.Column("label", sa.String(512), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cached_input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_micro", sa.BigInteger(), nullable=False),
        sa.Column("cost_pico_rest", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("dimension", "span", "start", "series", "model", name="pk_usage_sums"),
        sqlite_with_rowid=False,
    )
    _fill(op.get_bind(), sums)
    op.create_index("ix_usage_sums_series_span_start", "usage_sums", ["series", "span", "start"])


def downgrade() -> None:
    op.drop_index("ix_usage_sums_series_span_start", table_name="usage_sums")
    op.drop_table("usage_sums")
    op.drop_column("usage_records", "key_user")
    for name in COUNTS:
        op.drop_column("usage_records", name)


def _fill(connection: sa.Connection, sums: sa.Table) -> None:
    # A request that was answered is one request to its provider; the rows did not say so until now.
    connection.execute(sa.text("UPDATE usage_records SET requests = 1 WHERE outcome = 'ok'"))
    # Whose the key was is not in old rows; whose it is now, where the row names the same user, is the best there is.
    connection.execute(sa.text(KEYS_USERS))
    for query in _queries(connection.dialect.name):
        for since in _days(connection):
            found = connection.execute(sa.text(query), {"since": since, "until": since + DAY}).mappings()
            while some := found.fetchmany(AT_ONCE):
                lines = [_line(row) for row in some if row["value"] is not None]
                if lines:
                    connection.execute(sa.insert(sums), lines)
    connection.execute(sa.text(DAYS_OF_HOURS))


def _queries(dialect: str) -> Iterator[str]:
    places = {"": "''", "user": '"user"'} | {name: name for name in ("team", "key_user", "target", "endpoint")}
    places["key"] = "key_id"
    for dimension, value in places.items():
        label = "key_name" if dimension == "key" else "''"
        yield DAY_SUMS.format(
            dimension=f"'{dimension}'", value=value, label=label, rows="usage_records", condition="true"
        )
    yield DAY_SUMS.format(
        dimension="'tag:' || tag.key",
        value="tag.value",
        label="''",
        rows=TAGS[dialect],
        condition="length(tag.key) <= 128",
    )


def _days(connection: sa.Connection) -> Iterator[int]:
    """The beginning of every day (UTC) that has rows."""
    first = sa.text("SELECT min(at) FROM usage_records WHERE at >= :since")
    since = -(2**63)
    while (at := connection.execute(first, {"since": since}).scalar()) is not None:
        yield (day := at - at % DAY)
        since = day + DAY


def _line(row: Any) -> dict[str, Any]:
    digest = blake2b(f"{row['dimension']}\0{row['value']}".encode(), digest_size=16).hexdigest()
    return {**row, "series": digest, "span": "hour"}
