"""Runs in the record: the run, its journal, events, gate evidence and seals (spec 6, 8.3)."""

from __future__ import annotations

import msgspec
from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.database.connections import Connected, Row, changed_columns, changed_since, columns, fields, insert_of
from adapters.database.sqlite import Writing
from adapters.database.tables import events, journal, runs, seals, settings
from adapters.database.tables import evidence as gates
from core.errors import Refused
from core.events import Event
from core.journal import Entry, Evidence, Run, RunKind, RunState, SealRecord
from core.registry import Argv, Sha


class RunRows(Connected):
    """The part of a transaction that is about runs; see `core.ports.Transaction`."""

    def __init__(self, connection: AsyncConnection | Writing) -> None:
        super().__init__(connection)
        self.has_events = False
        self._unwritten: list[Row] = []

    async def append_event(self, event: Event) -> None:
        self.has_events = True
        self._unwritten.append(columns(events, event))

    async def write_events(self) -> None:
        """Those that were appended: nobody asks what became of them, so one statement takes all of a transaction."""
        rows, self._unwritten = self._unwritten, []
        if rows:
            await self._run(insert_of(events), rows)

    async def last_event(self) -> int:
        await self.write_events()
        return (await self._run(select(func.max(events.c.id)))).scalar() or 0

    async def events(self, *, after: int = 0, release: str | None = None, limit: int | None = 500) -> list[Event]:
        await self.write_events()
        wanted = select(events).where(events.c.id > after).order_by(events.c.id).limit(limit)
        if release is not None:
            wanted = wanted.where(events.c.release == release)
        return [Event(**row) for row in (await self._run(wanted)).mappings()]

    async def insert_run(self, run: Run) -> Run:
        if run.state is RunState.RUNNING:
            await self._require_none_running(run)
        return msgspec.structs.replace(run, id=await self._insert(runs, run))

    async def update_run(self, before: Run, after: Run) -> None:
        if after.state is RunState.RUNNING:
            await self._require_none_running(before)
        unchanged = (runs.c.id == before.id, runs.c.state == before.state, runs.c.attempt == before.attempt)
        values = changed_columns(runs, before, after) | {"state": after.state, "attempt": after.attempt}
        if not (await self._run(update(runs).where(*unchanged).values(**values))).rowcount:
            raise changed_since(f"the {before.kind} of {before.release}")

    async def run(self, run_id: int) -> Run | None:
        return next(iter(await self._all_of(Run, runs.c.id, run_id)), None)

    async def latest_run(self, release: str) -> Run | None:
        return next(iter(await self._runs(runs.c.release == release, limit=1)), None)

    async def unfinished_runs(self) -> list[Run]:
        return await self._runs(runs.c.state == RunState.RUNNING)

    async def entries(self, release: str) -> dict[str, Entry]:
        rows = await self._run(select(journal).where(journal.c.release == release).order_by(journal.c.started_at))
        return {row["key"]: Entry(**row) for row in rows.mappings()}

    async def put_entry(self, entry: Entry) -> None:
        await self._put(journal, ("release", "key"), columns(journal, entry))

    async def evidence(self, repository: str, commit: Sha, argv: Argv) -> Evidence | None:
        same = (gates.c.repository == repository, gates.c.commit == commit)
        rows = await self._run(select(*fields(gates, Evidence)).where(*same).order_by(gates.c.id.desc()))
        return next((Evidence(**row) for row in rows.mappings() if row["argv"] == argv), None)

    async def add_evidence(self, evidence: Evidence) -> None:
        await self._insert(gates, evidence)

    async def add_seal(self, seal: SealRecord) -> None:
        await self._insert(seals, seal)

    async def seals(self, release: str) -> list[SealRecord]:
        return await self._all_of(SealRecord, seals.c.release, release)

    async def setting(self, name: str) -> str | None:
        return (await self._run(select(settings.c.value).where(settings.c.name == name))).scalar_one_or_none()

    async def put_setting(self, name: str, value: str) -> None:
        await self._put(settings, ("name",), {"name": name, "value": value})

    async def _runs(self, *where: ColumnElement[bool], limit: int | None = None) -> list[Run]:
        """The chosen runs, newest first."""
        rows = await self._run(select(runs).where(*where).order_by(runs.c.id.desc()).limit(limit))
        return [Run(**row) for row in rows.mappings()]

    async def _require_none_running(self, run: Run) -> None:
        """Refused, naming it, while another one is on its way: one at a time, whatever the release (spec 6.10)."""
        for other in await self.unfinished_runs():
            if other.id != run.id:
                raise Refused(
                    f"{other.release} is being {'shipped' if other.kind is RunKind.SHIP else 'prepared'}",
                    f"one at a time; {other.confirmed_by} confirmed it {other.confirmed_at:%Y-%m-%d %H:%M} UTC",
                    "wait until it has ended",
                )
