"""Generations of CAs, cross-certificates, renewals, ceremonies; indexes for searching."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chopmark.authority.register.schema import Moment

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add columns, tables and indexes."""
    with op.batch_alter_table("issuers") as batch:
        batch.add_column(sa.Column("retired", Moment()))
    with op.batch_alter_table("certificates") as batch:
        batch.add_column(sa.Column("predecessor", sa.Integer()))
        batch.create_foreign_key(
            op.f("fk_certificates_predecessor_certificates"), "certificates", ["predecessor"], ["id"]
        )
    for column in ("serial", "predecessor", "subject"):
        op.create_index(op.f(f"ix_certificates_{column}"), "certificates", [column])
    op.create_table(
        "crosses",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("issuer", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(130), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("created", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["issuer"], ["issuers.id"], name=op.f("fk_crosses_issuer_issuers")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_crosses")),
        sa.UniqueConstraint("name", name=op.f("uq_crosses_name")),
    )
    op.create_table(
        "approvers",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("added", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_approvers")),
    )
    op.create_table(
        "ceremonies",
        sa.Column("plan_sha256", sa.String(64), nullable=False),
        sa.Column("begun", Moment(), nullable=False),
        sa.Column("transcript_sha256", sa.String(64)),
        sa.PrimaryKeyConstraint("plan_sha256", name=op.f("pk_ceremonies")),
    )
