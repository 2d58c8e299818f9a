"""The journal, its history and the lease."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MYSQL = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}
HASH = sa.LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")
PATH_START = sa.LargeBinary(255).with_variant(mysql.VARBINARY(255), "mysql", "mariadb")
PATH = sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")
TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NAME = sa.String(255)


def upgrade():
    op.create_table(
        "entry",
        sa.Column("key", HASH, nullable=False),
        sa.Column("path", PATH, nullable=False),
        sa.Column("start", PATH_START, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("ctime_ns", sa.BigInteger, nullable=False),
        sa.Column("dev", sa.BigInteger, nullable=False),
        sa.Column("inode", sa.BigInteger, nullable=False),
        sa.Column("mode", sa.Integer, nullable=False),
        sa.Column("links", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("exact", TEXT),
        sa.PrimaryKeyConstraint("key", name="pk_entry"),
        **MYSQL,
    )
    op.create_index("ix_entry_start", "entry", ["start"])
    op.create_index("ix_entry_inode", "entry", ["inode"])
    op.create_index("ix_entry_seq", "entry", ["seq"])
    op.create_table(
        "meta",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("document", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_meta"),
        **MYSQL,
    )
    op.create_table(
        "node",
        sa.Column("name", NAME, nullable=False),
        sa.Column("spec_key", TEXT, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("cursor", sa.BigInteger),
        sa.Column("proof_seq", sa.BigInteger),
        sa.Column("proof_at", sa.Double),
        sa.Column("deep_proof_at", sa.Double),
        sa.Column("introduced", sa.Boolean, nullable=False),
        sa.Column("drift", sa.Integer, nullable=False),
        sa.Column("drained", sa.Boolean),
        sa.Column("recoveries", sa.Integer, nullable=False),
        sa.Column("last_in_sync_at", sa.Double),
        sa.Column("last_audit_at", sa.Double),
        sa.PrimaryKeyConstraint("name", name="pk_node"),
        **MYSQL,
    )
    op.create_table(
        "dustbin",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("node", NAME, nullable=False),
        sa.Column("path", PATH, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("first_seq", sa.BigInteger, nullable=False),
        sa.Column("first_failed_at", sa.Double, nullable=False),
        sa.Column("error", TEXT, nullable=False),
        sa.Column("code", sa.Integer),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_try_at", sa.Double, nullable=False),
        sa.Column("discarded", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_dustbin"),
        **MYSQL,
    )
    op.create_index("ix_dustbin_node", "dustbin", ["node"])
    op.create_table(
        "event",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("node", NAME),
        sa.Column("message", TEXT, nullable=False),
        sa.Column("facts", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_event"),
        sqlite_autoincrement=True,
        **MYSQL,
    )
    op.create_index("ix_event_at", "event", ["at"])
    op.create_index("ix_event_node_id", "event", ["node", "id"])
    op.create_index("ix_event_kind_id", "event", ["kind", "id"])
    op.create_table(
        "transfer",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("node", NAME, nullable=False),
        sa.Column("form", sa.String(32), nullable=False),
        sa.Column("outcome", sa.String(32), nullable=False),
        sa.Column("code", sa.Integer),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("files", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("deleted", sa.BigInteger, nullable=False),
        sa.Column("message", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_transfer"),
        sqlite_autoincrement=True,
        **MYSQL,
    )
    op.create_index("ix_transfer_at", "transfer", ["at"])
    op.create_index("ix_transfer_node_id", "transfer", ["node", "id"])
    op.create_table(
        "lease",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("holder", NAME, nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_lease"),
        **MYSQL,
    )


def downgrade():
    for table in ("lease", "transfer", "event", "dustbin", "node", "meta", "entry"):
        op.drop_table(table)
