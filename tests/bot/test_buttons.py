"""Who presses what, when, and what comes of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.database.records import Database
from bot import plan_screens
from bot.layout import sending
from core.errors import StepFailed
from core.events import EventKind
from core.journal import RunState
from core.train.proposal import Outlook, Preview, Proposal
from tests.bot.conftest import TIMEOUT, Yard, buttons, open_yard, text_of
from tests.world.toy_train import OLIVE, RELEASE, draft


async def state(yard: Yard) -> RunState | None:
    """The state of the newest ship; None when nothing was ever shipped."""
    seen = (await yard.station.conductor.status(RELEASE)).progress
    return seen.state if seen else None


async def test_two_operators_press_at_once_and_one_ship_starts(yard: Yard) -> None:
    async with yard.bot():
        plan = await yard.offered()
        people, custom_id = (yard.olive, yard.otto), buttons(plan)["Ship it"]
        outcomes = await asyncio.gather(*(each.click(plan["id"], custom_id) for each in people))
        assert [each["outcome"] for each in outcomes] == ["deferred", "deferred"]
        await yard.until(lambda: bool(yard.private("operator") + yard.private("second")))
        (told,) = [text_of(each) for each in yard.private("operator") + yard.private("second")]
        assert "shipping already" in told
        await yard.station.dispatcher.tick()
        await yard.settled()
    kinds = [event.kind for event in await yard.station.conductor.events(RELEASE, 0)]
    assert kinds.count(EventKind.RUN_CONFIRMED) == 1
    assert len(yard.threads()) == 1


@pytest.mark.parametrize("who", ["agent", "stranger"])
async def test_only_an_operator_can_confirm_or_decline(yard: Yard, who: str) -> None:
    async with yard.bot():
        plan = await yard.offered()
        for label in ("Ship it", "Cancel"):
            assert "only the operator role may" in await yard.refused(plan, label, by=who)
        assert set(buttons(yard.message(plan["id"]))) == {"Ship it", "Cancel"}
    assert await state(yard) is None


async def test_a_declined_plan_says_so_and_starts_nothing(yard: Yard) -> None:
    async with yard.bot():
        plan = await yard.offered()
        await yard.pressed(plan, "Cancel", by="second")
        shown = yard.message(plan["id"])
        assert "Declined" in text_of(shown) and buttons(shown) == {}
        assert "publish money" in text_of(shown)
    assert await state(yard) is None


async def test_an_expired_confirmation_is_refused_in_its_own_words(yard: Yard) -> None:
    async with yard.bot():
        plan = await yard.offered()
        yard.world.now += timedelta(minutes=31)
        assert "the confirmation has expired" in await yard.refused(plan, "Ship it")
    assert await state(yard) is None


async def test_a_plan_that_was_never_offered_is_refused_in_its_own_words(yard: Yard) -> None:
    async with yard.bot() as bot:
        client = await bot.connection.client()
        proposal = Proposal(RELEASE, None, (Preview("x", "x", Outlook.RUN),), ())
        forged = plan_screens.plan(proposal, yard.world.now)
        sent = await client.get_partial_messageable(yard.loopback.channel_id).send(**sending(forged))
        assert "was offered" in await yard.refused(yard.message(str(sent.id)), "Ship it")
    assert await state(yard) is None


async def test_a_changed_world_is_refused_and_the_new_plan_is_shown(yard: Yard) -> None:
    async with yard.bot():
        plan = await yard.offered()
        (extra,) = await yard.station.reviewed(draft("late", "docs"))
        await yard.station.conductor.add(OLIVE, extra, RELEASE)
        docs = yard.world.refs["docs", "release"]
        yard.world.refs["docs", "release"] = yard.world.commit({"readme": b"more"}, docs)
        await yard.station.conductor.freeze(OLIVE, RELEASE)
        assert "the plan has changed" in await yard.refused(plan, "Ship it")
        old = yard.message(plan["id"])
        assert "Out of date" in text_of(old) and buttons(old) == {}
        await yard.until(lambda: len(yard.channel()) == 2)
        new = yard.channel()[-1]
        assert buttons(new)["Ship it"] != buttons(plan)["Ship it"]
        await yard.pressed(new, "Ship it")
    assert await state(yard) is RunState.RUNNING


async def test_a_button_still_works_after_the_bot_was_restarted(yard: Yard) -> None:
    async with yard.bot():
        plan = await yard.offered()
    async with yard.bot():
        await yard.pressed(plan, "Ship it", by="second")
        await yard.until(lambda: bool(yard.boards()))
    assert await state(yard) is RunState.RUNNING


@pytest.mark.parametrize("stale_seconds", [3.0, 0.3])  # Discord gives up after half a second
async def test_a_stale_click_that_discord_replays_ships_nothing(
    database: Database, tmp_path: Path, stale_seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.answering.ACK_SECONDS", stale_seconds)
    async with open_yard(database, tmp_path, ack_seconds=0.5) as yard, yard.bot():
        plan = await yard.offered()
        await yard.loopback.outage(gateway=True)
        outcome = await yard.olive.click(plan["id"], buttons(plan)["Ship it"])
        assert outcome["outcome"] == "failed"
        await yard.loopback.outage(gateway=False)
        async with asyncio.timeout(TIMEOUT):
            while (await yard.olive.command(["release", "status"]))["outcome"] != "message":
                pass  # the library takes its time to come back
        assert buttons(await yard.offered())  # which is refused while a ship runs
        assert await state(yard) is None
        assert set(buttons(yard.message(plan["id"]))) == {"Ship it", "Cancel"}


async def test_a_running_ship_can_be_cancelled_from_its_board(yard: Yard) -> None:
    gate = asyncio.Event()
    yard.world.meanwhile["gate ledger"] = gate.wait
    async with yard.bot():
        await yard.pressed(await yard.offered(), "Ship it")
        driving = asyncio.create_task(yard.station.dispatcher.tick())
        await yard.until(lambda: bool(yard.boards()))
        assert "only the operator" in await yard.refused(yard.boards()[0], "Cancel ship", by="agent")
        await yard.pressed(yard.boards()[0], "Cancel ship")
        await driving
        await yard.settled()
        await yard.until(lambda: "🛑 Cancelled" in text_of(yard.boards()[0]))
        assert buttons(yard.boards()[0]) == {}
    assert await state(yard) is RunState.CANCELLED
    assert yard.lines()[-1].startswith("🛑 Cancelled by Olive")


async def test_a_stopped_ship_reports_and_goes_on_at_the_press_of_a_button(yard: Yard) -> None:
    yard.world.failing["deploy turf"] = StepFailed("bin/deploy exited 1", "smoke /up returned 503", "look at its log")
    log = yard.station.ports.scratch / "logs" / RELEASE / "1-deploy-turf.log"
    log.parent.mkdir(parents=True)
    log.write_text("".join(f"line {number}\n" for number in range(99)))
    async with yard.bot():
        await yard.pressed(await yard.offered(), "Ship it")
        await yard.station.dispatcher.tick()
        await yard.settled()
        report = yard.last()
        text = text_of(report)
        for part in (
            "Ship stopped at turf",
            "1. ✅ money 1.1.0",
            "5. ✅ main of hub",
            "line 98",
            "bin/deploy exited 1",
            "⏹️ record the release as shipped",
            "accepted resting state",
            "`/release resume release:r1`",
        ):
            assert part in text, text
        assert [file["filename"] for file in report["attachments"]] == ["1-deploy-turf.log"]
        assert [user["username"] for user in report["mentions"]] == ["Olive"]
        assert report["mention_roles"] == [str(yard.loopback.role_ids["operator"])]
        await yard.pressed(report, "Resume ship", by="second")
        await yard.station.dispatcher.tick()
        await yard.settled()
        assert "Resume ship** — <@" in text_of(yard.message(report["id"])) and buttons(yard.message(report["id"])) == {}
    assert await state(yard) is RunState.FINISHED
    assert [line for line in yard.lines() if line.startswith("▶️")] == [
        "▶️ Resumed by Otto. What is there already is recognised, not repeated."
    ]
    pinging = [each for each in yard.loopback.guild.messages.values() if each["mentions"] or each["mention_roles"]]
    assert pinging == []  # the report rang once, when it was new


@pytest.mark.parametrize(("label", "runs"), [("It happened", 1), ("Run it again", 2)])
async def test_what_nobody_can_tell_is_asked_and_answered_once(yard: Yard, label: str, runs: int) -> None:
    yard.world.failing["answer of run hub"] = RuntimeError("the line went dead")
    async with yard.bot():
        await yard.pressed(await yard.offered(), "Ship it")
        await yard.station.dispatcher.tick()
        await yard.settled()
        asked = yard.last()
        assert "Did this happen?" in text_of(asked) and "post-deploy of seats on hub" in text_of(asked)
        assert set(buttons(asked)) == {"It happened", "Run it again"}
        await yard.pressed(asked, label)
        await yard.station.dispatcher.tick()
        await yard.settled()
    assert await state(yard) is RunState.FINISHED
    assert len([what for what in yard.world.ledger if what[0] == "run"]) == runs


async def test_a_button_of_an_earlier_report_answers_no_later_question(yard: Yard) -> None:
    yard.world.failing["deploy turf"] = StepFailed("no")
    async with yard.bot():
        await yard.pressed(await yard.offered(), "Ship it")
        await yard.station.dispatcher.tick()
        await yard.settled()
        first = yard.last()
        yard.world.failing["deploy turf"] = StepFailed("no, again")
        await yard.station.conductor.resume(OLIVE, RELEASE)
        await yard.station.dispatcher.tick()
        await yard.settled()
        assert "this button is of an earlier report" in await yard.refused(first, "Resume ship")
    assert await state(yard) is RunState.STOPPED
