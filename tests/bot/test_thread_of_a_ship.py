"""The thread holds everything, in order, exactly once, whatever Discord, people or a power cut do to it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import discord
import msgspec
import pytest

from adapters.database.deliveries import DatabaseDeliveries
from adapters.database.records import Database
from bot.demo.discord import Limits
from bot.message import Message
from bot.posts import Pace, Posts
from core.deliveries import Delivery
from core.errors import StepFailed
from core.journal import RunState
from tests.bot.conftest import SWIFT, Yard, open_yard, text_of
from tests.world.toy_train import OLIVE, RELEASE

FRESH = timedelta(seconds=0.5)
ENDINGS = ("step done", "step adopted", "step warned", "step failed", "step unknown")


async def expected_lines(yard: Yard) -> list[str]:
    """The titles of all finished steps but the seals, which have messages of their own, in order."""
    events = await yard.station.conductor.events(RELEASE, 0)
    return [str(e.facts["title"]) for e in events if e.kind in ENDINGS and not e.step.startswith("seal:")]


def told(yard: Yard) -> list[str]:
    """The titles that the thread tells, in order."""
    lines = [line.split(" ", 1)[1] for line in yard.lines() if line[0] not in "🏁▶🛑"]
    return [line.split(" → ")[0].split(" · ")[0].split(" — ")[0] for line in lines]


async def assert_whole(yard: Yard) -> None:
    """Each finished step once and in order, a seal per app, and the notes once in the thread and once outside."""
    await yard.settled()
    await yard.until(lambda: any("✅ Shipped" in text_of(each) for each in yard.boards()))
    assert told(yard) == await expected_lines(yard)
    texts = yard.thread()
    assert sum(text.startswith("# 🚀") for text in texts) == 1
    assert sum("· **hub** —" in text for text in texts) == sum("· **turf** —" in text for text in texts) == 1
    outside = [text_of(each) for each in yard.channel()]
    assert sum(text.startswith("# 🚀") for text in outside) == sum(text.startswith("## ") for text in outside) == 1


async def shipped(yard: Yard, origin: str = "cli") -> None:
    """Confirm and drive a whole ship."""
    offer = await yard.station.conductor.offer(OLIVE, RELEASE)
    await yard.station.conductor.ship(OLIVE, RELEASE, offer.proposal.digest, origin)
    await yard.station.dispatcher.tick()
    seen = (await yard.station.conductor.status(RELEASE)).progress
    assert seen and seen.state is RunState.FINISHED


async def test_a_ship_from_the_command_line_gets_a_message_and_a_thread_too(yard: Yard) -> None:
    async with yard.bot():
        await shipped(yard)
        await assert_whole(yard)
        await yard.until(lambda: text_of(yard.channel()[0]).startswith("## ✅ Shipped · r1\nConfirmed by olive"))


async def test_a_ship_that_was_confirmed_in_a_thread_gets_one_in_the_channel(yard: Yard) -> None:
    async with yard.bot() as bot:
        client = await bot.connection.client()
        channel = client.get_partial_messageable(yard.loopback.channel_id)
        thread = await client.http.start_thread_with_message(
            channel.id, (await channel.send("talk")).id, name="talk", auto_archive_duration=60
        )
        said = await client.get_partial_messageable(int(thread["id"])).send("here")
        await shipped(yard, f"discord:{thread['id']}:{said.id}")
        await assert_whole(yard)


async def test_discord_is_gone_in_mid_ship_and_the_thread_catches_up_in_order(yard: Yard) -> None:
    async with yard.bot():
        await yard.pressed(await yard.offered(), "Ship it")
        await yard.until(lambda: bool(yard.boards()))

        async def lose_it() -> None:
            await yard.loopback.outage(rest=True, gateway=True)

        yard.world.meanwhile["publish ledger"] = lose_it
        await yard.station.dispatcher.tick()
        seen = (await yard.station.conductor.status(RELEASE)).progress
        assert seen and seen.state is RunState.FINISHED
        assert len(told(yard)) < len(await expected_lines(yard))
        await yard.loopback.outage(rest=False, gateway=False)
        await assert_whole(yard)


@pytest.mark.parametrize(("status", "times"), [(502, 1), (503, 3)])
async def test_a_post_that_worked_and_was_answered_with_an_error_is_there_once(
    yard: Yard, status: int, times: int
) -> None:
    yard.loopback.script_fault("POST", r"/messages$", status, times=times, after=True)
    async with yard.bot():
        await shipped(yard)
        await assert_whole(yard)


class CutDeliveries(DatabaseDeliveries):
    """The power goes after a message was sent and before that is known; nothing is read or written from then on."""

    def __init__(self, database: Database, survives: int) -> None:
        super().__init__(database)
        self.left, self.cut = survives, asyncio.Event()

    async def sent(self, delivery: Delivery, channel: str, message_id: str) -> None:
        if not self.left:
            self.cut.set()
            raise OSError("the power is gone")
        self.left -= 1
        await super().sent(delivery, channel, message_id)

    async def pending(self) -> list[Delivery]:
        if self.cut.is_set():
            raise OSError("the power is gone")
        return await super().pending()


@pytest.mark.parametrize("is_forgotten", [False, True], ids=["the nonce is known", "the nonce is forgotten"])
@pytest.mark.parametrize("survives", range(0, 8, 2))
async def test_a_bot_that_dies_between_sending_and_storing_repeats_nothing(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, survives: int, is_forgotten: bool
) -> None:
    if is_forgotten:
        monkeypatch.setattr("bot.demo.discord.rest._NONCE_SECONDS", 0.0)
    cut = CutDeliveries(yard.database, survives)
    async with yard.bot(cut):
        await shipped(yard)
        async with asyncio.timeout(10):
            await cut.cut.wait()
    async with yard.bot():
        await assert_whole(yard)


async def test_a_bot_that_starts_in_mid_ship_tells_it_from_the_beginning(yard: Yard) -> None:
    await yard.station.confirmed()
    async with yard.bot():
        await yard.station.dispatcher.tick()
        await assert_whole(yard)


async def test_a_bot_that_starts_after_years_of_ships_tells_none_of_them(yard: Yard) -> None:
    await shipped(yard)
    async with yard.bot():
        await yard.settled()
        assert yard.channel() == []


async def test_a_deleted_thread_comes_back_and_the_ship_is_told_to_its_end(yard: Yard) -> None:
    async with yard.bot():
        await yard.pressed(await yard.offered(), "Ship it")
        await yard.until(lambda: bool(yard.boards()))

        async def delete() -> None:
            yard.loopback.guild.remove_thread(yard.threads()[0]["id"])

        yard.world.meanwhile["deploy hub"] = delete
        await yard.station.dispatcher.tick()
        await yard.settled()
        await yard.until(lambda: any(text.startswith("# 🚀") for text in yard.thread()))
        assert told(yard)[-1] == "record the release as shipped"


async def test_a_deleted_root_and_thread_are_replaced(yard: Yard) -> None:
    async with yard.bot():
        plan = await yard.offered()
        await yard.pressed(plan, "Ship it")
        await yard.until(lambda: bool(yard.boards()))

        async def delete() -> None:
            yard.loopback.guild.remove_thread(plan["id"])
            yard.loopback.guild.remove_message(plan["id"])

        yard.world.meanwhile["deploy hub"] = delete
        await yard.station.dispatcher.tick()
        await yard.settled()
        await yard.until(lambda: any(text.startswith("# 🚀") for text in yard.thread()))
        await yard.until(lambda: text_of(yard.channel()[0]).startswith("## ✅ Shipped · r1"))


@pytest.mark.parametrize("seconds", [SWIFT.live, 2], ids=["while the ship runs", "when it has ended"])
async def test_a_deleted_board_is_shown_again(yard: Yard, seconds: float) -> None:
    """`seconds`: until the board is to be edited next, and found gone."""
    gate = asyncio.Event()
    yard.world.meanwhile["deploy hub"] = gate.wait
    async with yard.bot(pace=msgspec.structs.replace(SWIFT, live=seconds)):
        await yard.pressed(await yard.offered(), "Ship it")
        driving = asyncio.create_task(yard.station.dispatcher.tick())
        await yard.until(lambda: any("deploy hub — running" in text_of(each) for each in yard.boards()))
        first = yard.boards()[0]
        yard.loopback.guild.remove_message(first["id"])
        gate.set()
        await driving
        await assert_whole(yard)


async def test_a_board_that_is_almost_an_hour_old_is_followed_by_a_fresh_one(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.projector.FRESH_BOARD", FRESH)
    gate = asyncio.Event()
    yard.world.meanwhile["deploy hub"] = gate.wait
    log = yard.station.ports.scratch / "logs" / RELEASE / "1-deploy-hub.log"
    log.parent.mkdir(parents=True)
    async with yard.bot():
        await yard.pressed(await yard.offered(), "Ship it")
        driving = asyncio.create_task(yard.station.dispatcher.tick())
        await yard.until(lambda: any("deploy hub — running" in text_of(each) for each in yard.boards()))
        board = discord.utils.snowflake_time(int(yard.boards()[-1]["id"]))
        await yard.until(lambda: discord.utils.utcnow() - board > FRESH)
        log.write_text("still building\n")
        await yard.until(lambda: "still building" in text_of(yard.boards()[-1]))
        assert len(yard.boards()) > 1
        gate.set()
        await driving
        await assert_whole(yard)


async def test_the_log_of_what_runs_is_on_the_board(yard: Yard) -> None:
    gate = asyncio.Event()
    yard.world.meanwhile["deploy hub"] = gate.wait
    log = yard.station.ports.scratch / "logs" / RELEASE / "1-deploy-hub.log"
    log.parent.mkdir(parents=True)
    log.write_text("remote: building\n``` @everyone\n")
    async with yard.bot():
        await yard.pressed(await yard.offered(), "Ship it")
        driving = asyncio.create_task(yard.station.dispatcher.tick())
        await yard.until(lambda: any("remote: building" in text_of(each) for each in yard.boards()))
        log.write_text("remote: built\n")
        await yard.until(lambda: any("remote: built" in text_of(each) for each in yard.boards()))
        gate.set()
        await driving
        await assert_whole(yard)


async def test_a_red_seal_rings_for_the_confirmer_and_the_operators_with_the_way_back(yard: Yard) -> None:
    yard.world.red_sites = {"turf"}
    async with yard.bot():
        await yard.pressed(await yard.offered(), "Ship it", by="second")
        await yard.station.dispatcher.tick()
        await yard.settled()
    every = yard.sam.messages(yard.threads()[0]["id"])
    (red,) = [each for each in every if "🔴" in text_of(each) and "FAILED" in text_of(each) and not each["embeds"]]
    assert "`toy rollback turf`" in text_of(red) and "❌ /up — 503" in text_of(red)
    assert [user["username"] for user in red["mentions"]] == ["Otto"]
    assert red["mention_roles"] == [str(yard.loopback.role_ids["operator"])]
    assert [each["id"] for each in every if each["mentions"]] == [red["id"]]
    assert "🔴 FAILED · turf" in text_of(yard.channel()[-1])


async def test_a_stop_that_was_resumed_while_discord_was_gone_is_told_as_history(yard: Yard) -> None:
    yard.world.failing["deploy turf"] = StepFailed("bin/deploy exited 1")
    async with yard.bot():
        await yard.pressed(await yard.offered(), "Ship it")
        await yard.until(lambda: bool(yard.boards()))
        await yard.loopback.outage(rest=True)
        await yard.station.dispatcher.tick()
        await yard.station.conductor.resume(OLIVE, RELEASE)
        await yard.station.dispatcher.tick()
        await yard.loopback.outage(rest=False)
        await yard.settled()
        (stop,) = [text for text in yard.thread() if "Stopped for a while" in text]
        assert "bin/deploy exited 1" in stop
        assert not any("Resume ship" in text for text in yard.thread())


async def test_the_product_never_writes_faster_than_discord_likes(database: Database, tmp_path: Path) -> None:
    written: defaultdict[tuple[str, str], list[float]] = defaultdict(list)

    def watch(event: str, payload: dict[str, Any], _: str | None) -> None:
        if event in ("MESSAGE_CREATE", "MESSAGE_UPDATE") and "author" in payload:
            written[event, payload["channel_id"]].append(asyncio.get_running_loop().time())

    async with open_yard(database, tmp_path, limits=Limits()) as yard, yard.bot(pace=Pace()):
        plan = await yard.offered()
        yard.loopback.guild.listeners.append(watch)
        await yard.pressed(plan, "Ship it")
        await yard.station.dispatcher.tick()
        await assert_whole(yard)
    assert sum(map(len, written.values())) > 8
    for times in written.values():
        assert all(later - first > 4.5 for first, later in zip(times, times[4:], strict=False))


async def test_a_second_thread_within_minutes_is_not_held_back(database: Database, tmp_path: Path) -> None:
    """A prepare and its ship, or a ship and the next one; Discord has room for twenty in five minutes."""
    async with open_yard(database, tmp_path, limits=Limits()) as yard, yard.bot() as bot:
        posts, channel = Posts(bot.connection.client, Pace()), yard.loopback.channel_id
        async with asyncio.timeout(10):
            for name in ("prepare", "ship"):
                number = await posts.send(channel, Message(content=name), name)
                await posts.open_thread(channel, number, name)
    assert yard.loopback.rate_limit_hits == []


async def test_commands_are_acknowledged_while_a_thread_is_being_written(yard: Yard) -> None:
    gate = asyncio.Event()
    yard.world.meanwhile["deploy hub"] = gate.wait
    loop, slowest = asyncio.get_running_loop(), 0.0
    async with yard.bot():
        await yard.pressed(await yard.offered(), "Ship it")
        driving = asyncio.create_task(yard.station.dispatcher.tick())
        for number in range(20):
            begun = loop.time()
            outcome: Any = await yard.loopback.person("agent").command(["release", "status"])
            assert outcome["outcome"] == "message"
            slowest = max(slowest, loop.time() - begun)
            if number == 10:
                gate.set()
        await driving
        await assert_whole(yard)
    assert slowest < 2.0
