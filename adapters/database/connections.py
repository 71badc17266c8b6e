"""How we talk to the database: the engine with its settings, statements on one connection, and what complaints mean.

The settings of SQLite are those without which updates get lost: our own BEGIN IMMEDIATE, WAL and full syncs.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, closing
from functools import cache, partial
from typing import Any, TypeVar, cast

import aiosqlite
import msgspec
import sqlalchemy as sa
from sqlalchemy import Column, Table, delete, event, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import CursorResult, RowMapping
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from core.errors import Refused, Trouble, Unreachable

_Row = Mapping[str, object]
_Kind = TypeVar("_Kind", bound=msgspec.Struct)
_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_PRAGMAS = ("busy_timeout=10000", "synchronous=FULL", "foreign_keys=ON")
_PATIENCE_SECONDS = 10
_TRIPS_WITHOUT_A_BREAK = 5  # half a millisecond; a turn of the loop costs as much as a statement
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
    url = url.set(drivername=driver)
    if driver == _DRIVERS["sqlite"]:
        engine = create_async_engine(url, connect_args={"async_creator_fn": _Uncut.to})
        _begin_as_we_do(engine)
        return engine
    options = {"connect_timeout": 10, "options": _SETTINGS}
    return create_async_engine(url, pool_pre_ping=True, connect_args=options)


def for_readers(engine: AsyncEngine) -> AsyncEngine:
    """The same engine, whose transactions see one state, write nothing and wait for no writer."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(readonly=True)
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def trouble(error: Exception, url: sa.URL) -> Trouble:
    """What a complaint of the database means: Refused when nothing was changed, Unreachable when nobody answered."""
    why = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
    meaning = next((text for word, text in _MEANINGS.items() if word in why.lower()), "")
    if isinstance(error, IntegrityError | DataError | UnicodeError | OverflowError):
        reason = f"{meaning} ({why})" if meaning else why
        return Refused("the record does not take this", reason, "look again at what it says now, then try again")
    place = url.render_as_string(hide_password=True)
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

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self.broken: Trouble | None = None

    async def _run(self, statement: sa.Executable, rows: Sequence[_Row] | _Row | None = None) -> CursorResult[Any]:
        try:
            return await self._connection.execute(statement, rows)
        except (SQLAlchemyError, UnicodeError, OverflowError) as error:
            self.broken = self.broken or trouble(error, self._connection.engine.url)
            raise self.broken from error

    async def _insert(self, table: Table, value: msgspec.Struct, **more: object) -> int:
        """Store the fields of `value` that are columns; gives the row's number back."""
        result = await self._run(_insert_of(table), {**columns(table, value), **more})
        key = result.inserted_primary_key
        return key[0] if key else 0

    async def _all_of(self, kind: type[_Kind], owner: Column[str], value: str) -> list[_Kind]:
        """The rows whose `owner` is `value`, in their order."""
        rows = await self._run(_select_of(kind, owner), {"wanted": value})
        return [kind(**row) for row in rows.mappings()]

    async def _put(self, table: Table, key: _Row, values: _Row) -> None:
        """Insert or replace one row."""
        await self._run(_upsert_of(self._connection.dialect.name, table, *key), {**key, **values})

    async def _write_list(self, owner: Column[str], slug: str, items: Sequence[_Row]) -> None:
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
def _select_of(kind: type[msgspec.Struct], owner: Column[str]) -> sa.Select[Any]:
    table = owner.table
    order = table.c.position if "position" in table.c else table.c.id
    return select(*fields(table, kind)).where(owner == sa.bindparam("wanted")).order_by(order)


# Made once: making a statement and its cache key costs more than running it.
_insert_of = cache(insert)


@cache
def update_of(table: Table, *key: str) -> sa.Update:
    """Changes the row whose column `name` is the parameter `name_`, for every name of the key."""
    return update(table).where(*(table.c[name] == sa.bindparam(f"{name}_") for name in key))


@cache
def _upsert_of(dialect: str, table: Table, *key: str) -> sa.Executable:
    made = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[dialect](table)
    new = {column.name: column for column in made.excluded if column.name not in key}
    return made.on_conflict_do_update(index_elements=key, set_=new)


