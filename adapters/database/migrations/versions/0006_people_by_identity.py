"""Who acted, by identity beside the name; and which identities an operator said are one person.

What is there already has only names: its identities are `name:NAME`, which nobody has any more.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_COLUMNS = {
    "tasks": "builder",
    "remarks": "author",
    "reviews": "reviewer",
    "bids": "by",
    "events": "actor",
}


def upgrade() -> None:
    for table, name in _COLUMNS.items():
        op.add_column(table, sa.Column(f"{name}_id", sa.Text(), nullable=False, server_default=""))
        op.execute(f"UPDATE {table} SET {name}_id = 'name:' || \"{name}\" WHERE \"{name}\" <> ''")
    op.execute("UPDATE events SET actor_id = 'engine' WHERE actor = 'stationmaster'")
    op.execute("UPDATE answered SET bearer = 'agent:' || bearer")
    with op.batch_alter_table("bids") as bids:
        bids.drop_constraint("uq_bids_task_by", type_="unique")
        bids.create_unique_constraint("uq_bids_task_by_id", ["task", "by_id"])
    op.create_table(
        "person_links",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("one", sa.Text(), nullable=False),
        sa.Column("other", sa.Text(), nullable=False),
        sa.Column("linked_by", sa.Text(), nullable=False),
        sa.Column("unlinked_by", sa.Text(), nullable=False),
        sa.Column("linked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("unlinked_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_person_links"),
    )


def downgrade() -> None:
    """Two bidders of one name stay two: their identities become their names."""
    op.drop_table("person_links")
    op.execute(
        'UPDATE bids SET "by" = by_id WHERE EXISTS (SELECT 1 FROM bids AS other '
        'WHERE other.task = bids.task AND other."by" = bids."by" AND other.by_id <> bids.by_id)'
    )
    with op.batch_alter_table("bids") as bids:
        bids.drop_constraint("uq_bids_task_by_id", type_="unique")
        bids.create_unique_constraint("uq_bids_task_by", ["task", "by"])
    op.execute("DELETE FROM answered WHERE bearer NOT LIKE 'agent:%'")
    op.execute("UPDATE answered SET bearer = substr(bearer, 7)")
    op.execute("DELETE FROM events WHERE kind IN ('person linked', 'person unlinked')")
    for table, name in _COLUMNS.items():
        op.drop_column(table, f"{name}_id")
