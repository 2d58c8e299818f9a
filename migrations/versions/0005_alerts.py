"""Alerting: its state, and the outbox of what is to be told."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

MYSQL = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}
TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")


def upgrade():
    op.create_table(
        "alert_state",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("document", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alert_state"),
        **MYSQL,
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(320), nullable=False),
        sa.Column("channel", sa.String(255), nullable=False),
        sa.Column("notice", TEXT, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_try_at", sa.Double, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("last_answer", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        **MYSQL,
    )
    op.create_index("ix_outbox_state", "outbox", ["state"])
    op.create_index("ix_outbox_created_at", "outbox", ["created_at"])


def downgrade():
    op.drop_table("outbox")
    op.drop_table("alert_state")
