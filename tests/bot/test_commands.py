"""Every command, as people type it."""

from __future__ import annotations

from typing import Any

from bot.demo.discord import Outcome
from tests.bot.conftest import Yard, text_of
from tests.world.toy_train import RELEASE


def said(outcome: Outcome) -> str:
    """What an immediate answer says."""
    assert outcome["message"], outcome
    return text_of(outcome["message"])


def is_private(outcome: Outcome) -> bool:
    """Did only the asker see it?"""
    return bool(outcome["message"] and outcome["message"]["flags"] & 64)


async def finally_said(yard: Yard, outcome: Outcome) -> str:
    """What a deferred answer says in the end."""
    assert outcome["outcome"] == "deferred" and outcome["message"]
    number = outcome["message"]["id"]
    await yard.until(lambda: bool(text_of(yard.message(number))))
    return text_of(yard.message(number))


async def test_a_task_goes_from_idea_to_the_train_by_commands(yard: Yard) -> None:
    new: dict[str, Any] = {"title": "Round *up* @everyone", "shape": "toy", "repositories": "money docs=fix/docs"}
    async with yard.bot():
        refused = await yard.olive.command(["task", "new"], new)
        assert "only the agent role may create tasks" in said(refused) and is_private(refused)
        made = await yard.ada.command(["task", "new"], new)
        assert "round-up-everyone is designed" in said(made) and not is_private(made)
        assert "@everyone" not in said(made)
        slug = {"task": "round-up-everyone"}
        for stage in ("building", "submitted"):
            assert f"is {stage}" in said(await yard.ada.command(["task", "move"], slug | {"stage": stage}))
        wrong = await yard.ada.command(["task", "move"], slug | {"stage": "shipped"})
        assert is_private(wrong) and "submitted" in said(wrong)
        rex = yard.loopback.person("reviewer")
        assert "is reviewed" in said(await rex.command(["task", "move"], slug | {"stage": "reviewed"}))
        page = await yard.sam.command(["task", "show"], slug)
        assert is_private(page) and "docs: `fix/docs`" in said(page) and "→ next: assembled" in said(page)
        listed = await yard.sam.command(["task", "list"], {"stage": "reviewed"})
        assert "1 task(s)" in said(listed) and is_private(listed)
        assert "rides r1" in said(await yard.olive.command(["release", "add"], slug))
        assert "no longer rides r1" in said(await yard.olive.command(["release", "eject"], slug))


async def test_a_train_is_frozen_planned_looked_at_and_abandoned_by_commands(yard: Yard) -> None:
    async with yard.bot():
        refused = await yard.ada.command(["release", "freeze"])
        await yard.until(lambda: any("only the operator" in text_of(each) for each in yard.private("agent")))
        assert refused["outcome"] == "deferred" and yard.channel() == []
        assert "r1 is frozen" in await finally_said(yard, await yard.olive.command(["release", "freeze"]))
        plan = await finally_said(yard, await yard.sam.command(["release", "plan"]))
        assert "Point of no return" in plan and "[Ship it]" not in plan
        assert "assembled" in said(await yard.sam.command(["release", "status"], {"release": RELEASE}))
        assert "never deployed by us" in said(await yard.sam.command(["deployments"]))
        assert "hub** — hub, toy" in said(await yard.sam.command(["repos"]))
        nothing = await yard.sam.command(["release", "notes"])
        assert "there are no notes yet" in said(nothing) and is_private(nothing)
        assert "is not shipping" in said(await yard.olive.command(["release", "cancel"]))
        assert "no ship to resume" in said(await yard.olive.command(["release", "resume"], {"answer": "again"}))
        assert "is abandoned; 3 task(s)" in said(await yard.olive.command(["release", "abandon"]))
        opened = await yard.olive.command(["release", "open"], {"name": "next-one", "tasks": "pay seats"})
        assert "next-one is open with 2 task(s)" in said(opened)
        thawed = await finally_said(yard, await yard.olive.command(["release", "freeze"]))
        assert "next-one is frozen" in thawed.replace("\\", "")


async def test_problems_are_all_shown_and_there_is_no_button(yard: Yard) -> None:
    yard.world.silent = {"registry"}
    async with yard.bot():
        plan = await finally_said(yard, await yard.olive.command(["release", "ship"]))
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
