"""Main is fast-forwarded to the commit that ships; every other relation has an answer of its own, and none is force."""

from __future__ import annotations

import pytest

from core.errors import StepFailed
from core.journal import RunState
from core.registry import Sha
from core.train.progress import StepState
from tests.world.toy import World
from tests.world.toy_train import RELEASE, Station


def mains(world: World) -> Sha:
    """Where main of docs is."""
    return world.refs["docs", "main"]


async def after_main_moved_to(station: Station, main: Sha) -> RunState:
    """Ship, while main of docs moves right after the confirmation."""
    ship = await station.confirmed()
    station.world.refs["docs", "main"] = main
    return (await station.dispatcher.drive(ship)).state


async def test_main_behind_is_fast_forwarded(assembled: Station) -> None:
    frozen = assembled.frozen("docs")
    assert (await assembled.shipped()).state is RunState.FINISHED
    assert mains(assembled.world) == frozen
    assert [what for what in assembled.world.ledger if what[1] == "docs"] == [("push", "docs", "main", frozen)]


async def test_main_that_is_at_the_commit_already_is_left_alone(assembled: Station) -> None:
    world, frozen = assembled.world, assembled.frozen("docs")
    assert await after_main_moved_to(assembled, frozen) is RunState.FINISHED
    assert mains(world) == frozen
    assert not [what for what in world.ledger if what[1] == "docs"]
    assert "advance:docs" in [step.id for step in (await assembled.progress()).of(StepState.ALREADY)]


@pytest.mark.parametrize("name", ["turf", "money"])
async def test_a_main_that_moved_past_the_frozen_commit_is_not_taken_back_to_it(assembled: Station, name: str) -> None:
    """Older code went to production without a word."""
    world, frozen = assembled.world, assembled.frozen(name)
    world.refs[name, "main"] = world.commit({"next": b""}, frozen)
    [problem] = (await assembled.conductor.plan(RELEASE)).problems
    assert problem.what == f"main of {name} already contains {frozen[:7]} and more"
    assert problem.next == "merge main into release, then release prepare"


async def test_a_main_that_moved_past_the_frozen_commit_after_the_confirmation_stops_the_ship(
    assembled: Station,
) -> None:
    world, frozen = assembled.world, assembled.frozen("docs")
    newer = world.commit({"next": b""}, frozen)
    assert await after_main_moved_to(assembled, newer) is RunState.STOPPED
    assert mains(world) == newer
    assert [reason.what for reason in (await assembled.progress()).reasons] == [
        f"main of docs already contains {frozen[:7]} and more"
    ]


@pytest.mark.parametrize("glitch", [False, True], ids=["at once", "after a look that failed"])
async def test_what_was_built_on_our_own_advance_does_not_stop_the_resume_and_is_told(
    assembled: Station, glitch: bool
) -> None:
    world = assembled.world
    world.fail("deploy turf", StepFailed("turf exited with 1"))
    assert (await assembled.shipped()).state is RunState.STOPPED
    ours = world.refs["turf", "main"]
    world.refs["turf", "main"] = newer = world.commit({"next": b""}, ours)
    if glitch:
        world.meanwhile["platform hub"] = lambda: world.silent.add("git turf")
        assert (await assembled.resumed()).state is RunState.STOPPED
        world.silent = set()
    assert (await assembled.conductor.plan(RELEASE)).problems == ()
    assert (await assembled.resumed()).state is RunState.FINISHED
    assert (world.running["turf"], world.refs["turf", "main"]) == (ours, newer)
    assert f"main of turf {ours[:7]}, and {newer[:7]} was built on it since" in (await assembled.progress()).live


async def test_main_that_diverged_is_refused_with_advice_that_destroys_nothing(assembled: Station) -> None:
    """L36: advice would have destroyed two open pull requests."""
    world = assembled.world
    hotfix = world.commit({"hotfix": b""}, mains(world))
    assert await after_main_moved_to(assembled, hotfix) is RunState.STOPPED
    assert mains(world) == hotfix
    [reason] = (await assembled.progress()).reasons
    assert reason.what == "main of docs has diverged"
    assert reason.next == "merge main into release, then release prepare"


async def test_a_commit_that_cannot_be_fetched_is_not_called_diverged(assembled: Station) -> None:
    assert await after_main_moved_to(assembled, Sha("f" * 40)) is RunState.STOPPED
    [reason] = (await assembled.progress()).reasons
    assert reason.what == "cannot tell whether to advance main of docs"
    assert mains(assembled.world) == "f" * 40


async def test_a_push_to_main_right_before_ours_is_not_overwritten(assembled: Station) -> None:
    """L34: a failed push of main did not stop the deploy."""
    world = assembled.world
    hotfix = world.commit({"hotfix": b""}, world.refs["hub", "main"])

    def somebody_pushes() -> None:
        world.refs["hub", "main"] = hotfix

    world.meanwhile["gate hub"] = lambda: world.meanwhile.update({"push hub": somebody_pushes})
    assert (await assembled.shipped()).state is RunState.STOPPED
    assert world.refs["hub", "main"] == hotfix
    assert not [what for what in world.ledger if what[0] == "deploy"]
    assert [reason.what for reason in (await assembled.progress()).reasons] == ["main of hub has diverged"]


async def test_a_repository_without_a_main_gets_one(assembled: Station) -> None:
    del assembled.world.refs["docs", "main"]
    assert (await assembled.shipped()).state is RunState.FINISHED
    assert mains(assembled.world) == assembled.frozen("docs")


async def test_the_main_of_a_package_follows_its_publication(assembled: Station) -> None:
    assert (await assembled.shipped()).state is RunState.FINISHED
    kinds = [what[:2] for what in assembled.world.ledger]
    for name in ("money", "ledger"):
        assert kinds.index(("publish", name)) < kinds.index(("push", name))
        assert assembled.world.refs[name, "main"] == assembled.frozen(name)
    assert (await assembled.conductor.status(RELEASE)).release.slug == RELEASE
