"""What plots are drawn from."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MYSQL = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}
SECONDS = ("ready", "unhealth", "dead", "recovery", "in_sync", "published")


def upgrade():
    op.create_table(
        "sample",
        sa.Column("node", sa.String(255), nullable=False),
        sa.Column("span", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False, autoincrement=False),
        *(sa.Column(name, sa.Double, nullable=False) for name in SECONDS),
        sa.Column("rtt_sum", sa.Double, nullable=False),
        sa.Column("rtt_count", sa.Integer, nullable=False),
        sa.Column("rtt_max", sa.Double, nullable=False),
        sa.Column("lag_sum", sa.Double, nullable=False),
        sa.Column("lag_count", sa.Integer, nullable=False),
        sa.Column("lag_max", sa.Double, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("files", sa.BigInteger, nullable=False),
        sa.Column("runs", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("node", "span", "at", name="pk_sample"),
        sqlite_with_rowid=False,
        **MYSQL,
    )
    op.create_index("ix_sample_span_at", "sample", ["span", "at"])


def downgrade():
    op.drop_table("sample")
