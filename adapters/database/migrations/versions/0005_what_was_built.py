"""What was built from which commit, for good; and which versions a frozen package takes of others.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "builds",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("commit", sa.Text(), nullable=False),
        sa.Column("ecosystem", sa.Text(), nullable=False),
        sa.Column("distribution", sa.Text(), nullable=False),
        sa.Column("declared", sa.JSON(), nullable=False),
        sa.Column("artefacts", sa.JSON(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("trim(\"commit\") <> ''", name=op.f("ck_builds_commit_not_blank")),
        sa.PrimaryKeyConstraint("id", name="pk_builds"),
    )
    op.create_index("ix_builds_repository_id", "builds", ["repository", "id"])
    op.add_column("frozen", sa.Column("ranges", sa.JSON(), nullable=False, server_default="{}"))


def downgrade() -> None:
    op.drop_column("frozen", "ranges")
    op.drop_index("ix_builds_repository_id", table_name="builds")
    op.drop_table("builds")
