"""A train is looked at, prepared and stopped from Discord: in its own words, and with nothing of production."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.database.records import Database
from bot import release_console
from core.errors import StepFailed
from tests.bot.conftest import Yard, done, open_yard, refused, said, text_of
from tests.world.toy_train import OLIVE, RELEASE, WHOLE_TRAIN, Station, draft, lay_out_branches, registry_with_qa

PRODUCTION = ("Shipping", "Shipped", "Ship ", "ship stopped", "live", "Confirmed")


@pytest.fixture
async def unmerged(tmp_path: Path, database: Database) -> AsyncIterator[Yard]:
    """A yard whose train has QA, nothing merged, and one task too many."""
    async with open_yard(database, tmp_path) as yard:
        lay_out_branches(yard.world, WHOLE_TRAIN)
        world = yard.world
        world.refs["docs", "feat/clash"] = world.commit({"readme": b"other words"}, world.refs["docs", "main"])
        yard.station = Station(world, database, tmp_path, registry_with_qa())
        await yard.station.conductor.add(OLIVE, *await yard.station.reviewed(draft("clash", "docs")))
        yield yard


def shown(yard: Yard) -> str:
    """All that everybody can read in the thread and on its message."""
    return "\n".join([*yard.thread(), *(text_of(each) for each in yard.boards())])


async def test_a_prepare_is_told_in_its_own_words_and_ends_with_what_comes_next(unmerged: Yard) -> None:
    yard = unmerged
    async with yard.bot():
        plan = await done(yard, await yard.sam.command(["release", "assemble"]))
        assert (
            re.search(r"clash\*\* would be ejected: .+ · docs: readme", plan)
            and "docs has no QA" in plan
            and "`/release prepare` does it" in plan
        )
        assert "only the operator" in await refused(yard, "agent", ["release", "prepare"])
        assert "r1 is being prepared" in await done(yard, await yard.olive.command(["release", "prepare"]))
        await yard.station.dispatcher.tick()
        await yard.settled()
        await yard.until(lambda: "Prepare of r1: done" in "\n".join(yard.thread()))
        end = next(text for text in yard.thread() if "**QA runs**" in text)
        assert "hub " in end and "turf " in end and "docs has no QA" in end and "clash: " in end
        assert "next: `/release ship`" in end
        assert not [word for word in PRODUCTION if word in shown(yard)]
        ejected = [text for each in yard.channel() if "does not ride" in (text := text_of(each))]
        assert len(ejected) == 1 and "ada: " in ejected[0]
        status = said(await yard.sam.command(["release", "status"]))
        assert "**Prepare: finished**, " in status and "merge " not in status


async def test_a_prepare_that_stops_says_what_is_on_qa_and_is_resumed_by_its_button(unmerged: Yard) -> None:
    yard = unmerged
    yard.world.fail("deploy turf on QA", StepFailed("turf does not boot"))
    async with yard.bot():
        await done(yard, await yard.olive.command(["release", "prepare"]))
        await yard.station.dispatcher.tick()
        await yard.until(lambda: any("Prepare stopped at turf" in text for text in yard.thread()))
        report = yard.last()
        assert "**On QA already, in order**\n1. ✅ hub" in text_of(report)
        assert "`stationmaster release prepare r1`), which also takes up what was pushed meanwhile" in text_of(report)
        in_a_shell = list(release_console.report(await yard.station.progress()))
        assert in_a_shell[-1] == "go on: stationmaster release prepare r1"
        await yard.pressed(report, "Resume prepare")
        await yard.station.dispatcher.tick()
        await yard.until(lambda: "Prepare of r1: done" in "\n".join(yard.thread()))
        assert RELEASE in shown(yard)


async def test_the_thread_of_a_second_prepare_is_told_from_the_first_by_its_name(unmerged: Yard) -> None:
    yard = unmerged
    async with yard.bot():
        for _ in range(2):
            await done(yard, await yard.olive.command(["release", "prepare"]))
            await yard.station.dispatcher.tick()
            await yard.settled()
        assert [thread["name"] for thread in yard.threads()] == ["🚂 prepare r1", "🚂 prepare r1 (2)"]
        await yard.pressed(await yard.offered(), "Ship it")
        await yard.until(lambda: len(yard.threads()) == 3)
        assert yard.threads()[-1]["name"] == "🚂 ship r1"
