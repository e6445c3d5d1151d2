"""Deltas, and lists about a part of the certificates."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chopmark.authority.register.schema import Moment

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add what lists there are, and which of them a certificate is on."""
    with op.batch_alter_table("issuers") as table:
        table.add_column(sa.Column("shards", sa.Integer(), nullable=False, server_default="0"))
        table.add_column(sa.Column("deltas", sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table("certificates") as table:
        table.add_column(sa.Column("shard", sa.Integer(), nullable=False, server_default="0"))
        table.add_column(sa.Column("changed", sa.Integer()))
    with op.batch_alter_table("crls") as table:
        table.add_column(sa.Column("base", sa.Integer()))
        table.add_column(sa.Column("shards", sa.Integer(), nullable=False, server_default="0"))
        table.add_column(sa.Column("delta_next_update", Moment()))
    # Nobody knows which list told of a revocation first: the first delta has them all.
    op.execute(
        "UPDATE certificates SET changed = (SELECT crl_number FROM issuers WHERE issuers.id = certificates.issuer) "
        "WHERE revoked IS NOT NULL"
    )
    revoked, changed = sa.text("revoked IS NOT NULL"), sa.text("changed IS NOT NULL")
    op.create_index(
        op.f("ix_certificates_revoked"),
        "certificates",
        ["issuer", "shard", "revoked", "serial", "reason", "invalidity", "not_after"],
        sqlite_where=revoked,
        postgresql_where=revoked,
    )
    op.create_index(
        op.f("ix_certificates_changed"),
        "certificates",
        ["issuer", "changed"],
        sqlite_where=changed,
        postgresql_where=changed,
    )
