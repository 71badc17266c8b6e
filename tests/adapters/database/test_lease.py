"""One process runs the train: the second is refused, the dead is replaced, the frozen stops."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from adapters.database.connections import new_engine
from adapters.database.leases import LeaseTimes
from adapters.database.records import Database, HeldLease
from adapters.database.tables import leases
from core.errors import LeaseLost, Refused
from tests.adapters.database.samples import PATIENCE_SECONDS, SHORT, another_process, says
from tests.world.waiting import until


async def test_the_second_is_refused_and_told_who_holds_the_train_and_since_when(
    database: Database, neighbour: Database
) -> None:
    async with database.lease("ada on box 1"):
        async with neighbour.reading() as rows:
            holder = await rows.lease_holder()
        assert holder and holder.holder == "ada on box 1"
        with pytest.raises(Refused, match=f"ada on box 1 holds the train.*since {holder.since:%Y-%m-%d %H:%M:%S}"):
            async with neighbour.lease("bob"):
                pass
    async with neighbour.lease("bob"), database.reading() as rows:
        holder = await rows.lease_holder()
        assert holder and holder.holder == "bob"
    async with neighbour.reading() as rows:
        assert await rows.lease_holder() is None


async def test_of_many_who_want_the_train_at_once_one_gets_it(database: Database, neighbour: Database) -> None:
    taken, done = 0, asyncio.Event()

    async def take(where: Database) -> None:
        nonlocal taken
        try:
            async with where.lease("somebody"):
                taken += 1
                await done.wait()
        except Refused:
            refused.release()

    refused = asyncio.Semaphore(0)
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        for where in (database, neighbour) * 3:
            group.create_task(take(where))
        for _ in range(5):
            await refused.acquire()
        done.set()
    assert taken == 1


async def test_a_lease_that_beats_outlives_its_time(database: Database, neighbour: Database) -> None:
    async with database.lease("ada") as lease:
        until = asyncio.get_running_loop().time() + 1.5 * SHORT.takeover
        while asyncio.get_running_loop().time() < until:
            await database.wait_for_events(0, 0.1)
            lease.assert_fresh()
        async with lease.transaction() as rows:
            await rows.put_setting("name", "value")
        async with neighbour.reading() as rows:
            assert await rows.lease_holder()


async def test_what_the_block_raises_comes_out_as_it_is_and_the_train_is_free(database: Database) -> None:
    for error in (Refused("no"), TimeoutError("slow"), KeyError("bug")):
        with pytest.raises(type(error)):
            async with database.lease("ada"):
                raise error
    async with database.lease("bob"):
        pass


async def test_a_cancelled_block_frees_the_train(database: Database) -> None:
    held = asyncio.Event()

    async def hold() -> None:
        async with database.lease("ada"):
            held.set()
            await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(hold())
    await asyncio.wait_for(held.wait(), PATIENCE_SECONDS)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with database.lease("bob"):
        pass


async def test_the_train_of_a_dead_process_is_free_at_once(database: Database, url: str) -> None:
    slow = Database(url, lease_times=LeaseTimes(beat=60, stop=120, takeover=3600))
    async with another_process(url, "hold") as child:
        assert [await says(child), await says(child)] == ["ready", "held"]
        with pytest.raises(Refused, match="the child holds the train"):
            async with slow.lease("ada"):
                pass
        child.kill()
        await child.wait()
        async with slow.reading() as rows:
            assert await rows.lease_holder() is None
        async with slow.lease("ada"):
            pass
    await slow.close()


async def test_a_dead_process_that_nobody_buried_is_dead(database: Database, url: str) -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        async with _row_of_another(database, url, pid=pid, pid_started="1"), database.lease("ada"):
            pass
    finally:
        os.waitpid(pid, 0)


async def test_a_recycled_pid_is_not_the_holder(database: Database, url: str) -> None:
    async with _row_of_another(database, url, pid=os.getpid(), pid_started="1"), database.lease("ada"):
        pass


async def test_a_pid_of_another_machine_proves_nothing(database: Database, url: str) -> None:
    async with _row_of_another(database, url, node="elsewhere", pid=2**22 + 1, pid_started="1"):
        with pytest.raises(Refused, match="somebody holds the train"):
            async with database.lease("ada"):
                pass


async def test_a_frozen_process_loses_the_train_writes_nothing_more_and_stops(database: Database, url: str) -> None:
    async with another_process(url, "hold") as child:
        assert [await says(child), await says(child)] == ["ready", "held"]
        await _freeze_outside_a_transaction(database, child.pid)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await _try_to_take(database):
                await database.wait_for_events(0, 0.05)
        async with database.reading() as rows:
            written = await rows.setting("written by the child")
        child.send_signal(signal.SIGCONT)
        assert await says(child) == "lost"
        await asyncio.wait_for(child.wait(), PATIENCE_SECONDS)
    async with database.reading() as rows:
        assert await rows.setting("written by the child") == written


async def test_the_writes_of_one_who_lost_the_train_change_nothing(database: Database, neighbour: Database) -> None:
    with pytest.raises(LeaseLost):
        async with database.lease("ada") as lease:
            await _steal(neighbour)
            async with lease.transaction() as rows:
                await rows.put_setting("name", "value")
    async with database.reading() as rows:
        assert await rows.setting("name") is None


async def test_the_next_beat_of_one_who_lost_the_train_stops_it(database: Database, neighbour: Database) -> None:
    kept: list[HeldLease] = []
    with pytest.raises(LeaseLost):
        async with asyncio.timeout(PATIENCE_SECONDS), database.lease("ada") as lease:
            kept.append(lease)
            await _steal(neighbour)
            await asyncio.get_running_loop().create_future()
    with pytest.raises(LeaseLost):
        kept[0].assert_fresh()


async def test_one_who_cannot_beat_stops_before_anybody_may_take_over(database: Database, url: str) -> None:
    engine = new_engine(url)
    loop = asyncio.get_running_loop()
    begun = stopped = loop.time()
    with pytest.raises(LeaseLost):
        async with database.lease("ada") as lease, engine.begin() as outsider:
            await outsider.execute(sa.update(leases).values(holder="ada"))
            try:
                await loop.create_future()
            finally:
                stopped = loop.time()
                with pytest.raises(LeaseLost):
                    lease.assert_fresh()
    assert SHORT.stop / 2 < stopped - begun < SHORT.takeover
    await engine.dispose()


async def test_a_long_transaction_starves_no_beat(database: Database) -> None:
    await _writes_for(0.75 * SHORT.stop, database)


# SQLite lets one write at a time, beats included: there a transaction is bounded instead.
@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_a_long_transaction_of_somebody_delays_no_beat_on_postgresql(database: Database) -> None:
    await _writes_for(1.5 * SHORT.takeover, database)


async def _writes_for(seconds: float, database: Database) -> None:
    """One transaction as long as that, under a lease that must stay fresh."""
    async with database.lease("ada") as lease, database.transaction() as rows:
        await rows.put_setting("name", "value")
        until = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until:
            await database.wait_for_events(0, 0.05)
        lease.assert_fresh()


async def _try_to_take(database: Database) -> bool:
    try:
        async with database.lease("ada"):
            return True
    except (Refused, LeaseLost):  # it is held, or was let go only after a long wait
        return False


async def _steal(database: Database) -> None:
    """Take the train from a living holder, as the impatient may who think that it is dead."""
    impatient = LeaseTimes(beat=60, stop=120, takeover=-1)
    async with database.transaction() as rows:
        rows._times = impatient  # pyright: ignore[reportPrivateUsage]
        await rows.take_lease("thief")


async def _freeze_outside_a_transaction(database: Database, pid: int) -> None:
    """SIGSTOP while the child is not writing: on SQLite it would keep everybody from writing."""
    threads = Path(f"/proc/{pid}/task")

    def is_frozen() -> bool:
        return all((one / "stat").read_text().rpartition(")")[2].split()[0] == "T" for one in threads.iterdir())

    async with database.transaction():
        os.kill(pid, signal.SIGSTOP)
        await until(is_frozen)  # on a busy machine, a thread may go on for a while and write behind us


@asynccontextmanager
async def _row_of_another(database: Database, url: str, **changes: object) -> AsyncGenerator[None]:
    """A lease that looks taken by another process."""
    async with database.transaction() as rows:
        await rows.take_lease("somebody")
    engine = new_engine(url)
    async with engine.begin() as connection:
        await connection.execute(sa.update(leases).values(**changes))
    await engine.dispose()
    yield
