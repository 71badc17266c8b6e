"""What the loop does when things go wrong on the way; a resume repeats nothing and finishes (spec 6.8, 6.9)."""

from __future__ import annotations

import asyncio

import pytest

from core.errors import StepFailed, Unreachable
from core.journal import ShipState
from core.train.progress import StepState
from tests.world.toy import Kill
from tests.world.toy_train import Station


async def test_a_record_that_cannot_be_read_for_a_moment_cuts_off_no_deploy(assembled: Station) -> None:
    """L31: looking for a cancel is no reason to end what runs."""
    world = assembled.world

    async def while_it_deploys() -> None:
        world.failing["read"] = Unreachable("the database does not answer")
        async with asyncio.timeout(5):
            while "read" in world.failing:
                await asyncio.sleep(0.01)

    world.meanwhile["deploy hub"] = while_it_deploys
    assert (await assembled.shipped()).state is ShipState.FINISHED
    assert [what for what in world.ledger if what[:2] == ("deploy", "hub")] == [("deploy", "hub", world.running["hub"])]


async def test_a_failure_before_a_power_cut_is_still_a_failure_after_it(assembled: Station) -> None:
    """Abort on the first failure (spec 6.8): whoever takes the ship over does not run the failed command again."""
    world = assembled.world

    def the_power_goes_before_the_ship_is_stopped() -> None:
        writes = iter(["check", "journal"])
        world.power = lambda point: point != "ask commit" or next(writes, None) is not None

    world.failing["answer of run hub"] = StepFailed("rake exited with 3")
    world.meanwhile["answer of run hub"] = the_power_goes_before_the_ship_is_stopped
    with pytest.raises(Kill):
        await assembled.shipped()
    world.power = lambda point: True
    assert (await assembled.progress()).state is ShipState.RUNNING
    await assembled.dispatcher.tick()
    progress = await assembled.progress()
    assert progress.state is ShipState.STOPPED
    assert [reason.what for reason in progress.reasons] == ["rake exited with 3"]
    assert [what for what in world.ledger if what[0] == "run"] == [("run", "hub", "rake", "seed seats")]
    assert (await assembled.resumed()).state is ShipState.FINISHED


async def test_a_look_that_breaks_in_an_unforeseen_way_stops_the_ship_and_says_so(assembled: Station) -> None:
    """It must not run against the same wall at every tick, shipping for ever, with nobody told."""
    ship = await assembled.confirmed()
    assembled.world.fail("git turf", *[OSError("too many open files")] * assembled.ports.waits.look_tries)
    stopped = await assembled.dispatcher.drive(ship)
    assert stopped.state is ShipState.STOPPED
    assert "OSError: too many open files" in str(stopped.reasons[0])
    assert [step.id for step in (await assembled.progress()).of(StepState.FAILED)] == ["repin:turf"]
    assert (await assembled.resumed()).state is ShipState.FINISHED


async def test_a_look_that_breaks_once_is_only_asked_again(assembled: Station) -> None:
    ship = await assembled.confirmed()
    assembled.world.fail("git turf", OSError("too many open files"))
    assert (await assembled.dispatcher.drive(ship)).state is ShipState.FINISHED
