"""The task board: what people say of tasks, their sizes, what was edited, and words to search by.

Revision ID: 0003
Revises: 0002
"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_INDEXES = {
    "tasks": [["builder", "id"], ["release", "id"]],
    "task_works": [["repository", "task"]],
    "task_words": [["word", "task"]],
    "edits": [["task", "revision"]],
    "remarks": [["task", "id"]],
    "reviews": [["task", "id"]],
}
_TABLES = ["task_words", "edits", "remarks", "reviews", "bids"]


def upgrade() -> None:
    # The defaults are for the rows that are there already; every new row says what it is.
    op.add_column("tasks", sa.Column("revision", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("tasks", sa.Column("actual", sa.Text(), nullable=True))
    op.add_column("checks", sa.Column("machine", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("events", sa.Column("task", sa.Text(), nullable=False, server_default=""))
    # Until now only the engine wrote checks.
    op.execute(sa.text("UPDATE checks SET machine = :yes").bindparams(yes=True))
    ordered = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    _of_a_task("task_words", sa.Column("word", ordered, nullable=False), key=["task", "word"])
    _of_a_task("edits", _id(), _integer("revision"), *_texts("field", "old", "new", "by"), _time("at"))
    texts = _texts("kind", "author", "body", "resolved_by")
    _of_a_task("remarks", _id(), *texts, _time("at"), _time("resolved_at", nullable=True))
    texts, findings = _texts("seat", "verdict", "reviewer", "body"), sa.Column("findings", sa.JSON(), nullable=False)
    _of_a_task("reviews", _id(), *texts, findings, _integer("round"), _time("at"))
    once = sa.UniqueConstraint("task", "by", name=op.f("uq_bids_task_by"))
    _of_a_task("bids", *_texts("bidder", "size", "by"), _time("at"), once, key=["task", "bidder"])
    for table, indexes in _INDEXES.items():
        for columns in indexes:
            op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, columns)
    _find_words()


def downgrade() -> None:
    """What people said has no place in the old tables, and is dropped."""
    for table, indexes in _INDEXES.items():
        for columns in indexes:
            op.drop_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table_name=table)
    for table in _TABLES:
        op.drop_table(table)
    op.execute("DELETE FROM checks WHERE NOT machine")
    op.execute("DELETE FROM events WHERE task <> ''")
    for table, column in (("tasks", "revision"), ("tasks", "actual"), ("checks", "machine"), ("events", "task")):
        op.drop_column(table, column)


def _of_a_task(name: str, *columns: sa.Column | sa.UniqueConstraint, key: tuple[str, ...] | list[str] = ("id",)) -> None:
    op.create_table(
        name,
        sa.Column("task", sa.Text(), nullable=False),
        *columns,
        sa.ForeignKeyConstraint(["task"], ["tasks.slug"], name=op.f(f"fk_{name}_task_tasks")),
        sa.PrimaryKeyConstraint(*key, name=op.f(f"pk_{name}")),
    )


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False)


def _integer(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False)


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _time(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _find_words() -> None:
    """The words of the tasks that are there already."""
    rows = [
        {"task": slug, "word": word}
        for slug, title in op.get_bind().execute(sa.text("SELECT slug, title FROM tasks"))
        for word in sorted({slug, *(word[:48] for word in re.findall(r"[^\W_]+", f"{slug} {title}".casefold()))})
    ]
    if rows:
        op.bulk_insert(sa.table("task_words", sa.column("task"), sa.column("word")), rows)
