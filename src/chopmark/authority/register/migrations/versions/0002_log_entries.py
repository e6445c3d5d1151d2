"""Every event is an entry of the transparency log; those from before become its first entries."""

from __future__ import annotations

import rfc8785
import sqlalchemy as sa
from alembic import op

from chopmark.authority.register.schema import Moment
from chopmark.core import clock

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables, and the entries of the events that there are."""
    entries = op.create_table(
        "log_entries",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("event", sa.Integer(), nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["event"], ["events.id"], name=op.f("fk_log_entries_event_events")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_log_entries")),
        sa.UniqueConstraint("event", name=op.f("uq_log_entries_event")),
    )
    op.create_table(
        "log_checkpoints",
        sa.Column("size", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_log_checkpoints")),
    )
    connection = op.get_bind()
    events = sa.table(
        "events", *map(sa.column, ("id", "action", "issuer", "serial", "detail")), sa.column("at", Moment())
    )
    issuers = sa.table("issuers", sa.column("id"), sa.column("name"))
    told = sa.select(events, issuers.c.name).join(issuers, issuers.c.id == events.c.issuer, isouter=True)
    for number, row in enumerate(connection.execute(told.order_by(events.c.id)).all()):
        facts = {"issuer": row.name, "serial": row.serial, "detail": row.detail}
        entry = rfc8785.dumps(
            {
                **{name: value for name, value in facts.items() if value},
                "type": "chopmark.event.v1",
                "action": row.action,
                "at": clock.show(row.at),
            }
        )
        connection.execute(entries.insert().values(number=number, event=row.id, entry=entry))
