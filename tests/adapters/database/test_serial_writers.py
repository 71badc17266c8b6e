"""Writers come one after the other, from wherever they come; readers never wait for them."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from adapters.database.connections import columns, new_engine
from adapters.database.records import Database
from adapters.database.tables import settings, tasks
from core.errors import Refused
from core.releases import attach
from core.tasks import Stage, TaskQuery
from tests.adapters.database.samples import PATIENCE_SECONDS, a_release, a_task, an_event, another_process, says, tell


async def test_no_update_is_lost_among_many_writers(database: Database, neighbour: Database) -> None:
    async def count(writer: Database) -> None:
        async with writer.transaction() as rows:
            await rows.put_setting("n", str(int(await rows.setting("n") or 0) + 1))

    await asyncio.gather(*(count(writer) for _ in range(60) for writer in (database, neighbour)))
    async with database.reading() as rows:
        assert await rows.setting("n") == "120"


async def test_two_opens_at_once_leave_one_release_open(database: Database, neighbour: Database) -> None:
    async def open_release(where: Database, slug: str) -> str:
        try:
            async with where.transaction() as rows:
                await rows.insert_release(a_release(slug))
        except Refused as refusal:
            return str(refusal)
        return "opened"

    answers = sorted(await asyncio.gather(open_release(database, "r1"), open_release(neighbour, "r2")))
    assert answers[0] == "opened" or answers[1] == "opened"
    assert any("is open" in answer for answer in answers)


async def test_two_attaches_at_once_lose_no_member(database: Database, neighbour: Database) -> None:
    async with database.transaction() as rows:
        await rows.insert_release(a_release("r1"))
        for slug in ("a", "b"):
            await rows.insert_task(a_task(slug))

    async def board(where: Database, slug: str) -> None:
        async with where.transaction() as rows:
            release, task = await rows.active_release(), await rows.task(slug)
            assert release and task
            await rows.update_release(release, attach(release, slug))
            await rows.update_task(task, msgspec.structs.replace(task, stage=Stage.ASSEMBLED, release=release.slug))

    await asyncio.gather(board(database, "a"), board(neighbour, "b"))
    async with database.reading() as rows:
        release = await rows.release("r1")
        assert release and set(release.members) == {"a", "b"} and release.revision == 2


async def test_an_attach_that_read_before_another_one_wrote_is_refused(database: Database, neighbour: Database) -> None:
    async with database.transaction() as rows:
        await rows.insert_release(a_release("r1"))
        for slug in ("a", "b"):
            await rows.insert_task(a_task(slug))
    async with database.reading() as early:
        read = await early.release("r1")
    assert read
    async with neighbour.transaction() as rows:
        await rows.update_release(read, attach(read, "a"))
    with pytest.raises(Refused, match="changed since"):
        async with database.transaction() as rows:
            await rows.update_release(read, attach(read, "b"))


async def test_a_reader_does_not_wait_for_a_writer_and_sees_one_state(database: Database, neighbour: Database) -> None:
    async with database.transaction() as rows:
        await rows.put_setting("name", "old")
    async with asyncio.timeout(PATIENCE_SECONDS), database.transaction() as writing, neighbour.reading() as reading:
        await writing.put_setting("name", "new")
        assert await reading.setting("name") == "old"
    async with asyncio.timeout(PATIENCE_SECONDS), neighbour.reading() as reading:
        assert await reading.setting("name") == "new"
        async with database.transaction() as writing:
            await writing.put_setting("name", "newest")
        assert await reading.setting("name") == "new"


async def test_a_cancelled_writer_lets_the_next_one_write(database: Database) -> None:
    async def write() -> None:
        async with database.transaction() as rows:
            while True:
                await rows.put_setting("name", "cancelled")

    for _ in range(5):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(write(), 0.05)
        async with database.transaction() as rows:
            assert await rows.setting("name") is None


async def test_a_writer_cancelled_twice_while_it_waits_for_another_one_leaves_nothing_that_never_ends(
    database: Database, neighbour: Database
) -> None:
    async def write() -> None:
        async with neighbour.transaction() as rows:
            await rows.put_setting("name", "cancelled")

    before = asyncio.all_tasks()
    for _ in range(3):
        async with database.transaction():
            waiting = asyncio.create_task(write())
            await cancel_twice(waiting)
        await asyncio.wait_for(asyncio.wait([waiting]), PATIENCE_SECONDS)
    await nothing_is_left(before)
    async with neighbour.transaction() as rows:
        assert await rows.setting("name") is None


async def test_a_reader_cancelled_twice_in_the_middle_of_a_long_look_leaves_nothing_that_never_ends(
    database: Database,
) -> None:
    count = sa.select(sa.literal(1).label("n")).cte(recursive=True)
    count = count.union_all(sa.select(count.c.n + 1).where(count.c.n < 2_000_000))

    async def read() -> None:
        async with database.reading() as rows:
            await rows._run(sa.select(sa.func.max(count.c.n)))  # pyright: ignore[reportPrivateUsage]

    before = asyncio.all_tasks()
    for _ in range(3):
        reading = asyncio.create_task(read())
        await cancel_twice(reading)
        await asyncio.wait_for(asyncio.wait([reading]), PATIENCE_SECONDS)
        assert reading.cancelled()
    await nothing_is_left(before)
    async with database.reading() as rows:
        assert await rows.setting("name") is None


async def cancel_twice(task: asyncio.Task[None]) -> None:
    for _ in range(2):
        await asyncio.wait([task], timeout=0.1)
        task.cancel()


async def nothing_is_left(before: set[asyncio.Task[Any]]) -> None:
    if left := asyncio.all_tasks() - before:
        _, pending = await asyncio.wait(left, timeout=PATIENCE_SECONDS)
        assert not pending


async def test_whoever_follows_hears_of_an_event_from_this_process_at_once(database: Database) -> None:
    assert not await database.wait_for_events(0, 0)
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        heard = group.create_task(database.wait_for_events(0, PATIENCE_SECONDS))
        async with database.transaction() as rows:
            await rows.append_event(an_event())
            newest = await rows.last_event()
    assert heard.result()
    assert not await database.wait_for_events(newest, 0.05)


async def test_a_look_that_was_not_read_to_its_end_keeps_nobody_from_writing_later(
    database: Database, neighbour: Database
) -> None:
    kept: list[object] = []
    for number in range(2):
        async with database.transaction() as rows:
            await rows.put_setting("ours", str(number))
            await rows.put_setting(f"more {number}", "")
            looking = await rows._run(sa.select(settings))  # pyright: ignore[reportPrivateUsage]
            kept += [looking, looking.fetchone()]
        async with neighbour.transaction() as rows:
            await rows.put_setting("theirs", str(number))
    async with database.transaction() as rows:
        assert [await rows.setting(name) for name in ("ours", "theirs")] == ["1", "1"]


async def test_a_transaction_sees_the_events_that_it_appended_in_their_order(database: Database) -> None:
    async with database.transaction() as rows:
        for actor in ("ada", "rex"):
            await rows.append_event(msgspec.structs.replace(an_event(), actor=actor))
        assert [event.actor for event in await rows.events()] == ["ada", "rex"]
        await rows.append_event(an_event())
    async with database.reading() as rows:
        assert [event.id for event in await rows.events()] == [1, 2, 3]


async def test_whoever_follows_hears_of_an_event_from_another_process(database: Database, url: str) -> None:
    async with another_process(url, "append") as child, asyncio.TaskGroup() as group:
        assert await says(child) == "ready"
        heard = group.create_task(database.wait_for_events(0, PATIENCE_SECONDS))
        await tell(child)
        assert await heard
    async with database.reading() as rows:
        assert [event.id for event in await rows.events(release="r1")] == [1]
        assert await rows.events(release="r2") == []


async def test_the_list_of_ten_thousand_tasks_by_stage_uses_an_index(database: Database, url: str) -> None:
    row = columns(tasks, a_task())
    many = [{**row, "slug": f"t{n}", "stage": Stage.BUILDING if n % 100 else Stage.BLOCKED} for n in range(10_000)]
    engine = new_engine(url)
    async with engine.begin() as connection:
        await connection.execute(sa.insert(tasks), many)
        await connection.execute(sa.text("ANALYZE"))
        explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
        plan = await connection.execute(
            sa.text(f"{explain} SELECT slug FROM tasks WHERE stage = 'blocked' ORDER BY id DESC")
        )
        assert "ix_tasks_stage_id" in str(plan.all())
    await engine.dispose()
    async with database.reading() as rows:
        assert len(await rows.tasks(TaskQuery(stage=Stage.BLOCKED, limit=None))) == 100
