"""Every command, as people type it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from adapters.database.records import Database
from bot.demo.discord import Outcome
from tests.bot.conftest import TIMEOUT, Yard, open_yard, text_of
from tests.world.toy_train import RELEASE


def said(outcome: Outcome) -> str:
    """What an immediate answer says."""
    assert outcome["outcome"] == "message" and outcome["message"], outcome
    return text_of(outcome["message"])


def is_private(outcome: Outcome) -> bool:
    """Did only the asker see it?"""
    return bool(outcome["message"] and outcome["message"]["flags"] & 64)


async def done(yard: Yard, outcome: Outcome) -> str:
    """What everybody reads in the end of a command that was acknowledged first."""
    assert outcome["outcome"] == "deferred" and outcome["message"]
    number = outcome["message"]["id"]
    await yard.until(lambda: bool(text_of(yard.message(number))))
    return text_of(yard.message(number))


async def refused(yard: Yard, by: str, path: list[str], options: dict[str, Any] | None = None) -> str:
    """What only the asker reads of a command that was not done; nothing of it stays in the channel."""
    before, known = len(yard.channel()), {each["id"] for each in yard.private(by)}
    outcome = await yard.loopback.person(by).command(path, options)
    assert outcome["outcome"] == "deferred"
    await yard.until(lambda: any(each["id"] not in known for each in yard.private(by)))
    assert len(yard.channel()) == before
    return "\n".join(text_of(each) for each in yard.private(by) if each["id"] not in known)


async def test_a_task_goes_from_idea_to_the_train_by_commands(yard: Yard) -> None:
    new: dict[str, Any] = {"title": "Round *up* @everyone", "shape": "toy", "repositories": "money docs=fix/docs"}
    slug, rex = {"task": "round-up-everyone"}, yard.loopback.person("reviewer")
    async with yard.bot():
        assert "only the agent role may create tasks" in await refused(yard, "operator", ["task", "new"], new)
        made = await done(yard, await yard.ada.command(["task", "new"], new))
        assert "round-up-everyone is designed" in made and "@everyone" not in made
        for who, stage in ((yard.ada, "building"), (yard.ada, "submitted"), (rex, "reviewed")):
            moved = await who.command(["task", "move"], slug | {"stage": stage})
            assert f"is {stage}" in await done(yard, moved)
        assert "reviewed" in await refused(yard, "agent", ["task", "move"], slug | {"stage": "shipped"})
        page = await yard.sam.command(["task", "show"], slug)
        assert is_private(page) and "docs: `fix/docs`" in said(page) and "→ next: assembled" in said(page)
        listed = await yard.sam.command(["task", "list"], {"stage": "reviewed"})
        assert is_private(listed) and "1 task(s)" in said(listed)
        assert "rides r1" in await done(yard, await yard.olive.command(["release", "add"], slug))
        assert "no longer rides r1" in await done(yard, await yard.olive.command(["release", "eject"], slug))


async def test_a_train_is_frozen_planned_looked_at_and_abandoned_by_commands(yard: Yard) -> None:
    async with yard.bot():

        async def olive(command: str, **options: str) -> str:
            return await done(yard, await yard.olive.command(["release", command], options))

        assert "only the operator" in await refused(yard, "agent", ["release", "freeze"])
        assert "r1 is frozen" in await olive("freeze")
        plan = await done(yard, await yard.sam.command(["release", "plan"]))
        assert "Point of no return" in plan and "[Ship it]" not in plan
        assert "assembled" in said(await yard.sam.command(["release", "status"], {"release": RELEASE}))
        assert "never deployed by us" in said(await yard.sam.command(["deployments"]))
        assert "hub** — hub, toy" in said(await yard.sam.command(["repos"]))
        nothing = await yard.sam.command(["release", "notes"])
        assert "there are no notes yet" in said(nothing) and is_private(nothing)
        assert "is not shipping" in await refused(yard, "operator", ["release", "cancel"])
        assert "no ship to resume" in await refused(yard, "operator", ["release", "resume"], {"answer": "again"})
        assert "is abandoned; 3 task(s)" in await olive("abandon")
        assert "next-one is open with 2 task(s)" in await olive("open", name="next-one", tasks="pay seats")
        assert "next-one is frozen" in await olive("freeze")


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
        draft = {"title": "x", "shape": "", "repositories": "hub d"}
        assert await offered(["task", "new"], draft, "repositories") == ["hub docs"]
        assert await offered(["task", "new"], draft, "shape") == ["toy"]
        assert await offered(["task", "move"], {"task": "pay", "stage": ""}, "stage") == ["reviewed", "shipped"]


async def test_a_breakdown_is_an_id_for_the_person_and_a_line_in_the_log(yard: Yard, caplog: Any) -> None:
    yard.world.failing["registry"] = RuntimeError("nobody foresaw this")
    async with yard.bot():
        await yard.olive.command(["release", "plan"])
        await yard.until(lambda: any("Something broke" in text_of(each) for each in yard.private("operator")))
    (told,) = [text_of(each) for each in yard.private("operator")]
    number = told.split("(")[1].split(")")[0]
    assert number.startswith("E-") and any(number in record.getMessage() for record in caplog.records)
    assert "nobody foresaw this" not in told
