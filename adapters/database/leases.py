"""Who runs the train: taking the lease, beating, and losing it in time (spec 6.10).

A holder stops itself before anybody may take over, and the epoch in its row fences what a frozen one still tries.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from sqlalchemy import ColumnElement, bindparam, func, insert, select, type_coerce, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.database.columns import Utc
from adapters.database.connections import Connected
from adapters.database.sqlite import Writing
from adapters.database.tables import leases
from core.errors import LeaseLost, Refused
from core.journal import LeaseHolder

# Counts on while the machine sleeps, where the kernel has such a clock.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class LeaseTimes(msgspec.Struct, frozen=True):
    """In seconds: a beat every `beat`; without one for `stop` we stop; after `takeover` another may take the train."""

    beat: float = 5
    stop: float = 20
    takeover: float = 30


DEFAULT_TIMES = LeaseTimes()


class Taken(msgspec.Struct, frozen=True):
    """What proves that a lease is ours: the number of the taking, and a word that nobody else has."""

    epoch: int
    owner: str


class LeaseRows(Connected):
    """The part of a transaction that is about the lease."""

    def __init__(self, connection: AsyncConnection | Writing, times: LeaseTimes) -> None:
        super().__init__(connection)
        self._times = times

    async def lease_holder(self) -> LeaseHolder | None:
        """Who holds the train now; None when nobody living does."""
        row = (await self._run(_NEWEST)).mappings().first()
        living = row is not None and _is_living(row, await self._now(), self._times)
        return LeaseHolder(row["holder"], row["acquired_at"]) if row and living else None

    async def take_lease(self, holder: str) -> Taken:
        """Make `holder` the current one; Refused, naming the other and since when, while that one lives."""
        await self._run(_NEWEST.with_for_update())  # beats do not queue with writers on PostgreSQL: hold them off
        if other := await self.lease_holder():
            raise Refused(
                f"{other.holder} holds the train",
                f"since {other.since:%Y-%m-%d %H:%M:%S} UTC; one ship at a time",
                "wait until it has ended",
            )
        now, owner = await self._now(), secrets.token_hex(16)
        await self._run(update(leases).where(leases.c.ended_at.is_(None)).values(ended_at=now))
        row = {"owner": owner, "holder": holder, "acquired_at": now, "beat_at": now} | _this_process()
        key = (await self._run(insert(leases).values(**row))).inserted_primary_key
        assert key is not None
        return Taken(key[0], owner)

    async def require_lease(self, taken: Taken) -> None:
        """LeaseLost unless `taken` is current; nobody takes it before this transaction ends, as writers are serial."""
        if (await self._run(_OURS, msgspec.structs.asdict(taken))).first() is None:
            raise lease_lost()

    async def beat(self, taken: Taken) -> bool:
        """Say that the owner lives; False when the lease is no longer its own."""
        return bool((await self._run(update(leases).where(*_is(taken)).values(beat_at=await self._now()))).rowcount)

    async def end_lease(self, taken: Taken) -> None:
        """Give the train back."""
        await self._run(update(leases).where(*_is(taken)).values(ended_at=await self._now()))

    async def _now(self) -> datetime:
        """The time on the database's clock, which all who want the train share."""
        if self._connection.dialect.name == "sqlite":
            return datetime.now(UTC)
        return (await self._run(select(type_coerce(func.clock_timestamp(), Utc)))).scalar_one()


def lease_lost() -> LeaseLost:
    """The error of one who must stop at once."""
    return LeaseLost(
        "this process lost the train",
        "it could not say in time that it lives, or another process took over",
        "nothing to do: whoever holds the train goes on",
    )


def boot_seconds() -> float:
    """Seconds on a clock that never jumps and counts on while the machine sleeps."""
    return time.clock_gettime(_CLOCK)


_NEWEST = select(leases).order_by(leases.c.epoch.desc()).limit(1)


def _is(taken: Taken) -> tuple[ColumnElement[bool], ...]:
    return (leases.c.epoch == taken.epoch, leases.c.owner == taken.owner, leases.c.ended_at.is_(None))


# Asked before every write, hence made once.
_OURS = select(leases.c.epoch).where(
    leases.c.epoch == bindparam("epoch"), leases.c.owner == bindparam("owner"), leases.c.ended_at.is_(None)
)


def _is_living(row: RowMapping, now: datetime, times: LeaseTimes) -> bool:
    """False when the lease ended, beat too long ago, or its process on this very machine is dead."""
    if row["ended_at"] is not None or now - row["beat_at"] > timedelta(seconds=times.takeover):
        return False
    return row["node"] != _node() or not _is_dead(row["pid"], row["pid_started"])


def _this_process() -> dict[str, str | int]:
    return {"node": _node(), "pid": os.getpid(), "pid_started": _started(os.getpid()) or ""}


def _node() -> str:
    """Where a pid means this process: the host, its boot, and the pid namespace (containers share the first two)."""
    parts = [socket.gethostname()]
    if Path("/proc/self/ns/pid").exists():
        parts += [
            Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            str(Path("/proc/self/ns/pid").readlink()),
        ]
    return " ".join(parts)


def _is_dead(pid: int, started: str) -> bool:
    """True only when it is proved: no such process, a zombie, or another one under a recycled number (L07)."""
    now = _started(pid)
    if started and now is not None:
        return now != started
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it lives, and /proc hides it from us
    return False


def _started(pid: int) -> str | None:
    """When the process started, in ticks since boot, as Linux says; blank for a zombie, None where nobody says."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return "" if state in "ZX" else rest[18]
