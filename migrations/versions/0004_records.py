"""The DNS half: the ledger, the history of operations, reports of nodes, and small facts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MYSQL = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}
HASH = sa.LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")
TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NAME = sa.String(255)


def upgrade():
    op.create_table(
        "ledger",
        sa.Column("key", HASH, nullable=False),
        sa.Column("provider", NAME, nullable=False),
        sa.Column("zone", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("line", NAME, nullable=False),
        sa.Column("service", NAME, nullable=False),
        sa.Column("document", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_ledger"),
        **MYSQL,
    )
    op.create_index("ix_ledger_provider", "ledger", ["provider"])
    op.create_table(
        "record_history",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("service", NAME, nullable=False),
        sa.Column("provider", NAME, nullable=False),
        sa.Column("zone", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("line", NAME, nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("new_values", TEXT, nullable=False),
        sa.Column("old_values", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("answer", TEXT, nullable=False),
        sa.Column("ok", sa.Boolean, nullable=False),
        sa.Column("code", NAME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_record_history"),
        **MYSQL,
    )
    op.create_index("ix_record_history_at", "record_history", ["at"])
    op.create_table(
        "report",
        sa.Column("node", NAME, nullable=False),
        sa.Column("addresses", TEXT, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("node", name="pk_report"),
        **MYSQL,
    )
    op.create_table(
        "fact",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("document", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_fact"),
        **MYSQL,
    )


def downgrade():
    for table in ("fact", "report", "record_history", "ledger"):
        op.drop_table(table)
