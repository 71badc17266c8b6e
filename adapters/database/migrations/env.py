"""Alembic's entry: runs the migrations on the connection (and in the transaction) that `Database` hands over.

New ones come from `alembic.command.revision(config, autogenerate=True)` with the same `connection` attribute.
"""

from __future__ import annotations

from typing import Any, Literal, cast

from alembic import context
from sqlalchemy import TypeDecorator

from adapters.database.tables import metadata


def render_item(kind: str, item: object, _autogen: object) -> str | Literal[False]:
    """Write our column types as what the database sees, so that a migration never changes with the code."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{cast('TypeDecorator[Any]', item).impl!r}"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    render_item=render_item,
)
with context.begin_transaction():
    context.run_migrations()
