"""Publishing: exactly once, exactly the frozen bytes, dependencies first, and installable before anybody needs it."""

from __future__ import annotations

import pytest

from core.errors import Refused, StepFailed, Unreachable
from core.journal import RunState
from core.train.progress import StepState
from tests.world.toy_train import RELEASE, Station, draft

SILENT = Unreachable("the registry does not answer", "the line is dead")
CONSUMERS = ["repin:hub", "repin:turf", "gate:hub", "gate:docs"]


def published(station: Station) -> list[str]:
    """The packages that went out, in order, each time they did."""
    return [what[1] for what in station.world.ledger if what[0] == "publish"]


async def ids(station: Station, *states: StepState) -> list[str]:
    """The steps in these states."""
    return [step.id for step in (await station.progress()).of(*states)]


async def test_a_publish_whose_answer_got_lost_is_not_repeated(assembled: Station) -> None:
    """L11: a publish that failed may have worked."""
    assembled.world.fail("answer of publish money", SILENT)
    assert (await assembled.shipped()).state is RunState.FINISHED
    assert published(assembled) == ["money", "ledger"]


async def test_when_the_answer_got_lost_and_the_registry_went_silent_nobody_can_tell(assembled: Station) -> None:
    world = assembled.world
    world.fail("answer of publish money", SILENT)
    world.meanwhile["publish money"] = lambda: world.silent.add("registry")
    assert (await assembled.shipped()).state is RunState.ASKING
    assert await ids(assembled, StepState.UNKNOWN) == ["publish:money"]
    assert (await assembled.resumed()).state is RunState.ASKING, "it still does not answer"
    world.silent.clear()
    assert (await assembled.resumed()).state is RunState.FINISHED
    assert published(assembled) == ["money", "ledger"]


async def test_a_registry_that_went_silent_after_the_confirmation_stops_before_the_irreversible(
    assembled: Station,
) -> None:
    """L11: cannot tell is never "not published"."""
    ship = await assembled.confirmed()
    assembled.world.silent = {"registry"}
    assert (await assembled.dispatcher.drive(ship)).state is RunState.STOPPED
    assert assembled.world.ledger == []
    progress = await assembled.progress()
    assert progress.live == ()
    assert progress.reasons[0].what == "cannot tell whether to publish money 1.1.0"
    assembled.world.silent.clear()
    assert (await assembled.resumed()).state is RunState.FINISHED


@pytest.mark.parametrize("spent", ["taken", "yanked"])
async def test_a_number_that_was_spent_after_the_confirmation_is_a_hard_stop(assembled: Station, spent: str) -> None:
    """Foreign bytes at our number: none of five tools noticed."""
    world, place = assembled.world, ("ledger", "2.0.0")

    def spend() -> None:
        if spent == "taken":
            world.published[place] = {"ledger-2.0.0.pkg": "of somebody else"}
        else:
            world.yanked.add(place)

    world.meanwhile["publish ledger"] = spend
    ship = await assembled.shipped()
    assert ship.state is RunState.STOPPED
    assert "ledger 2.0.0" in ship.reasons[0].what
    assert published(assembled) == ["money"]
    assert (await assembled.progress()).live == ("money 1.1.0",)
    assert set(CONSUMERS) <= set(await ids(assembled, StepState.WAITING))
    assert (await assembled.resumed()).state is RunState.STOPPED, "a resume cannot help"
    assert published(assembled) == ["money"]


async def test_consumers_wait_until_a_published_package_can_be_installed(assembled: Station) -> None:
    """L14: published, visible, and yet not installable for minutes."""
    assembled.world.meanwhile["answer of publish ledger"] = lambda: setattr(assembled.world, "propagation", 9)
    assert (await assembled.shipped()).state is RunState.FINISHED
    assert assembled.world.impossible == []


async def test_a_package_that_stays_uninstallable_stops_the_train_and_the_resume_only_goes_on_waiting(
    assembled: Station,
) -> None:
    world = assembled.world
    world.meanwhile["answer of publish money"] = lambda: setattr(world, "propagation", 10_000)
    ship = await assembled.shipped()
    assert ship.state is RunState.STOPPED
    assert ship.reasons[0].what == "money 1.1.0 is published but not installable"
    assert "ledger" not in published(assembled), "what needs it does not go out"
    world.propagation = 3
    assert (await assembled.resumed()).state is RunState.FINISHED
    assert published(assembled) == ["money", "ledger"]


async def test_an_index_that_is_silent_for_a_moment_proves_nothing(assembled: Station) -> None:
    world = assembled.world
    world.meanwhile["answer of publish money"] = lambda: world.fail("index", SILENT, SILENT)
    assert (await assembled.shipped()).state is RunState.FINISHED


async def test_a_publish_that_fails_for_a_moment_is_tried_again(assembled: Station) -> None:
    assembled.world.fail("publish money", StepFailed("502 Bad Gateway"), SILENT)
    assert (await assembled.shipped()).state is RunState.FINISHED
    assert published(assembled) == ["money", "ledger"]


@pytest.mark.parametrize(
    ("package", "live"), [("money", ()), ("ledger", ("money 1.1.0",))], ids=["the first", "the second"]
)
async def test_a_publish_that_is_refused_stops_the_train_and_says_what_is_live(
    assembled: Station, package: str, live: tuple[str, ...]
) -> None:
    """Partial publish without a clean resume: what every other tool suffers from."""
    assembled.world.fail(f"publish {package}", Refused(f"you may not publish {package}", "403", "ask an owner"))
    ship = await assembled.shipped()
    assert [reason.what for reason in ship.reasons] == [f"you may not publish {package}"]
    assert (await assembled.progress()).live == live
    assert await ids(assembled, StepState.FAILED) == [f"publish:{package}"]
    assert set(CONSUMERS) <= set(await ids(assembled, StepState.WAITING))
    assert (await assembled.resumed()).state is RunState.FINISHED
    assert published(assembled) == ["money", "ledger"]


async def test_packages_of_one_level_finish_side_by_side_when_one_of_them_fails(station: Station) -> None:
    """Spec 6.8: nothing more is started, and what is running finishes."""
    world = station.world
    world.refs["ledger", "release"] = world.commit({"VERSION": b"2.0.0", "code.py": b"l"}, world.refs["ledger", "main"])
    world.requires = {}
    await station.prepared(draft("pay", "money", "ledger"))

    def refused() -> None:
        assert "before ('publish', 'money', '1.1.0')" not in world.points, "they do not wait for each other"
        raise Refused("you may not publish ledger")

    world.meanwhile["publish ledger"] = refused
    assert (await station.shipped()).state is RunState.STOPPED
    assert published(station) == ["money"]
    assert await ids(station, StepState.FAILED) == ["publish:ledger"]
    assert (await station.progress()).live == ("money 1.1.0",)
    assert "tag:money" in await ids(station, StepState.WAITING)
    assert (await station.resumed()).state is RunState.FINISHED
    assert published(station) == ["money", "ledger"]
    assert ("money", "v1.1.0") in world.tags


async def test_what_is_published_are_the_frozen_bytes(assembled: Station) -> None:
    """Spec 5.5."""
    frozen = {one.repository: one for one in (await assembled.conductor.status(RELEASE)).release.frozen}
    assert (await assembled.shipped()).state is RunState.FINISHED
    for name, version in (("money", "1.1.0"), ("ledger", "2.0.0")):
        [artefact] = frozen[name].artefacts
        assert assembled.world.published[name, version] == {artefact.filename: artefact.sha256}
