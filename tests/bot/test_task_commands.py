"""The task board in Discord, as people type, fill in and press: nothing that somebody typed is ever lost."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from adapters.database.records import Database
from bot.demo.discord import Outcome, Person
from core.edits import TaskChanges
from core.permissions import Actor, Face, Role
from core.tasks import Stage
from tests.bot.conftest import TIMEOUT, Yard, buttons, done, is_private, open_yard, refused, said, text_of
from tests.world.toy_train import ADA, draft

SLUG = {"task": "round-up"}
REPORT = {
    "changed": "fees are rounded up\nin one place",
    "verified": "by hand",
    "look_first": "core/fees.py",
    "checks": "[unit] pytest -q: 31 passed\n[e2e] make e2e: ok",
    "reported": "opus-4 182000 3.40",
}
ALICE = Actor("test:ada", "Ada", frozenset({Role.AGENT}), Face.DISCORD)
"""Ada, as Discord knows her."""
HOSTILE = "@everyone <@1> [x](https://evil.example) ``` # **\n"


async def form(asked: Outcome) -> tuple[str, dict[str, str]]:
    """The form that came up at once: its id, and what stands in its fields."""
    assert asked["outcome"] == "modal" and asked["modal"], asked
    inputs = [label["component"] for label in asked["modal"]["components"]]
    return asked["modal"]["id"], {one["custom_id"]: one.get("value") or "" for one in inputs}


async def submitted(who: Person, path: list[str], options: dict[str, str], fields: dict[str, str]) -> Outcome:
    """Ask for a form and submit it with these texts in it."""
    number, shown = await form(await who.command(path, options))
    return await who.submit_modal(number, shown | fields)


async def building(yard: Yard, slug: str = "round-up", criteria: str = "it works") -> None:
    """A task that Ada builds."""
    await yard.station.board.new(ALICE, draft(slug, "money"))
    await yard.station.board.edit(ALICE, slug, TaskChanges(acceptance_criteria=criteria, test_plan="try it"))
    await yard.station.board.start(ALICE, slug)


async def stage(yard: Yard, slug: str = "round-up") -> Stage:
    """Where the task is."""
    return (await yard.station.board.show(ADA, slug)).task.stage


async def test_a_task_goes_from_idea_to_the_train_by_commands(yard: Yard) -> None:
    new: dict[str, Any] = {"title": "Round *up* @everyone", "shape": "toy", "repositories": "money docs=fix/docs"}
    new |= {"slug": "round-up", "acceptance": "it works", "tests": "try it"}
    async with yard.bot():
        assert "only the agent role may create tasks" in await refused(yard, "operator", ["task", "new"], new)
        made = await done(yard, await yard.ada.command(["task", "new"], new))
        assert "round-up is designed" in made and "@everyone" not in made and "/task start" in made
        assert "is building" in await done(yard, await yard.ada.command(["task", "start"], SLUG))
        assert "only by task handoff" in await refused(yard, "agent", ["task", "move"], SLUG | {"stage": "submitted"})
        handed = await done(yard, await submitted(yard.ada, ["task", "handoff"], SLUG, REPORT))
        assert "is submitted" in handed and "in one place" in handed and "/task review" in handed
        for who, seat, then in ((yard.tess, "light", "submitted"), (yard.rex, "heavy", "reviewed")):
            verdict = SLUG | {"seat": seat, "verdict": "approve-with-nits"}
            given = await submitted(who, ["task", "review"], verdict, {"findings": "nit: a name"})
            assert f"is {then}" in await done(yard, given)
        page = await yard.sam.command(["task", "show"], SLUG)
        assert is_private(page) and "docs on `fix/docs`" in said(page) and "may go to assembled" in said(page)
        assert "model opus-4 · tokens 182,000 · cost $3.40" in said(page) and "1. \\[nit\\] a name" in said(page)
        listed = await yard.sam.command(["task", "list"], {"stage": "reviewed"})
        assert is_private(listed) and "1 task, 1 shown" in said(listed)
        assert "rides r1" in await done(yard, await yard.olive.command(["release", "add"], SLUG))
        assert "no longer rides r1" in await done(yard, await yard.olive.command(["release", "eject"], SLUG))


async def test_no_form_is_opened_for_a_task_that_there_is_not(yard: Yard) -> None:
    async with yard.bot():
        for command in ("handoff", "edit"):
            told = await yard.ada.command(["task", command], {"task": "Pays"})
            assert is_private(told) and "did you mean pay?" in said(told)


async def test_a_refused_handoff_gives_back_what_was_typed_in_a_form_to_mend(yard: Yard) -> None:
    await building(yard)
    typed = REPORT | {"checks": "31 passed", "changed": "ä" * 4000}
    async with yard.bot():
        told = await yard.told("agent", submitted(yard.ada, ["task", "handoff"], SLUG, typed))
        assert "no [unit] check" in text_of(told).replace("\\", "") and await stage(yard) is Stage.BUILDING
        assert not yard.channel()
    async with yard.bot():  # another life of the bot: the refusal is all that is left
        number, shown = await form(await yard.ada.click(told["id"], buttons(told)["Open it again"]))
        assert shown == typed
        mended = shown | {"checks": "[unit] 31 passed"}
        assert "is submitted" in await done(yard, await yard.ada.submit_modal(number, mended))


async def test_a_form_that_an_earlier_life_of_the_bot_opened_can_be_submitted(yard: Yard) -> None:
    await building(yard)
    async with yard.bot():
        number, _ = await form(await yard.ada.command(["task", "handoff"], SLUG))
    async with yard.bot():
        assert "is submitted" in await done(yard, await yard.ada.submit_modal(number, REPORT))


async def test_a_form_stays_open_while_the_bot_is_away(database: Database, tmp_path: Path) -> None:
    async with open_yard(database, tmp_path, ack_seconds=0.5) as yard:
        await building(yard)
        async with yard.bot():
            number, _ = await form(await yard.ada.command(["task", "handoff"], SLUG))
        assert (await yard.ada.submit_modal(number, REPORT))["outcome"] == "failed"
        async with yard.bot():
            assert "is submitted" in await done(yard, await yard.ada.submit_modal(number, REPORT))


async def test_who_may_not_hand_off_loses_no_text_either(yard: Yard) -> None:
    await building(yard)
    async with yard.bot():
        told = await yard.told("stranger", submitted(yard.sam, ["task", "handoff"], SLUG, REPORT))
        assert "only the agent role may hand off tasks" in text_of(told)
        assert [file["filename"] for file in told["attachments"]] == ["typed.json"]
        for reported in ("opus 12k tokens", "opus 4 8 dollars"):
            wrong = REPORT | {"reported": reported}
            told = await yard.told("agent", submitted(yard.ada, ["task", "handoff"], SLUG, wrong))
            assert f"'{reported}' is not model, tokens and cost" in text_of(told) and "opus-4 182000" in text_of(told)


async def test_who_goes_by_another_name_on_the_server_is_on_record_under_their_own(yard: Yard) -> None:
    await building(yard)
    yard.loopback.guild.nicks[str(yard.ada.id)] = "Rex"
    async with yard.bot():
        await done(yard, await submitted(yard.ada, ["task", "handoff"], SLUG, REPORT))
        page = said(await yard.ada.command(["task", "show"], SLUG))
        assert "Ada" in page and "Rex" not in page


async def test_a_long_text_of_a_refused_command_comes_back_as_a_file(yard: Yard) -> None:
    async with yard.bot():
        text = HOSTILE * 100
        told = await yard.told("agent", yard.ada.command(["task", "comment"], {"task": "pai", "text": text}))
        assert "did you mean pay?" in text_of(told) and "@everyone" not in text_of(told)
        kept = yard.loopback.guild.file(told["attachments"][0]["id"], "typed.json")
        assert json.loads(kept.read_text())["text"] == text


async def test_requested_changes_block_with_all_findings_and_a_handoff_brings_the_task_back(yard: Yard) -> None:
    await building(yard)
    no = SLUG | {"seat": "heavy", "verdict": "request-changes"}
    async with yard.bot():
        await done(yard, await submitted(yard.ada, ["task", "handoff"], SLUG, REPORT))
        told = await yard.told("reviewer", submitted(yard.rex, ["task", "review"], no, {"findings": "blokker: x\nhm"}))
        assert "did you mean blocker?" in text_of(told) and text_of(told).count("unknown severity") == 2
        found = {"findings": "minor: a name\n- blocker: it rounds down\nnit: a comma"}
        assert "is blocked" in await done(yard, await submitted(yard.rex, ["task", "review"], no, found))
        page = said(await yard.ada.command(["task", "show"], SLUG)).replace("\\", "")
        assert "1. [blocker] it rounds down\n2. [minor] a name\n3. [nit] a comma" in page
        assert "is building" in await done(yard, await yard.ada.command(["task", "unblock"], SLUG))
        told = await yard.told("agent", submitted(yard.ada, ["task", "review"], no, found))
        assert "only the reviewer role may review tasks" in text_of(told)


async def test_feedback_is_open_until_a_handoff_answers_it(yard: Yard) -> None:
    await building(yard)
    words = SLUG | {"text": "cents are lost " * 300}
    async with yard.bot():
        assert "OPEN" in await done(yard, await yard.rex.command(["task", "feedback"], words))
        page = said(await yard.sam.command(["task", "show"], SLUG))
        assert "qa feedback, OPEN" in page
        number = (await yard.station.board.show(ADA, "round-up")).remarks[0].id
        assert "who builds answers" in await refused(yard, "agent", ["task", "resolve"], SLUG | {"number": number})
        await done(yard, await submitted(yard.ada, ["task", "handoff"], SLUG, REPORT))
        page = said(await yard.sam.command(["task", "show"], SLUG))
        assert "resolved by Ada" in page and "OPEN" not in page


async def test_two_people_edit_different_texts_and_neither_is_lost(yard: Yard) -> None:
    await building(yard)
    async with yard.bot():
        number, shown = await form(await yard.ada.command(["task", "edit"], SLUG))
        assert shown["acceptance_criteria"] == "it works"
        await yard.station.board.edit(ADA, "round-up", TaskChanges(test_plan="try it twice"))
        mine = shown | {"acceptance_criteria": "cents are kept\nalways"}
        assert "is building" in await done(yard, await yard.ada.submit_modal(number, mine))
        task = (await yard.station.board.show(ADA, "round-up")).task
        assert (task.acceptance_criteria, task.test_plan) == ("cents are kept\nalways", "try it twice")


async def test_an_edit_of_what_somebody_else_changed_meanwhile_is_refused_and_can_be_made_again(yard: Yard) -> None:
    await building(yard)
    async with yard.bot():
        number, shown = await form(await yard.ada.command(["task", "edit"], SLUG))
        await yard.station.board.edit(ADA, "round-up", TaskChanges(test_plan="theirs", agent_context="also theirs"))
        told = await yard.told("agent", yard.ada.submit_modal(number, shown | {"test_plan": "mine"}))
        assert "has changed since you looked" in text_of(told) and "theirs" in text_of(told)
        number, again = await form(await yard.ada.click(told["id"], buttons(told)["Open it again"]))
        assert (again["test_plan"], again["agent_context"]) == ("mine", "also theirs")
        await done(yard, await yard.ada.submit_modal(number, again))
        task = (await yard.station.board.show(ADA, "round-up")).task
        assert (task.test_plan, task.agent_context) == ("mine", "also theirs")


async def test_a_text_that_is_longer_than_a_field_is_left_out_of_the_form_and_stays_whole(yard: Yard) -> None:
    await building(yard, criteria="x" * 5000)
    async with yard.bot():
        number, shown = await form(await yard.ada.command(["task", "edit"], SLUG))
        assert "acceptance_criteria" not in shown
        await done(yard, await yard.ada.submit_modal(number, shown | {"title": "Round up"}))
    task = (await yard.station.board.show(ADA, "round-up")).task
    assert (task.title, len(task.acceptance_criteria)) == ("Round up", 5000)


async def test_what_is_short_is_edited_by_options(yard: Yard) -> None:
    await building(yard)
    wanted = SLUG | {"risks": "money slow", "type": "bug", "repositories": "money hub=fix/it", "qa_url": "https://qa"}
    async with yard.bot():
        await done(yard, await yard.ada.command(["task", "edit"], wanted))
        await done(yard, await yard.ada.command(["task", "depend"], SLUG | {"on": "pay"}))
        assert "circle" in await refused(yard, "agent", ["task", "depend"], {"task": "pay", "on": "round-up"})
    task = (await yard.station.board.show(ADA, "round-up")).task
    assert (task.risk_tags, task.repositories, task.depends_on) == (("money", "slow"), ("money", "hub"), ("pay",))


async def test_pages_of_a_long_task_are_turned_by_buttons_that_survive_a_restart(yard: Yard) -> None:
    await building(yard, criteria="\n".join(f"{n}: {HOSTILE}{'y' * 900}" for n in range(12)))
    async with yard.bot():
        first = await yard.sam.command(["task", "show"], SLUG)
        assert "page 1 of 4" in said(first) and first["message"]
        number = first["message"]["id"]
    seen = [said(first)]
    async with yard.bot():
        while "More" in (offered := buttons(yard.message(number))):
            assert (await yard.sam.click(number, offered["More"]))["outcome"] == "updated"
            seen.append(text_of(yard.message(number)))
        await yard.sam.click(number, buttons(yard.message(number))["Earlier"])
    assert "page 3 of 4" in text_of(yard.message(number))
    whole = "\n".join(seen)
    places = [whole.index(f"\n{n}: ") for n in range(12)]
    assert places == sorted(places) and whole.count("y" * 900) + whole.count("y" * 300) >= 12
    order = ["created", "DevOps handoff", "Acceptance criteria", "Expected test plan", "Checks run", "Agent context"]
    order += ["Stage timeline", "Conversation", "Sizing"]
    assert [whole.index(title) for title in order] == sorted(whole.index(title) for title in order)
    assert "@everyone" not in whole and "](" not in whole.replace("\\", "\x00")


async def test_a_sealed_bid_is_seen_by_its_bidder_alone_until_all_three_are_in(yard: Yard) -> None:
    await building(yard)
    async with yard.bot():
        bids = (
            (yard.olive, "operator", "PM", "S"),
            (yard.ada, "agent", "Dev", "XL"),
            (yard.rex, "reviewer", "PO", "M"),
        )
        for who, key, bidder, size in bids:
            told = await yard.told(key, who.command(["task", "size"], SLUG | {"bidder": bidder, "size": size}))
            assert f"{bidder} {size}" in text_of(told)
            others = said(await yard.sam.command(["task", "show"], SLUG))
            assert (f"{bidder} {size}" in others) is (bidder == "PO")
        assert not yard.channel()
        again = await yard.told("operator", yard.olive.command(["task", "size"], SLUG | {"bidder": "PM", "size": "L"}))
        assert "locked" in text_of(again)
        assert "no task has three bids" in said(await yard.sam.command(["task", "calibration"]))


async def test_a_list_says_how_many_there_are_and_how_to_see_the_rest(yard: Yard) -> None:
    for number in range(25):
        await yard.station.board.new(ALICE, draft(f"round-{number:02}", "money"))
    async with yard.bot():
        first = said(await yard.sam.command(["task", "search"], {"words": "round"}))
        assert "25 tasks, 20 shown" in first
        after = first.split("after:")[1].split("`")[0]
        rest = said(await yard.sam.command(["task", "search"], {"words": "round", "after": after}))
        assert "25 tasks, 5 shown" in rest and "after:" not in rest
        none = said(await yard.sam.command(["task", "list"], {"builder": "nobody"}))
        assert "0 tasks" in none


async def test_a_stale_form_that_discord_replays_hands_nothing_off(database: Database, tmp_path: Path) -> None:
    async with open_yard(database, tmp_path, ack_seconds=0.5) as yard, yard.bot():
        await building(yard)
        number, _ = await form(await yard.ada.command(["task", "handoff"], SLUG))
        await yard.loopback.outage(gateway=True)
        assert (await yard.ada.submit_modal(number, REPORT))["outcome"] == "failed"
        await yard.loopback.outage(gateway=False)
        async with asyncio.timeout(TIMEOUT):
            while (await yard.sam.command(["task", "calibration"]))["outcome"] != "message":
                pass  # the library takes its time to come back
        assert await stage(yard) is Stage.BUILDING
        assert "is submitted" in await done(yard, await yard.ada.submit_modal(number, REPORT))


async def test_the_task_commands_fit_what_discord_takes_of_one_command(yard: Yard) -> None:
    async with yard.bot():
        (task,) = [command for command in yard.ada.commands() if command["name"] == "task"]
        assert characters(task) <= 8000


def characters(command: dict[str, Any]) -> int:
    """What Discord counts: names, descriptions and the values of choices, of a command and all below it."""
    below = [*command.get("options", []), *command.get("choices", [])]
    own = sum(len(str(command.get(key, ""))) for key in ("name", "description", "value"))
    return own + sum(map(characters, below))
