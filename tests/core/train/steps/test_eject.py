"""Who cannot ride goes back to its builder with the paths; the rest ride on, and it happens once."""

from __future__ import annotations

from core.conversation import RemarkKind
from core.events import EventKind
from core.observations import Already, NotYet
from core.tasks import Stage
from core.train.queue import Ejection
from core.train.steps import Eject
from tests.core.train.test_power_cuts import cut_off
from tests.world.reviewing import HANDOFF
from tests.world.toy_train import ADA, OLIVE, RELEASE, Station, draft

STEP = Eject(
    release=RELEASE,
    ejection=Ejection(
        task="two", because="it conflicts in hub with what is ahead of it", conflicts={"hub": ("a.py", "b.py")}
    ),
)


async def opened(station: Station) -> None:
    await station.conductor.open(OLIVE, RELEASE, await station.reviewed(draft("one", "hub"), draft("two", "hub")))


async def assert_ejected_once(station: Station) -> None:
    page = await station.board.show(OLIVE, "two")
    assert (page.task.stage, page.task.release) == (Stage.REVIEWED, None)
    assert [move.to for move in page.moves][-2:] == [Stage.ASSEMBLED, Stage.REVIEWED]
    [remark] = [one for one in page.remarks if one.kind is RemarkKind.QA_FEEDBACK]
    assert remark.is_open and remark.author == "stationmaster"
    assert remark.body.splitlines() == [
        "Ejected from r1: it conflicts in hub with what is ahead of it.",
        "hub:",
        "- a.py",
        "- b.py",
    ]
    events = [one for one in await station.conductor.events(RELEASE, 0) if one.kind is EventKind.TASK_EJECTED]
    assert [(one.facts["task"], one.facts["why"]) for one in events] == [("two", STEP.ejection.because)]
    async with station.ports.records.reading() as tx:
        told = [
            one for one in await tx.events() if one.kind is EventKind.TASK_REMARKED and one.facts["said"] == remark.kind
        ]
    assert [(one.task, one.facts["remark"]) for one in told] == [("two", remark.id)]
    assert (await station.conductor.status(RELEASE)).release.members == ("one",)


async def test_the_builder_reads_the_paths_and_the_rest_ride_on(station: Station) -> None:
    await opened(station)
    assert await STEP.observe(station.ports, {}) == NotYet()
    await STEP.perform(station.ports, {})
    assert await STEP.observe(station.ports, {}) == Already()
    await STEP.perform(station.ports, {})
    await assert_ejected_once(station)


async def test_wherever_the_power_goes_it_is_ejected_once(station: Station) -> None:
    await opened(station)
    for cut in range(4):
        with cut_off(station.world, cut):
            await STEP.perform(station.ports, {})
    if await STEP.observe(station.ports, {}) == NotYet():
        await STEP.perform(station.ports, {})
    await assert_ejected_once(station)


async def test_who_comes_aboard_again_can_be_ejected_again(station: Station) -> None:
    await opened(station)
    await STEP.perform(station.ports, {})
    await station.board.handoff(ADA, "two", HANDOFF)
    await station.conductor.add(OLIVE, "two", RELEASE)
    assert await STEP.observe(station.ports, {}) == NotYet()
