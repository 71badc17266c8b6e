"""What an app takes in a way that no re-pin moves.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("frozen", sa.Column("stays", sa.JSON(), nullable=False, server_default="[]"))


def downgrade() -> None:
    op.drop_column("frozen", "stays")
