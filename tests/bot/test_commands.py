"""Every command, as people type it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from adapters.database.records import Database
from tests.bot.conftest import TIMEOUT, Yard, done, is_private, open_yard, refused, said, text_of
from tests.world.toy_train import ADA, RELEASE, draft


async def test_a_train_is_frozen_planned_looked_at_and_abandoned_by_commands(yard: Yard) -> None:
    async with yard.bot():

        async def olive(command: str, **options: str) -> str:
            return await done(yard, await yard.olive.command(["release", command], options))

        assert "only the operator" in await refused(yard, "agent", ["release", "freeze"])
        assert "r1 is frozen" in await olive("freeze")
        plan = await done(yard, await yard.sam.command(["release", "plan"]))
        assert "Point of no return" in plan and "[Ship it]" not in plan and "→ `/release ship`" in plan
        assert "assembled" in said(await yard.sam.command(["release", "status"], {"release": RELEASE}))
        assert "never deployed by us" in said(await yard.sam.command(["deployments"]))
        assert "hub** — hub, toy" in said(await yard.sam.command(["repos"]))
        nothing = await yard.sam.command(["release", "notes"])
        assert "there are no notes yet" in said(nothing) and is_private(nothing)
        nothing = await refused(yard, "operator", ["release", "cancel"])
        assert "has nothing to cancel" in nothing and "→ `/release status`" in nothing
        assert "nothing to resume" in await refused(yard, "operator", ["release", "resume"], {"answer": "again"})
        assert "is abandoned; back at reviewed: 3 tasks" in await olive("abandon")
        assert "next-one is open with 2 tasks" in await olive("open", name="next-one", tasks="pay seats")
        assert "next-one is frozen" in await olive("freeze")


async def test_the_table_of_the_train_follows_its_status(yard: Yard) -> None:
    async with yard.bot():
        yard.world.silent = {"git docs"}
        assert "assembled" in said(await yard.olive.command(["release", "status"]))

        def table() -> str:
            return next((text for each in yard.private("operator") if "Where r1 is" in (text := text_of(each))), "")

        await yard.until(lambda: bool(table()))
        assert "docs: ❔ unknown: merged, on QA, frozen, live" in table()
        assert "git docs does not answer" in table()


async def test_every_field_of_every_command_says_what_belongs_into_it(yard: Yard) -> None:
    def described(node: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
        for one in node.get("options", ()):
            yield f"{path} {one['name']}", one["description"]
            yield from described(one, f"{path} {one['name']}")

    async with yard.bot():
        told = dict(found for one in yard.olive.state()["commands"] for found in described(one, one["name"]))
        assert told["task start task"] == told["release add task"] == "its slug; words of its title find it"
        assert told["task list release"] == "only what rides this train"
        assert [path for path, words in told.items() if len(words) < 4] == []


async def test_a_stale_command_that_discord_replays_changes_nothing(database: Database, tmp_path: Path) -> None:
    async with open_yard(database, tmp_path, ack_seconds=0.5) as yard, yard.bot():
        await yard.loopback.outage(gateway=True)
        assert (await yard.olive.command(["release", "abandon"]))["outcome"] == "failed"
        await yard.loopback.outage(gateway=False)
        async with asyncio.timeout(TIMEOUT):
            while (await yard.olive.command(["release", "status"]))["outcome"] != "message":
                pass  # the library takes its time to come back
        assert "r1 is frozen" in await done(yard, await yard.olive.command(["release", "freeze"]))


async def test_problems_are_all_shown_and_there_is_no_button(yard: Yard) -> None:
    yard.world.silent = {"registry"}
    async with yard.bot():
        plan = await done(yard, await yard.olive.command(["release", "ship"]))
        assert "Cannot ship" in plan and "[Ship it]" not in plan and "registry does not answer" in plan


async def test_the_notes_can_be_posted_again(yard: Yard) -> None:
    await yard.station.dispatcher.drive(await yard.station.confirmed())
    async with yard.bot():
        assert "r1 is in production" in said(await yard.sam.command(["release", "notes"], {"release": RELEASE}))


async def test_what_people_type_is_completed(yard: Yard) -> None:
    async with yard.bot():

        async def offered(path: list[str], options: dict[str, str], focused: str) -> list[str]:
            return [each["value"] for each in await yard.ada.autocomplete(path, options, focused)]

        assert await offered(["task", "show"], {"task": "se"}, "task") == ["seats"]
        assert sorted(await offered(["task", "show"], {"task": "task"}, "task")) == ["pay", "seats", "words"]
        assert await offered(["release", "status"], {"release": ""}, "release") == [RELEASE]
        assert await offered(["release", "add"], {"task": ""}, "task") == []
        assert len(await offered(["release", "eject"], {"task": ""}, "task")) == 3
        draft_of = {"title": "x", "shape": "", "repositories": "hub d"}
        assert await offered(["task", "new"], draft_of, "repositories") == ["hub docs"]
        assert await offered(["task", "new"], draft_of, "shape") == ["toy"]
        await yard.station.board.new(ADA, draft("built", "money"))
        await yard.station.board.start(ADA, "built")
        assert await offered(["task", "move"], {"task": "built", "stage": ""}, "stage") == ["blocked"]
        assert await offered(["task", "move"], {"task": "pay", "stage": ""}, "stage") == []
        assert set(await offered(["task", "handoff"], {"task": ""}, "task")) == {"built", "words", "pay", "seats"}
        assert set(await offered(["task", "review"], {"task": ""}, "task")) == {"words", "pay", "seats"}
        assert await offered(["task", "new"], draft_of | {"depends_on": "pay bu"}, "depends_on") == ["pay built"]


async def test_a_breakdown_is_an_id_for_the_person_and_a_line_in_the_log(
    yard: Yard, tmp_path: Path, caplog: Any
) -> None:
    with closing(sqlite3.connect(tmp_path / "stationmaster.db")) as record:
        record.execute("UPDATE tasks SET stage = 'nobody foresaw this'")
        record.commit()
    async with yard.bot():
        told = said(await yard.olive.command(["task", "show"], {"task": "pay"}))
    assert "Something broke" in told and "nobody foresaw this" not in told
    number = told.split("(")[1].split(")")[0]
    assert number.startswith("E-") and any(number in record.getMessage() for record in caplog.records)
