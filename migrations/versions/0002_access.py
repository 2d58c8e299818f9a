"""People, their sessions, and tokens."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MYSQL = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}
HASH = sa.LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")
TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NAME = sa.String(255)


def upgrade():
    op.create_table(
        "user",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password", TEXT, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("last_login_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_user"),
        sa.UniqueConstraint("name", name="uq_user_name"),
        **MYSQL,
    )
    op.create_table(
        "session",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("key", HASH, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("agent", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_session"),
        sa.UniqueConstraint("key", name="uq_session_key"),
        **MYSQL,
    )
    op.create_index("ix_session_user_id", "session", ["user_id"])
    op.create_table(
        "token",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("hash", HASH, nullable=False),
        sa.Column("scopes", NAME, nullable=False),
        sa.Column("node", NAME),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("used_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_token"),
        sa.UniqueConstraint("name", name="uq_token_name"),
        sa.UniqueConstraint("hash", name="uq_token_hash"),
        **MYSQL,
    )


def downgrade():
    for table in ("token", "session", "user"):
        op.drop_table(table)
