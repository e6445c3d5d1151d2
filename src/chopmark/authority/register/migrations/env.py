"""What Alembic runs around the revisions: in the transaction of whoever asked, and with its connection."""

from __future__ import annotations

from alembic import context

from chopmark.authority.register import schema

context.configure(
    connection=context.config.attributes["connection"], target_metadata=schema.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
