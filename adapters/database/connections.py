"""How we talk to the database: the engines, statements on one connection, and what complaints mean."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy import Column, Table, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import CursorResult, RowMapping
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from adapters.database.sqlite import Writer, Writing, async_engine
from core.errors import Refused, Trouble, Unreachable

Row = Mapping[str, object]
_Key = TypeVar("_Key", str, int)
_Kind = TypeVar("_Kind", bound=msgspec.Struct)
_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_JSON: dict[str, Any] = {
    "json_serializer": lambda value: msgspec.json.encode(value).decode(),  # pyright: ignore[reportUnknownLambdaType]
    "json_deserializer": msgspec.json.decode,
}
# A process that froze in a transaction must not keep everybody from writing for ever.
_SETTINGS = "-c idle_in_transaction_session_timeout=5s"
_MEANINGS = {
    "unique": "somebody stored the same first",
    "foreign key": "it names something that is not in the record",
    "check": "a value is blank or not one of the allowed",
    "null": "a value is missing",
    "locked": "another process is writing for longer than we wait",
}


def new_engine(text: str) -> AsyncEngine:
    """An engine for `sqlite:///PATH` or `postgresql://…`; Refused when `text` is no such URL. Opens nothing yet."""
    try:
        url = sa.make_url(text)
    except SQLAlchemyError as error:
        raise Refused(
            "the database URL cannot be read", "it is no URL", "write sqlite:///PATH or postgresql://HOST/NAME"
        ) from error
    driver = _DRIVERS.get(url.get_backend_name())
    if driver is None:
        raise Refused(
            f"no database of the kind {url.get_backend_name()!r}",
            "SQLite and PostgreSQL are known",
            "write sqlite:///PATH or postgresql://HOST/NAME",
        )
    if driver == _DRIVERS["sqlite"] and url.database in (None, "", ":memory:"):
        why = "it would be forgotten at the end, and every connection would have its own"
        raise Refused("the database URL names no file", why, "write sqlite:///PATH")
    url = url.set(drivername=driver)
    if driver == _DRIVERS["sqlite"]:
        return async_engine(url, **_JSON)
    options = {"connect_timeout": 10, "options": _SETTINGS}
    return create_async_engine(url, pool_pre_ping=True, connect_args=options, **_JSON)


def for_readers(engine: AsyncEngine) -> AsyncEngine:
    """The same engine, whose transactions see one state, write nothing and wait for no writer."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(readonly=True)
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def for_writers(engine: AsyncEngine) -> AsyncEngine | Writer:
    """What opens transactions that write, on the same database."""
    return Writer(engine.url, **_JSON) if engine.dialect.name == "sqlite" else engine


def trouble(error: Exception, url: sa.URL) -> Trouble:
    """What a complaint of the database means: Refused when nothing was changed, Unreachable when nobody answered."""
    if isinstance(refusal := getattr(error, "orig", None), Refused):
        return refusal
    why = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
    meaning = next((text for word, text in _MEANINGS.items() if word in why.lower()), "")
    if isinstance(error, IntegrityError | DataError | UnicodeError | OverflowError):
        reason = f"{meaning} ({why})" if meaning else why
        return Refused("the record does not take this", reason, "look again at what it says now, then try again")
    place = url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite":
        return Refused(f"the database {place} refuses", f"{meaning} ({why})" if meaning else why, _sqlite_advice(why))
    if isinstance(error, OperationalError | InterfaceError):
        return Unreachable(f"the database {place} does not answer", why, "see that it runs, then try again")
    return Refused(f"the database {place} refuses", why, "see that it is one of ours and up to date")


def changed_since(what: str, look: str = "release show") -> Refused:
    """The refusal of one whose picture of `what` is too old; `look` shows it as it is now."""
    return Refused(f"{what} has changed since you looked", "somebody else was faster", f"look at it again: {look}")


