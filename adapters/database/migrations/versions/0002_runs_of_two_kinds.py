"""A run is a ship or a prepare: the table of ships becomes one of runs.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KEPT = (
    "id, release, plan, state, attempt, plan_digest, digest, confirmed_by, mention, origin, confirmed_at, ended_at, "
    "reasons"
)
_EVENTS = "UPDATE events SET kind = replace(kind, '{0} ', '{1} ') WHERE kind LIKE '{0} %'"


def upgrade() -> None:
    _create("runs", sa.Column("kind", sa.Text(), nullable=False))
    op.execute(f"INSERT INTO runs ({_KEPT}, kind) SELECT {_KEPT}, 'ship' FROM ships")
    op.execute(_EVENTS.format("ship", "run"))
    _drop("ships")
    _count_on("runs")


def downgrade() -> None:
    """What a prepare left has no place in the old table, and is dropped."""
    _create("ships")
    op.execute(f"INSERT INTO ships ({_KEPT}) SELECT {_KEPT} FROM runs WHERE kind = 'ship'")
    op.execute(_EVENTS.format("run", "ship"))
    _drop("runs")
    _count_on("ships")


def _create(name: str, *columns: sa.Column[str]) -> None:
    op.create_table(
        name,
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("release", sa.Text(), nullable=False),
        *columns,
        sa.Column("plan", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("plan_digest", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("confirmed_by", sa.Text(), nullable=False),
        sa.Column("mention", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["release"], ["releases.slug"], name=op.f(f"fk_{name}_release_releases")),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")),
    )
    running = sa.text("state = 'running'")
    op.create_index(op.f(f"ix_{name}_release_id"), name, ["release", "id"])
    op.create_index(
        f"uq_{name}_one_running", name, ["state"], unique=True, sqlite_where=running, postgresql_where=running
    )


def _drop(name: str) -> None:
    op.drop_index(f"uq_{name}_one_running", table_name=name)
    op.drop_index(op.f(f"ix_{name}_release_id"), table_name=name)
    op.drop_table(name)


def _count_on(name: str) -> None:
    """PostgreSQL goes on counting where the copied rows end."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), coalesce(max(id), 0) + 1, false) FROM {name}")
