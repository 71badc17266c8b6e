"""Kills the demo with SIGKILL at chosen moments of its ship, each once: a crash must lose and repeat nothing.

Moments of a step: `started` (the journal has it, nothing was done), `inside` (a child runs, or the act is about to be
committed), `acted` (done, not journaled), `done` (journaled, nobody was told).
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, cast

from core.journal import Entry, EntryState
from core.records import Lease, Records, Transaction

VARIABLE = "STATIONMASTER_CRASH_AT"


class Tripwire:
    """`where`: `every`, or one `moment:step`; `fired` is the file that remembers what has killed already."""

    def __init__(self, where: str, fired: Path) -> None:
        self._where, self._fired = where, fired
        # Lanes run side by side, each in a task: a child belongs to the step of its own.
        self._step = ContextVar("step", default="")

    @property
    def step(self) -> str:
        return self._step.get()

    @step.setter
    def step(self, step: str) -> None:
        self._step.set(step)

    def reach(self, moment: str) -> None:
        """Die here, unless this moment has killed before or is not wanted."""
        label = f"{moment}:{self.step}"
        before = self._fired.read_text().splitlines() if self._fired.exists() else []
        if not self.step or label in before or self._where not in ("every", label):
            return
        with self._fired.open("a") as file:
            file.write(label + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.kill(os.getpid(), signal.SIGKILL)

    def on_spawn(self) -> None:
        """A child has just been started."""
        self.reach("inside")

    def around(self, records: Records) -> Records:
        """`records`, with a wire at every write of the journal."""
        return _WiredRecords(records, self)


class _WiredRecords:
    def __init__(self, records: Records, wire: Tripwire) -> None:
        self._records, self._wire = records, wire
        self.transaction, self.reading = records.transaction, records.reading
        self.wait_for_events = records.wait_for_events

    @asynccontextmanager
    async def lease(self, holder: str) -> AsyncGenerator[Lease]:
        async with self._records.lease(holder) as lease:
            yield _WiredLease(lease, self._wire)


class _WiredLease:
    def __init__(self, lease: Lease, wire: Tripwire) -> None:
        self._lease, self._wire = lease, wire
        self.assert_fresh = lease.assert_fresh

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        wire = self._wire
        async with self._lease.transaction() as tx:
            noting = _Noting(tx)
            yield cast(Transaction, noting)
            entry = noting.entry
            if entry is None:
                wire.reach("inside")
            elif entry.state is EntryState.DONE:
                wire.step = entry.step
                wire.reach("acted")
        if entry and entry.state in (EntryState.STARTED, EntryState.DONE):
            wire.step = entry.step
            wire.reach(entry.state)


class _Noting:
    """A transaction that remembers which journal row it writes."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self.entry: Entry | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    async def put_entry(self, entry: Entry) -> None:
        self.entry = entry
        await self._tx.put_entry(entry)