class _Uncut(aiosqlite.Connection):
    """A connection whose statements are never cut off by a cancellation, which waits for their end instead.

    Cut off, and again while SQLAlchemy closes it, the original waits for its thread for ever: nobody could exit.
    What may wait or take long runs in the thread: all that readers ask, and the BEGIN and COMMIT of a writer. What a
    writer says between these finds its rows by key, waits for nobody, and takes less time than the way to the thread.
    """

    _ended: asyncio.Future[Any] | None = None
    _first: Sequence[str] = ()
    _writes = _is_here = False
    _trips = 0

    @classmethod
    def to(cls, path: str, **options: Any) -> _Uncut:
        """A connection to the file at `path`, to be awaited."""
        options["check_same_thread"] = False
        connection = cls(lambda: _settled(path, options), 64)
        connection._thread.daemon = True
        return connection

    def begin(self, *, writes: bool) -> None:
        """The next statement is the first of a transaction; a reader's own BEGIN goes with it."""
        self._writes, self._first = writes, ["PRAGMA query_only=OFF"] if writes else ["PRAGMA query_only=ON", "BEGIN"]

    async def trip(self, run: Callable[[sqlite3.Connection], None]) -> None:
        """Let `run` have the connection, in its transaction."""
        if self._is_here:
            self._trips += 1
            if self._trips % _TRIPS_WITHOUT_A_BREAK == 0:
                await asyncio.sleep(0)  # others have their turn, and a deadline is seen
            return run(self._conn)
        first, self._first = self._first, ()

        def there() -> None:
            for statement in first:
                self._conn.execute(statement)
            run(self._conn)

        await self._execute(there)
        self._is_here = self._writes

    async def commit(self) -> None:
        if self._is_here and not self._conn.in_transaction:
            # SQLite itself undoes all of it when the disk is full, say; what was said since stands on its own.
            raise sqlite3.OperationalError("the transaction was lost")
        await self._end(self._conn.commit)

    async def rollback(self) -> None:
        await self._end(self._conn.rollback)

    async def _end(self, end: Callable[[], None]) -> None:
        self._first, self._writes, self._is_here = (), False, False
        if self._conn.in_transaction:
            await self._execute(end)

    async def _connect(self) -> aiosqlite.Connection:
        async with AsyncExitStack() as unless_connected:
            unless_connected.push_async_callback(self._stopped)
            connection = await super()._connect()
            unless_connected.pop_all()
        return connection

    async def _stopped(self) -> None:
        await (self.stop() or asyncio.sleep(0))

    async def _execute(self, fn: Callable[..., Any], *args: Any, **options: Any) -> Any:
        running = asyncio.get_running_loop().create_future()
        self._tx.put_nowait((running, partial(fn, *args, **options)))  # pyright: ignore[reportUnknownMemberType]
        cancelled: asyncio.CancelledError | None = None
        while not running.done():
            try:
                await asyncio.wait([running])
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled:
            raise cancelled from running.exception()
        return running.result()

    def cursor(self) -> Any:
        return _OneTrip(self)

    def stop(self) -> asyncio.Future[Any] | None:
        if self._running:
            self._ended = cast("asyncio.Future[Any] | None", super().stop())  # pyright: ignore[reportUnknownMemberType]
        return self._ended


class _OneTrip:
    """What SQLAlchemy takes for a cursor: a statement and its rows are one trip, not four."""

    description: Any = None
    rowcount = -1
    lastrowid: int | None = None
    arraysize = 1

    def __init__(self, connection: _Uncut) -> None:
        self._connection = connection
        self._rows: list[Any] = []

    async def __aenter__(self) -> _OneTrip:
        return self

    async def execute(self, statement: str, values: Any = ()) -> None:
        await self._connection.trip(lambda connection: self._take(connection.execute(statement, values)))

    async def executemany(self, statement: str, rows: Any) -> None:
        await self._connection.trip(lambda connection: self._take(connection.executemany(statement, rows)))

    async def fetchall(self) -> list[Any]:
        return self._rows

    async def close(self) -> None:
        """Nothing is left open."""

    def _take(self, cursor: sqlite3.Cursor) -> None:
        with closing(cursor):
            self._rows = cursor.fetchall()
            self.description, self.rowcount, self.lastrowid = cursor.description, cursor.rowcount, cursor.lastrowid


def _begin_as_we_do(engine: AsyncEngine) -> None:
    """Have every transaction begin as ours do: writers queue at BEGIN, and readers never wait."""

    def begin(connection: sa.Connection) -> None:
        writes = not connection.get_execution_options().get("readonly")
        cast("_Uncut", connection.connection.driver_connection).begin(writes=writes)
        if writes:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine.sync_engine, "begin", begin)


def _settled(path: str, options: Mapping[str, Any]) -> sqlite3.Connection:
    """A new connection, set up; runs in its thread."""
    with ExitStack() as unless_settled:
        # We emit BEGIN ourselves: the driver's own one loses updates.
        connection = unless_settled.enter_context(closing(sqlite3.connect(path, isolation_level=None, **options)))
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        _write_ahead(connection)
        unless_settled.pop_all()
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """SQLite does not wait by itself where two processes turn a new file to WAL at once."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
        time.sleep(0.01)


def _sqlite_advice(why: str) -> str:
    text = why.lower()
    if "not a database" in text or "malformed" in text:
        return "name another file, or put the backup of this one in its place"
    if "readonly" in text or "unable to open" in text:
        return "create its folder and let this user write the file and its folder"
    if "no such table" in text or "no such column" in text:
        return "start stationmaster once on this file, so that it is brought up to date"
    return "try again"
