"""Alembic's entry point. The connection comes from `gateway.storage.database.migrate`; there is no offline mode."""

from alembic import context

from gateway.storage.tables import ALL_METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=ALL_METADATA,
    render_as_batch=True,  # SQLite cannot alter most things in place
)
with context.begin_transaction():
    context.run_migrations()
