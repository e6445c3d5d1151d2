"""The schema of the first authorities, which kept no revision."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from chopmark.authority.register.schema import Moment

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "settings",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_settings")),
    )
    op.create_table(
        "issuers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("crl_url", sa.Text(), nullable=False),
        sa.Column("certificate_url", sa.Text(), nullable=False),
        sa.Column("crl_number", sa.Integer(), nullable=False),
        sa.Column("created", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_issuers")),
        sa.UniqueConstraint("name", name=op.f("uq_issuers_name")),
    )
    op.create_table(
        "certificates",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("issuer", sa.Integer(), nullable=False),
        sa.Column("serial", sa.String(40), nullable=False),
        sa.Column("profile", sa.String(64), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("key_sha256", sa.String(64), nullable=False),
        sa.Column("not_before", Moment(), nullable=False),
        sa.Column("not_after", Moment(), nullable=False),
        sa.Column("reserved", Moment(), nullable=False),
        sa.Column("certificate", sa.LargeBinary()),
        sa.Column("issued", Moment()),
        sa.Column("revoked", Moment()),
        sa.Column("recorded", Moment()),
        sa.Column("reason", sa.Integer()),
        sa.Column("invalidity", Moment()),
        sa.ForeignKeyConstraint(["issuer"], ["issuers.id"], name=op.f("fk_certificates_issuer_issuers")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_certificates")),
        sa.UniqueConstraint("issuer", "serial", name=op.f("uq_certificates_issuer_serial")),
    )
    op.create_index(op.f("ix_certificates_key_sha256"), "certificates", ["key_sha256"])
    op.create_index(op.f("ix_certificates_not_after"), "certificates", ["not_after"])
    op.create_table(
        "crls",
        sa.Column("issuer", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("this_update", Moment(), nullable=False),
        sa.Column("next_update", Moment(), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["issuer"], ["issuers.id"], name=op.f("fk_crls_issuer_issuers")),
        sa.PrimaryKeyConstraint("issuer", "number", name=op.f("pk_crls")),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("issuer", sa.Integer()),
        sa.Column("serial", sa.String(40)),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["issuer"], ["issuers.id"], name=op.f("fk_events_issuer_issuers")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    op.create_index(op.f("ix_events_serial"), "events", ["serial"])