class Connected:
    """Statements on the connection of one transaction; every complaint leaves as Trouble.

    `broken` is the first of them: whoever catches it halfway must not commit the other half.
    """

    def __init__(self, connection: AsyncConnection | Writing) -> None:
        self._connection = connection
        self.broken: Trouble | None = None

    async def _run(self, statement: sa.Executable, rows: Sequence[Row] | Row | None = None) -> CursorResult[Any]:
        try:
            return await self._connection.execute(statement, rows)
        except (SQLAlchemyError, UnicodeError, OverflowError) as error:
            self.broken = self.broken or trouble(error, self._connection.engine.url)
            raise self.broken from error

    async def _insert(self, table: Table, value: msgspec.Struct, **more: object) -> int:
        """Store the fields of `value` that are columns; gives the row's number back."""
        result = await self._run(insert_of(table), {**columns(table, value), **more})
        key = result.inserted_primary_key
        return key[0] if key else 0

    async def _all_of(self, kind: type[_Kind], owner: Column[_Key], value: _Key) -> list[_Kind]:
        """The rows whose `owner` is `value`, in their order."""
        rows = await self._run(_select_of(kind, owner), {"wanted": value})
        return [kind(**row) for row in rows.mappings()]

    async def _put(self, table: Table, key: Collection[str], rows: Sequence[Row] | Row) -> None:
        """Insert or replace rows; `key`: the columns that tell one from the other."""
        await self._run(_upsert_of(self._connection.dialect.name, table, *key), rows)

    async def _write_list(self, owner: Column[str], slug: str, items: Sequence[Row]) -> None:
        """Replace the ordered rows that belong to `slug` in the table of `owner`."""
        await self._run(delete(owner.table).where(owner == slug))
        if items:
            rows = [{owner.name: slug, "position": position, **item} for position, item in enumerate(items)]
            await self._run(insert(owner.table), rows)

    async def _read_lists(
        self, owner: Column[str], of: sa.Select[Any] | Sequence[str]
    ) -> Mapping[str, list[RowMapping]]:
        """The ordered rows of every slug that `of` names or selects, by slug."""
        table = owner.table
        found: defaultdict[str, list[RowMapping]] = defaultdict(list)
        rows = await self._run(select(table).where(owner.in_(of)).order_by(table.c.position))
        for row in rows.mappings():
            found[row[owner.name]].append(row)
        return found


def columns(table: Table, value: msgspec.Struct) -> dict[str, Any]:
    """The fields of `value` that are columns of `table`, without the number that the database gives."""
    return {name: field for name, field in msgspec.structs.asdict(value).items() if name in table.c and name != "id"}


def changed_columns(table: Table, before: msgspec.Struct, after: msgspec.Struct) -> dict[str, Any]:
    """The columns in which `after` differs from `before` (L29)."""
    old = columns(table, before)
    return {name: field for name, field in columns(table, after).items() if field != old[name]}


def fields(table: Table, kind: type[msgspec.Struct]) -> list[Column[Any]]:
    """The columns of `table` that are fields of `kind`."""
    return [column for column in table.c if column.name in kind.__struct_fields__]


@cache
def _select_of(kind: type[msgspec.Struct], owner: Column[Any]) -> sa.Select[Any]:
    table = owner.table
    order = table.c.position if "position" in table.c else table.c.id
    return select(*fields(table, kind)).where(owner == sa.bindparam("wanted")).order_by(order)


# Made once: making a statement and its cache key costs more than running it.
insert_of = cache(insert)


@cache
def update_of(table: Table, *key: str) -> sa.Update:
    """Changes the row whose column `name` is the parameter `name_`, for every name of the key."""
    return update(table).where(*(table.c[name] == sa.bindparam(f"{name}_") for name in key))


@cache
def _upsert_of(dialect: str, table: Table, *key: str) -> sa.Executable:
    made = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[dialect](table)
    new = {column.name: column for column in made.excluded if column.name not in key}
    return made.on_conflict_do_update(index_elements=key, set_=new)


def _sqlite_advice(why: str) -> str:
    text = why.lower()
    if "not a database" in text or "malformed" in text:
        return "name another file, or put the backup of this one in its place"
    if "readonly" in text or "unable to open" in text:
        return "create its folder and let this user write the file and its folder"
    if "no such table" in text or "no such column" in text:
        return "start stationmaster once on this file, so that it is brought up to date"
    return "try again"
