"""The tag follows the publication; whatever happens to it is a warning (spec 6.4)."""

from __future__ import annotations

import pytest

from core.errors import StepFailed, Unreachable
from core.journal import RunState
from core.train.progress import StepState
from tests.world.toy_train import RELEASE, Station

GONE = Unreachable("git does not answer", "the line is dead")


async def warned(station: Station) -> list[str]:
    """The steps that ended with a warning."""
    return [step.id for step in (await station.progress()).of(StepState.WARNED)]


@pytest.mark.parametrize("looks", [0, 3], ids=["and is not there", "and nobody can tell whether it is there"])
async def test_a_tag_that_fails_is_a_warning_in_the_report_and_the_notes(assembled: Station, looks: int) -> None:
    ship, world = await assembled.confirmed(), assembled.world

    def refused() -> None:
        world.fail("git money", *[GONE] * looks)
        raise StepFailed("v1.1.0 of money was not taken", "tags are protected")

    world.meanwhile["tag money"] = refused
    assert (await assembled.dispatcher.drive(ship)).state is RunState.FINISHED
    assert await warned(assembled) == ["tag:money"]
    [warning] = (await assembled.conductor.notes(RELEASE)).warnings
    assert "money" in warning


async def test_a_tag_that_names_another_commit_is_left_where_it_is(assembled: Station) -> None:
    world = assembled.world
    ship = await assembled.confirmed()
    elsewhere = world.refs["money", "main"]
    world.meanwhile["answer of publish money"] = lambda: world.tags.update({("money", "v1.1.0"): elsewhere})
    assert (await assembled.dispatcher.drive(ship)).state is RunState.FINISHED
    assert await warned(assembled) == ["tag:money"]
    assert world.tags["money", "v1.1.0"] == elsewhere


async def test_a_tag_that_failed_is_pushed_by_the_next_attempt(assembled: Station) -> None:
    world = assembled.world
    world.fail("tag money", StepFailed("v1.1.0 of money was not taken"))
    world.fail("run hub", StepFailed("rake exited with 3"))
    assert (await assembled.shipped()).state is RunState.STOPPED
    assert (await assembled.resumed()).state is RunState.FINISHED
    assert await warned(assembled) == []
    assert world.tags["money", "v1.1.0"] == assembled.frozen("money")
