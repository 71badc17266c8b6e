"""The record flips last, from evidence, all of it or nothing (spec 6.3, L26)."""

from __future__ import annotations

import pytest

from core.errors import Refused, StepFailed
from core.journal import RunState
from core.permissions import Face
from core.releases import ReleaseState
from core.tasks import Stage
from core.train.steps import Record
from tests.world.toy_train import OLIVE, RELEASE, WHOLE_TRAIN, Station


async def states(station: Station) -> tuple[ReleaseState, set[Stage]]:
    """The release and its members."""
    found = await station.conductor.status(RELEASE)
    return found.release.state, {task.stage for task in found.tasks}


async def test_the_board_says_shipped_only_after_production_has_it(assembled: Station) -> None:
    """L26: the board said shipped while the deployed tree lacked the change."""
    seen: list[tuple[ReleaseState, set[Stage]]] = []

    async def look() -> None:
        seen.append(await states(assembled))

    assembled.world.meanwhile |= {"deploy turf": look, "run hub": look, "smoke turf": look}
    assert (await assembled.shipped()).state is RunState.FINISHED
    assert seen == [(ReleaseState.ASSEMBLED, {Stage.ASSEMBLED})] * 3
    assert await states(assembled) == (ReleaseState.SHIPPED, {Stage.SHIPPED})


async def test_every_member_gets_its_row_in_the_timeline(assembled: Station) -> None:
    await assembled.shipped()
    for task in WHOLE_TRAIN:
        page = await assembled.board.show(OLIVE, task.slug)
        assert page.task.completed_at == page.moves[-1].at
        assert [(move.origin, move.to) for move in page.moves[-2:]] == [
            (Stage.REVIEWED, Stage.ASSEMBLED),
            (Stage.ASSEMBLED, Stage.SHIPPED),
        ]
        assert page.moves[-1].source == Face.ENGINE


async def test_a_record_that_cannot_be_written_flips_nothing_and_the_resume_flips_it_once(assembled: Station) -> None:
    world = assembled.world

    async def at_the_flip() -> None:
        async with assembled.ports.records.reading() as tx:
            about_to = any(entry.step == f"record:{RELEASE}" for entry in (await tx.entries(RELEASE)).values())
        if about_to:
            raise Refused("the database refuses", "database or disk is full", "try again")
        world.meanwhile["commit"] = at_the_flip

    world.meanwhile["smoke turf"] = lambda: world.meanwhile.update(commit=at_the_flip)
    ship = await assembled.shipped()
    assert ship.state is RunState.STOPPED
    assert "database or disk is full" in str(ship.reasons[0])
    assert await states(assembled) == (ReleaseState.ASSEMBLED, {Stage.ASSEMBLED})
    before = list(world.ledger)
    assert (await assembled.resumed()).state is RunState.FINISHED
    assert world.ledger == before, "nothing but the record was missing"
    assert [move.to for move in (await assembled.board.show(OLIVE, "pay")).moves].count(Stage.SHIPPED) == 1


async def test_without_evidence_of_every_step_the_record_stays_as_it_is(assembled: Station) -> None:
    """L25: a two-repository task shipped one repository."""
    step = Record(release=RELEASE, evidence=("deploy:hub", "deploy:turf"))
    with pytest.raises(StepFailed, match="no evidence of deploy:turf"):
        await step.perform(assembled.ports, {"deploy:hub": {}})
    assert await states(assembled) == (ReleaseState.ASSEMBLED, {Stage.ASSEMBLED})
