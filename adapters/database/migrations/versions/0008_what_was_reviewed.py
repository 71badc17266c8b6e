"""The commits that a verdict was given for.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("reviews", sa.Column("heads", sa.JSON(), nullable=False, server_default="{}"))


def downgrade() -> None:
    op.drop_column("reviews", "heads")
