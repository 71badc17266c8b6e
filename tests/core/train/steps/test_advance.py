"""Main is fast-forwarded to the commit that ships; every other relation has an answer of its own, and none is force."""

from __future__ import annotations

import pytest

from core.journal import ShipState
from core.registry import Sha
from core.train.progress import StepState
from tests.world.toy import World
from tests.world.toy_train import RELEASE, Station


def mains(world: World) -> Sha:
    """Where main of docs is."""
    return world.refs["docs", "main"]


async def after_main_moved_to(station: Station, main: Sha) -> ShipState:
    """Ship, while main of docs moves right after the confirmation."""
    ship = await station.confirmed()
    station.world.refs["docs", "main"] = main
    return (await station.dispatcher.drive(ship)).state


async def test_main_behind_is_fast_forwarded(assembled: Station) -> None:
    frozen = assembled.frozen("docs")
    assert (await assembled.shipped()).state is ShipState.FINISHED
    assert mains(assembled.world) == frozen
    assert [what for what in assembled.world.ledger if what[1] == "docs"] == [("push", "docs", "main", frozen)]


@pytest.mark.parametrize("relation", ["equal", "ahead"])
async def test_main_that_has_the_commit_already_is_left_alone(assembled: Station, relation: str) -> None:
    world, frozen = assembled.world, assembled.frozen("docs")
    main = frozen if relation == "equal" else world.commit({"next": b""}, frozen)
    assert await after_main_moved_to(assembled, main) is ShipState.FINISHED
    assert mains(world) == main
    assert not [what for what in world.ledger if what[1] == "docs"]
    assert "advance:docs" in [step.id for step in (await assembled.progress()).of(StepState.ALREADY)]


async def test_main_that_diverged_is_refused_with_advice_that_destroys_nothing(assembled: Station) -> None:
    """L36: advice would have destroyed two open pull requests."""
    world = assembled.world
    hotfix = world.commit({"hotfix": b""}, mains(world))
    assert await after_main_moved_to(assembled, hotfix) is ShipState.STOPPED
    assert mains(world) == hotfix
    [reason] = (await assembled.progress()).reasons
    assert reason.what == "main of docs has diverged"
    assert reason.next == "merge main into release, then release freeze"


async def test_a_commit_that_cannot_be_fetched_is_not_called_diverged(assembled: Station) -> None:
    assert await after_main_moved_to(assembled, Sha("f" * 40)) is ShipState.STOPPED
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
    assert (await assembled.shipped()).state is ShipState.STOPPED
    assert world.refs["hub", "main"] == hotfix
    assert not [what for what in world.ledger if what[0] == "deploy"]
    assert [reason.what for reason in (await assembled.progress()).reasons] == ["main of hub has diverged"]


async def test_a_repository_without_a_main_gets_one(assembled: Station) -> None:
    del assembled.world.refs["docs", "main"]
    assert (await assembled.shipped()).state is ShipState.FINISHED
    assert mains(assembled.world) == assembled.frozen("docs")


async def test_the_main_of_a_package_follows_its_publication(assembled: Station) -> None:
    assert (await assembled.shipped()).state is ShipState.FINISHED
    kinds = [what[:2] for what in assembled.world.ledger]
    for name in ("money", "ledger"):
        assert kinds.index(("publish", name)) < kinds.index(("push", name))
        assert assembled.world.refs[name, "main"] == assembled.frozen(name)
    assert (await assembled.conductor.status(RELEASE)).release.slug == RELEASE
