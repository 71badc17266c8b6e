"""What the record refuses is said in our own words: what, why and what next, never as an error of the database."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import insert

from adapters.database.records import Database
from adapters.database.tables import settings
from core.errors import Refused, Unreachable
from core.journal import RunState
from core.registry import Sha
from core.releases import Frozen, ReleaseState
from core.tasks import TaskQuery, Work
from tests.adapters.database.samples import NOW, a_release, a_ship, a_task, an_event


async def test_a_second_release_is_refused_and_the_open_one_named(database: Database) -> None:
    async with database.transaction() as rows:
        await rows.insert_release(a_release("monday"))
        with pytest.raises(Refused, match="monday is open"):
            await rows.insert_release(a_release("tuesday"))
        await rows.insert_release(a_release("last-year", state=ReleaseState.SHIPPED))


async def test_a_taken_slug_is_refused(database: Database) -> None:
    async with database.transaction() as rows:
        await rows.insert_task(a_task("login"))
        await rows.insert_release(a_release("r1", state=ReleaseState.SHIPPED))
        with pytest.raises(Refused, match="login is taken"):
            await rows.insert_task(a_task("login"))
        with pytest.raises(Refused, match="r1 is taken"):
            await rows.insert_release(a_release("r1"))


async def test_a_task_that_depends_on_nobody_knows_what_is_refused_with_the_name(database: Database) -> None:
    async with database.transaction() as rows:
        with pytest.raises(Refused, match="no task ghost"):
            await rows.insert_task(a_task("login", depends_on=("ghost",)))


@pytest.mark.parametrize(
    ("title", "what", "why"),
    [
        ("pay\0day", "'pay\\x00day' holds a NUL character", "it is character 4"),
        ("\0", "holds a NUL character", "it is character 1"),
        ("caf\udce9", "is no UTF-8", "character 4"),
        ("x" * 60_000 + "\ud800", "is no UTF-8", "character 60001"),
    ],
)
async def test_a_text_that_no_record_can_keep_is_told_as_such(
    database: Database, title: str, what: str, why: str
) -> None:
    with pytest.raises(Refused) as refused:
        async with database.transaction() as rows:
            await rows.insert_task(a_task("login", title=title))
    assert what in refused.value.reasons[0].what
    assert why in refused.value.reasons[0].why
    async with database.reading() as rows:
        assert await rows.task("login") is None


async def test_a_second_running_ship_is_refused_whatever_its_release(database: Database) -> None:
    async with database.transaction() as rows:
        await rows.insert_release(a_release("old", state=ReleaseState.SHIPPED))
        await rows.insert_release(a_release("r1"))
        waiting = await rows.insert_run(a_ship("old", state=RunState.STOPPED))
        running = await rows.insert_run(a_ship("r1"))
        with pytest.raises(Refused, match="r1 is being shipped"):
            await rows.insert_run(a_ship("r1"))
        with pytest.raises(Refused, match="r1 is being shipped"):
            await rows.update_run(waiting, msgspec.structs.replace(waiting, state=RunState.RUNNING))
        await rows.update_run(running, msgspec.structs.replace(running, attempt=2))
        assert [ship.id for ship in await rows.unfinished_runs()] == [running.id]


async def test_a_ship_that_changed_since_it_was_read_is_refused(database: Database) -> None:
    async with database.transaction() as rows:
        await rows.insert_release(a_release("r1"))
        read = await rows.insert_run(a_ship("r1"))
        await rows.update_run(read, msgspec.structs.replace(read, attempt=2))
        for change in ({"attempt": 2}, {"state": RunState.FINISHED}, {"mention": "x"}):
            with pytest.raises(Refused, match="changed since"):
                await rows.update_run(read, msgspec.structs.replace(read, **change))


async def test_a_release_that_changed_since_it_was_read_is_refused(database: Database) -> None:
    async with database.transaction() as rows:
        read = a_release("r1")
        await rows.insert_release(read)
        await rows.update_release(read, msgspec.structs.replace(read, revision=1))
        for change in ({"revision": 1}, {"state": ReleaseState.ABANDONED}, {"notes": "x"}):
            with pytest.raises(Refused, match="changed since"):
                await rows.update_release(read, msgspec.structs.replace(read, **change))


@pytest.mark.parametrize("blank", ["", "   "])
async def test_a_blank_sha_erases_no_good_one(database: Database, blank: str) -> None:
    frozen = (Frozen(repository="hub", sha=Sha("c0ffee")),)
    good = a_release("r1", state=ReleaseState.ASSEMBLED, frozen=frozen)
    async with database.transaction() as rows:
        await rows.insert_release(good)
    bad = msgspec.structs.replace(good, frozen=(Frozen(repository="hub", sha=Sha(blank)),))
    with pytest.raises(Refused, match="blank"):
        async with database.transaction() as rows:
            await rows.update_release(good, bad)
    async with database.reading() as rows:
        assert await rows.release("r1") == good


async def test_whoever_catches_a_refusal_halfway_cannot_commit_the_other_half(database: Database) -> None:
    with pytest.raises(Refused, match="blank"):
        async with database.transaction() as rows:
            await rows.put_setting("name", "value")
            with pytest.raises(Refused, match="blank"):
                await rows.insert_release(a_release("r1", frozen=(Frozen(repository="hub", sha=Sha("")),)))
    async with database.reading() as rows:
        assert await rows.setting("name") is None
        assert await rows.releases() == []


async def test_rows_that_contradict_others_are_refused_in_our_words(database: Database) -> None:
    twice = a_task("twice", works=(Work("hub", "one"), Work("hub", "two")))
    with pytest.raises(Refused, match="stored the same first"):
        async with database.transaction() as rows:
            await rows.insert_task(twice)
    with pytest.raises(Refused, match="not in the record"):
        async with database.transaction() as rows:
            await rows.insert_release(a_release("r1", members=("ghost",)))
    with pytest.raises(Refused):
        async with database.transaction() as rows:
            await rows.add_check("ghost", "green", commit=None, at=NOW, by="ada")


async def test_half_a_character_from_a_chat_is_refused_not_a_crash(database: Database) -> None:
    with pytest.raises(Refused):
        async with database.transaction() as rows:
            await rows.insert_task(a_task("login", title="\ud83d"))


async def test_a_refused_transaction_leaves_nothing_behind(database: Database) -> None:
    with pytest.raises(Refused, match="second thoughts"):
        async with database.transaction() as rows:
            await rows.insert_task(a_task("login"))
            raise Refused("second thoughts")
    async with database.reading() as rows:
        assert await rows.tasks(TaskQuery()) == []


async def test_a_reader_cannot_write(database: Database) -> None:
    async with database.reading() as rows:
        with pytest.raises(Refused):
            await rows.put_setting("name", "value")
    with pytest.raises(Refused):
        async with database.reading() as rows:
            await rows.append_event(an_event())
    async with database.transaction() as rows:
        await rows.put_setting("name", "value")


async def test_a_transaction_that_never_ends_is_ended(database: Database) -> None:
    with pytest.raises(Refused, match="busy for too long"):
        async with database._writing(seconds=0.1):  # pyright: ignore[reportPrivateUsage]
            await asyncio.get_running_loop().create_future()
    async with database.transaction() as rows:
        await rows.put_setting("name", "value")


async def test_what_is_refused_for_being_slow_is_not_written_after_all(database: Database) -> None:
    is_refused = False
    try:
        async with database._writing(seconds=0.2) as connection:  # pyright: ignore[reportPrivateUsage]
            await connection.execute(insert(settings), {"name": "name", "value": "value"})
            time.sleep(0.3)  # a machine so busy that the deadline passes unseen
    except Refused:
        is_refused = True
    async with database.transaction() as rows:
        assert (await rows.setting("name") is None) == is_refused


async def test_a_file_that_is_no_database_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("dear diary\n" * 1000)
    await _refused_to_open(
        f"sqlite:///{tmp_path}/notes.txt",
        rf"the database sqlite:///{tmp_path}/notes.txt refuses.*not a database.*name another file",
    )


async def test_a_folder_that_is_not_there_is_refused_with_advice(tmp_path: Path) -> None:
    await _refused_to_open(f"sqlite:///{tmp_path}/missing/record.db", "unable to open.*create its folder")


async def test_a_database_in_a_folder_that_takes_no_writes_is_refused(tmp_path: Path) -> None:
    first = Database(f"sqlite:///{tmp_path}/record.db")
    await first.upgrade()
    await first.close()
    uri = f"sqlite:///file:{tmp_path}/record.db?mode=ro&uri=true"
    await _refused_to_open(uri, "readonly.*let this user write")


@pytest.mark.parametrize("url", ["mysql://host/name", "record.db", "sqlite://", "sqlite:///:memory:"])
async def test_a_url_of_no_database_that_can_be_kept_is_refused(url: str) -> None:
    with pytest.raises(Refused, match="sqlite:///PATH"):
        Database(url)


async def test_a_server_that_does_not_answer_is_unreachable_and_its_password_is_not_shown(closed_port: int) -> None:
    database = Database(f"postgresql://ada:s3cret@127.0.0.1:{closed_port}/record")
    with pytest.raises(Unreachable, match="does not answer") as caught:
        await database.open()
    assert "s3cret" not in str(caught.value)
    await database.close()


async def _refused_to_open(url: str, why: str) -> None:
    database = Database(url)
    with pytest.raises(Refused, match=why):
        await database.open()
    await database.close()
