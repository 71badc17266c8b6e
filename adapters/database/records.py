"""The record of the train behind `core.ports.Records`: transactions, the lease that is kept beating, waiting for news.

Writers are serial, in this process (first come, first served) and over all processes: SQLite lets one write at a
time, and on PostgreSQL every write transaction starts with the same advisory lock. So code that is right on one is
right on the other, event numbers grow in the order of commits, and nothing needs to be tried again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Literal

from sqlalchemy import Column, Connection, MetaData, String, Table, func, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.database.access_rows import AccessRows
from adapters.database.connections import for_readers, for_writers, new_engine, trouble
from adapters.database.discussion_rows import DiscussionRows
from adapters.database.leases import DEFAULT_TIMES, LeaseRows, LeaseTimes, Taken, boot_seconds, lease_lost
from adapters.database.release_rows import ReleaseRows
from adapters.database.run_rows import RunRows
from adapters.database.sqlite import Writing
from adapters.database.tables import metadata
from adapters.database.task_rows import TaskRows
from core.errors import Refused, Trouble

_WRITERS = 0x57A7104  # the advisory lock of all who write
_LONGEST_WRITE_SECONDS = 15  # shorter than a lease lasts, so that a beat that waits behind a writer is in time
_LONGEST_MIGRATION_SECONDS = 600
_POLL_SECONDS = 0.25
_MIGRATIONS = Path(__file__).parent / "migrations"
_log = logging.getLogger(__name__)


class Rows(LeaseRows, TaskRows, DiscussionRows, ReleaseRows, RunRows, AccessRows):
    """One transaction; see `core.ports.Transaction`."""


class HeldLease:
    """The right to run the train, until the end of the `lease` block; see `core.ports.Lease`."""

    def __init__(self, database: Database, taken: Taken, times: LeaseTimes, beaten: float) -> None:
        self._database, self._times = database, times
        self.taken, self.beaten = taken, beaten

    def assert_fresh(self) -> None:
        """LeaseLost when the last successful beat is too old to act on."""
        if boot_seconds() - self.beaten >= self._times.stop:
            raise lease_lost()

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Rows]:
        """A write transaction; LeaseLost, and nothing written, when the lease is no longer ours."""
        async with self._database.transaction() as rows:
            await rows.require_lease(self.taken)
            yield rows


class Database:
    """SQLite (`sqlite:///PATH`) or PostgreSQL (`postgresql://…`), as `core.ports.Records`."""

    def __init__(self, url: str, *, lease_times: LeaseTimes = DEFAULT_TIMES) -> None:
        self._engine = new_engine(url)
        self._reader, self._writer = for_readers(self._engine), for_writers(self._engine)
        self._is_sqlite = self._engine.dialect.name == "sqlite"
        self._times = lease_times
        self._turn = asyncio.Lock()
        self._appended = asyncio.Event()

    async def open(self) -> None:
        """See that it can be written; Refused or Unreachable, with why, when it cannot. Then `upgrade`."""
        async with self._writing() as connection:
            if self._is_sqlite:
                await connection.execute(text("PRAGMA user_version=0"))  # BEGIN says nothing of a read-only file

    async def close(self) -> None:
        """Let go of every connection."""
        await self._writer.dispose()
        await self._engine.dispose()

    async def upgrade(self) -> None:
        """Bring the tables up to date; processes that start at once do it one after the other."""
        revision = await self._revision()
        if revision is None:
            async with self._writing(seconds=_LONGEST_MIGRATION_SECONDS) as connection:
                revision = await connection.run_sync(_create_if_empty)
        if revision != newest_revision():
            await self._migrate("upgrade", "head")

    async def downgrade(self, revision: str) -> None:
        """Take the tables back to `revision`; `base`: no tables at all."""
        await self._migrate("downgrade", revision)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Rows]:
        """Read and write; commits at the end, rolls back on any exception. Bounded: never wait for a network inside."""
        async with self._writing() as connection:
            rows = Rows(connection, self._times)
            yield rows
            await rows.write_events()
            if rows.broken:
                raise rows.broken
        if rows.has_events:
            self._appended.set()
            self._appended = asyncio.Event()

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[Rows]:
        """Read one state; never waits for a writer, and cannot write."""
        with self._translated():
            async with self._reader.connect() as connection:
                rows = Rows(connection, self._times)
                yield rows
                await rows.write_events()  # refused, as any other write is here

    @asynccontextmanager
    async def lease(self, holder: str) -> AsyncGenerator[HeldLease]:
        """Take the train and keep beating until the end of the block; LeaseLost cancels it when beats fail."""
        begun, loop = boot_seconds(), asyncio.get_running_loop()
        until = loop.time() + self._times.stop
        async with self.transaction() as rows:
            lease = HeldLease(self, await rows.take_lease(holder), self._times, begun)
        limit = asyncio.timeout_at(until)
        try:
            async with limit:
                # In no TaskGroup, which would wrap what the block raises; it ends with the block all the same.
                beating = asyncio.create_task(self._keep_beating(lease, limit), name=f"beat of {holder}")
                try:
                    yield lease
                finally:
                    beating.cancel()
                    await asyncio.gather(beating, return_exceptions=True)
        except TimeoutError as error:
            if limit.expired():
                raise lease_lost() from error
            raise
        finally:
            with suppress(Trouble):  # where this fails, the lease runs out by itself
                async with self._writing() as connection:
                    await Rows(connection, self._times).end_lease(lease.taken)

    async def wait_for_events(self, after: int, timeout_seconds: float) -> bool:
        """True as soon as there is an event with an id greater than `after`, False on timeout."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        while True:
            appended = self._appended
            async with self.reading() as rows:
                if await rows.events(after=after, limit=1):
                    return True
            left = deadline - loop.time()
            if left <= 0:
                return False
            # Our own process wakes us; of the others we hear by looking.
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, _POLL_SECONDS)):
                    await appended.wait()

    async def _keep_beating(self, lease: HeldLease, limit: asyncio.Timeout) -> None:
        """Push `limit` ahead with every beat that succeeds; a failed one is tried again, a refused one ends it all."""
        loop = asyncio.get_running_loop()
        while not limit.expired():
            await asyncio.sleep(self._times.beat)
            begun, until = boot_seconds(), loop.time() + self._times.stop
            try:
                async with asyncio.timeout(self._times.stop / 2), self._writing(in_turn=self._is_sqlite) as connection:
                    is_ours = await Rows(connection, self._times).beat(lease.taken)
            except (Trouble, TimeoutError) as error:
                _log.warning("beat failed: %s", error, extra={"action": "lease.beat_failed"})
                continue
            lease.beaten = begun if is_ours else float("-inf")
            if not limit.expired():
                limit.reschedule(until if is_ours else loop.time())

    @asynccontextmanager
    async def _writing(
        self, *, in_turn: bool = True, seconds: float = _LONGEST_WRITE_SECONDS
    ) -> AsyncGenerator[AsyncConnection | Writing]:
        """A connection in a write transaction. `in_turn`: wait for the other writers first; beats need not."""
        limit = asyncio.timeout(seconds)
        try:
            async with limit, self._turn if in_turn else nullcontext():
                with self._translated():
                    async with self._writer.begin() as connection:
                        if in_turn and not self._is_sqlite:
                            await connection.execute(select(func.pg_advisory_xact_lock(_WRITERS)))
                        yield connection
                        if limit.expired():
                            raise TimeoutError
                        # Of a COMMIT that is given up, nobody can tell whether it lasts: it has as long again.
                        limit.reschedule(asyncio.get_running_loop().time() + seconds)
        except TimeoutError as error:
            if limit.expired():
                raise Refused(
                    "the record was busy for too long", f"{seconds:.0f} s were not enough", "try again"
                ) from error
            raise

    @contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise trouble(error, self._engine.url) from error

    async def _revision(self) -> str | None:
        """What the tables are; None where there are none, or nobody answers."""
        try:
            async with self._reader.connect() as connection:
                return (await connection.exec_driver_sql("SELECT version_num FROM alembic_version")).scalar()
        except SQLAlchemyError:
            return None

    async def _migrate(self, direction: Literal["upgrade", "downgrade"], revision: str) -> None:
        from alembic import command  # a fifth of a second, which most starts can do without
        from alembic.config import Config
        from alembic.util import CommandError

        def migrate(connection: Connection) -> None:
            config = Config()
            config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
            config.attributes["connection"] = connection
            getattr(command, direction)(config, revision)

        try:
            async with self._writing(seconds=_LONGEST_MIGRATION_SECONDS) as connection:
                await connection.run_sync(migrate)
        except CommandError as error:
            raise Refused(
                "the record's tables are not of this version",
                str(error),
                "run the version that made them, or a newer one",
            ) from error


def _create_if_empty(connection: Connection) -> str | None:
    """Where no table is yet, all of them as the migrations leave them, without the library that runs those."""
    if inspect(connection).get_table_names():
        return None
    metadata.create_all(connection, checkfirst=False)
    version = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
    version.create(connection, checkfirst=False)
    connection.execute(version.insert(), {"version_num": newest_revision()})
    return newest_revision()


def newest_revision() -> str:
    """The number that the file of the last migration starts with."""
    return max(path.name for path in (_MIGRATIONS / "versions").glob("*.py")).partition("_")[0]
