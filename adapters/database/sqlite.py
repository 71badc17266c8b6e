"""SQLite as we use it: settings without which updates get lost (our own BEGIN, WAL, full syncs), readers and writers.

Readers ask in the threads of their connections, as what they ask may take long. Of a writer, BEGIN and COMMIT run in a
thread, as they wait. What it says between them finds its rows by key and waits for nobody: that runs here, in less
time than the way to a thread and back.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, closing
from functools import partial
from typing import Any, TypeVar, cast

import aiosqlite
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

_Got = TypeVar("_Got")
_PRAGMAS = ("busy_timeout=10000", "synchronous=FULL", "foreign_keys=ON")
_PATIENCE_SECONDS = 10
_STATEMENTS_WITHOUT_A_BREAK = 10  # half a millisecond


def async_engine(url: sa.URL, **options: Any) -> AsyncEngine:
    """For readers: every statement, with its rows, is one trip to the thread of its connection."""
    engine = create_async_engine(url, connect_args={"async_creator_fn": _Threaded.to}, **options)

    def begin(connection: sa.Connection) -> None:
        readonly = bool(connection.get_execution_options().get("readonly"))
        cast("_Threaded", connection.connection.driver_connection).begin(readonly=readonly)

    event.listen(engine.sync_engine, "begin", begin)
    return engine


class Writer:
    """Write transactions on the file at `url`, one at a time; like an AsyncEngine that can do nothing else."""

    def __init__(self, url: sa.URL, **options: Any) -> None:
        self._engine = sa.create_engine(url.set(drivername="sqlite"), **options)
        self._thread = _one_thread()

        def connect(_dialect: object, _record: object, places: list[str], settings: dict[str, Any]) -> Any:
            return _settled(places[0], settings | {"check_same_thread": False})

        event.listen(self._engine, "do_connect", connect)

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[Writing]:
        """A connection in a transaction, which commits at the end and rolls back on any exception."""
        writing, is_well = Writing(self._engine, self._there), False
        try:
            await self._there(writing.begin)
            yield writing
            is_well = True
        finally:
            await self._there(partial(writing.end, commits=is_well))

    async def dispose(self) -> None:
        """Let go of the file and the thread; like an engine, it may be used again."""
        await self._there(self._engine.dispose)
        self._thread.shutdown(wait=False)
        self._thread = _one_thread()

    async def _there(self, run: Callable[[], _Got]) -> _Got:
        """What `run` gives. A cancellation cuts off who waits and nothing else: the end still follows the beginning."""
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, run))


class Writing:
    """The connection of one write transaction, as far as it is like an AsyncConnection."""

    def __init__(self, engine: sa.Engine, there: Callable[[Callable[[], Any]], Any]) -> None:
        self.engine, self.dialect = engine, engine.dialect
        self._there = there
        self._opened: sa.Connection | None = None
        self._looks: list[CursorResult[Any]] = []
        self._said = 0

    def begin(self) -> None:
        """Blocks while another process writes."""
        self._opened = self.engine.connect()
        self._opened.exec_driver_sql("BEGIN IMMEDIATE")

    def end(self, *, commits: bool) -> None:
        """Blocks until the disk has it."""
        if self._opened is None:
            return
        for look in self._looks:
            look.close()  # one that was not read to its end would go on seeing what was there then
        with self._opened as connection:  # which rolls back what is not committed
            if not commits:
                return
            if not cast("sqlite3.Connection", connection.connection.driver_connection).in_transaction:
                # SQLite itself undoes all of it when the disk is full, say; what was said since stands on its own.
                raise OperationalError("COMMIT", {}, sqlite3.OperationalError("the transaction was lost"))
            connection.commit()

    async def execute(self, statement: sa.Executable, parameters: Any = None) -> CursorResult[Any]:
        """As ever; others have their turn, and a deadline is seen, every few statements."""
        self._said += 1
        if self._said % _STATEMENTS_WITHOUT_A_BREAK == 0:
            await asyncio.sleep(0)
        result = self._connection.execute(statement, parameters)
        if result.returns_rows:
            self._looks.append(result)
        return result

    async def run_sync(self, run: Callable[[sa.Connection], _Got]) -> _Got:
        """Let `run` have the connection, in the thread: it may take long."""
        return await self._there(partial(run, self._connection))

    @property
    def _connection(self) -> sa.Connection:
        assert self._opened, "a transaction begins before it is used"
        return self._opened


class _Threaded(aiosqlite.Connection):
    """A connection with a thread of its own, which can be stopped twice, as SQLAlchemy does after a cancellation.

    The original waits then for a thread that has gone: nobody could exit.
    """

    _ended: asyncio.Future[Any] | None = None
    _first: Sequence[str] = ()

    @classmethod
    def to(cls, path: str, **options: Any) -> _Threaded:
        """A connection to the file at `path`, to be awaited."""
        options["check_same_thread"] = False
        connection = cls(lambda: _settled(path, options), 64)
        connection._thread.daemon = True
        return connection

    def begin(self, *, readonly: bool) -> None:
        """The next statement is the first of a transaction, and takes its BEGIN along."""
        self._first = [f"PRAGMA query_only={'ON' if readonly else 'OFF'}", "BEGIN"]

    async def trip(self, run: Callable[[sqlite3.Connection], None]) -> None:
        """Let `run` have the connection, in its transaction."""
        first, self._first = self._first, ()

        def there() -> None:
            for statement in first:
                self._conn.execute(statement)
            run(self._conn)

        await self._execute(there)  # pyright: ignore[reportUnknownMemberType]

    async def commit(self) -> None:
        await self._end(self._conn.commit)

    async def rollback(self) -> None:
        await self._end(self._conn.rollback)

    async def _end(self, end: Callable[[], None]) -> None:
        self._first = ()
        if self._conn.in_transaction:
            await self._execute(end)  # pyright: ignore[reportUnknownMemberType]

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

    def __init__(self, connection: _Threaded) -> None:
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


def _one_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "sqlite writer")


def _settled(path: str, options: Mapping[str, Any]) -> sqlite3.Connection:
    """A new connection, set up; runs in a thread."""
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
