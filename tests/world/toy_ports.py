"""Everything that a step may touch, all of it in a toy world; the record is the real one, behind a switch."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

from core.ports import Ports, Waits
from core.records import Lease, Records, Transaction
from tests.world.toy import Place, World
from tests.world.toy_places import ToyEcosystem, ToyProcesses, ToyRepositories, ToyShelf, ToySmoke, ToyStrategy


class ToyClock(Place):
    """Sleeping takes no time at all and still moves the clock."""

    def now(self) -> datetime:
        self._world.now += timedelta(milliseconds=1)
        return self._world.now

    async def sleep(self, seconds: float) -> None:
        self._world.touch("sleep")
        self._world.now += timedelta(seconds=seconds)
        self._world.propagation = max(0, self._world.propagation - 1)


class ToyCredentials(Place):
    """Every variable is set but those in `world.absent`; what is secret in all of them is the word hunter2."""

    def has(self, name: str) -> bool:
        return name not in self._world.absent

    def mask(self, text: str) -> str:
        return text.replace("hunter2", "••••")


class CuttableRecords:
    """The real database behind a switch: the power may go right before and right after each commit."""

    def __init__(self, records: Records, world: World) -> None:
        self._records, self._world = records, world

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        async with self._around(self._records.transaction()) as tx:
            yield tx

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[Transaction]:
        await self._world.ask("read")
        async with self._records.reading() as tx:
            yield tx

    @asynccontextmanager
    async def lease(self, holder: str) -> AsyncGenerator[Lease]:
        async with self._records.lease(holder) as lease:
            yield _CuttableLease(lease, self)

    async def wait_for_events(self, after: int, timeout_seconds: float) -> bool:
        return await self._records.wait_for_events(after, timeout_seconds)

    @asynccontextmanager
    async def _around(self, inner: AbstractAsyncContextManager[Transaction]) -> AsyncGenerator[Transaction]:
        async with inner as tx:
            yield tx
            await self._world.ask("commit")
        self._world.touch("after commit")


class _CuttableLease:
    def __init__(self, lease: Lease, records: CuttableRecords) -> None:
        self._lease, self._records = lease, records

    def assert_fresh(self) -> None:
        self._lease.assert_fresh()

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        return self._records._around(self._lease.transaction())  # pyright: ignore[reportPrivateUsage]


def toy_ports(world: World, records: Records, scratch: Path) -> Ports:
    """Everything a step may touch, all of it in `world`."""
    cuttable = CuttableRecords(records, world)
    return Ports(
        clock=ToyClock(world),
        repositories=ToyRepositories(world),
        ecosystems={"toy": ToyEcosystem(world)},
        strategies={"toy": ToyStrategy(world)},
        processes=ToyProcesses(world),
        credentials=ToyCredentials(world),
        smoke=ToySmoke(world),
        shelf=ToyShelf(world),
        records=cuttable,
        fenced=cuttable.transaction,
        scratch=scratch,
        log=scratch / "log",
        waits=Waits(install_seconds=30, install_poll_seconds=1, backoff_seconds=1),
    )
