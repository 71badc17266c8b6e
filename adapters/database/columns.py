"""What the tables are made of: how each kind of value is stored, and columns and rules by their meaning.

The same on SQLite and PostgreSQL. Nothing here knows any table.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, cast

import msgspec
import sqlalchemy as sa
from sqlalchemy import Column, Dialect, ForeignKey, Index, Integer, TypeDecorator

from core.errors import Refused
from core.words import unstorable


class Utc(TypeDecorator[datetime]):
    """An aware time; stored and given back in UTC on both databases."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value} says no time zone")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        # SQLite gives naive times back, PostgreSQL those of the session's zone.
        return value and (value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC))


class Text(TypeDecorator[str]):
    """A text that every database keeps to the letter; Refused where one of them would not."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is not None and (reason := unstorable(value)):
            raise Refused(reason)
        return value


class Word(TypeDecorator[StrEnum]):
    """A member of a StrEnum, stored as its value."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, kind: type[StrEnum]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: StrEnum | None, dialect: Dialect) -> str | None:
        return None if value is None else self.kind(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        return None if value is None else self.kind(value)


class Json(TypeDecorator[object]):
    """A value of `kind` (tuples, mappings, structs of them), stored as JSON."""

    impl = sa.JSON
    cache_ok = True

    def __init__(self, kind: object) -> None:
        super().__init__()
        self.kind = kind

    def process_result_value(self, value: object, dialect: Dialect) -> object:
        return msgspec.convert(value, cast("Any", self.kind))


Ordered = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text in the order of its bytes on both databases, so that an index finds what begins with something."""
_Id = sa.BigInteger().with_variant(Integer(), "sqlite")


def row_id(name: str = "id") -> Column[int]:
    """A number that the database gives, growing with every row."""
    return Column(name, _Id, primary_key=True, autoincrement=True)


def must(kind: Any, *names: str) -> list[Column[Any]]:
    """Columns that always have a value."""
    return [Column(name, kind, nullable=False) for name in names]


def may(kind: Any, *names: str) -> list[Column[Any]]:
    """Columns that may have none."""
    return [Column(name, kind) for name in names]


def part_of(owner: str, name: str, *, key: bool = False) -> Column[str]:
    """A column that names a row of `owner` by its slug; `key`: part of the primary key."""
    return Column(name, Text, ForeignKey(f"{owner}.slug"), nullable=False, primary_key=key)


def not_blank(column: str) -> sa.CheckConstraint:
    """A blank never stands for a commit (L20)."""
    return sa.CheckConstraint(f"trim(\"{column}\") <> ''", name=f"{column}_not_blank")


def only_one(name: str, column: Column[Any], where: sa.ColumnElement[bool]) -> Index:
    """Two rows that meet `where` must differ in `column`."""
    return Index(name, column, unique=True, sqlite_where=where, postgresql_where=where)
