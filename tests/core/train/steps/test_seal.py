"""The seal is a verdict on production; whatever it says, it never fails a ship and never rolls back (spec 8)."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from core.errors import Refused, Unreachable
from core.journal import RunState, SealRecord, SealStatus
from core.ports import Waits
from core.train.dispatcher import Dispatcher
from core.train.progress import StepState
from tests.world.toy_train import OLIVE, RELEASE, Station, draft


async def seals(station: Station) -> dict[str, SealRecord]:
    """The newest seal of every app."""
    return {seal.app: seal for seal in (await station.conductor.status(RELEASE)).seals}


async def words_in_notes(station: Station) -> dict[str, str]:
    """What the notes say of the seals."""
    return {app.name: app.seal for app in (await station.conductor.notes(RELEASE)).apps}


async def test_a_green_seal_stands_in_the_record_the_notes_and_the_deployments(assembled: Station) -> None:
    assert (await assembled.shipped()).state is RunState.FINISHED
    assert {name: seal.status for name, seal in (await seals(assembled)).items()} == {
        "hub": SealStatus.GREEN,
        "turf": SealStatus.GREEN,
    }
    assert (await words_in_notes(assembled))["hub"] == "green: 1 check"
    shown = {one.app.name: one.seal and one.seal.status for one in await assembled.conductor.deployments()}
    assert shown == {"turf": SealStatus.GREEN, "hub": SealStatus.GREEN, "docs": None}


async def test_a_red_seal_ships_all_the_same_and_says_how_to_roll_back(assembled: Station) -> None:
    """Spec 8.4; L47: the advice comes from the target, after the deploy."""
    assembled.world.red_sites = {"turf"}
    assert (await assembled.shipped()).state is RunState.FINISHED
    seal = (await seals(assembled))["turf"]
    assert (seal.status, seal.rollback) == (SealStatus.RED, ("toy rollback turf",))
    assert (await seals(assembled))["hub"].rollback == ()
    [step] = [one for one in (await assembled.progress()).steps if one.id == "seal:turf"]
    assert (step.facts["status"], step.facts["rollback"]) == ("red", "toy rollback turf")
    assert assembled.world.running["turf"] == assembled.frozen("turf"), "nothing was rolled back"


@pytest.mark.parametrize("error", [FileNotFoundError("chromium"), Unreachable("turf does not answer")])
async def test_a_seal_that_cannot_be_had_leaves_no_ship_stuck(assembled: Station, error: Exception) -> None:
    """L44: a missing script raised between deploy and record: no notes, a stuck release."""
    assembled.world.fail("smoke turf", error)
    assert (await assembled.shipped()).state is RunState.FINISHED
    seal = (await seals(assembled))["turf"]
    assert seal.status is SealStatus.UNSEALED
    assert str(error) in seal.summary
    assert str(error) in (await words_in_notes(assembled))["turf"]


async def test_a_check_that_hangs_leaves_no_ship_stuck(assembled: Station) -> None:
    hasty = Waits(seal_seconds=0.01)
    assembled.ports = msgspec.structs.replace(assembled.ports, waits=hasty)
    assembled.world.meanwhile["smoke turf"] = asyncio.Event().wait
    ship = await assembled.confirmed()
    async with asyncio.timeout(10):
        assert (await Dispatcher(assembled.ports, "the test").drive(ship)).state is RunState.FINISHED
    seal = (await seals(assembled))["turf"]
    assert (seal.status, seal.summary) == (
        SealStatus.UNSEALED,
        "not sealed: the check of turf came to no end: cut off after 0.1 s",
    )


async def test_a_seal_that_cannot_be_written_down_is_a_warning(assembled: Station) -> None:
    """L31: a cosmetic write on the critical path killed a ship."""
    busy = Refused("the record was busy for too long")
    assembled.world.meanwhile["smoke turf"] = lambda: assembled.world.fail("commit", busy)
    assert (await assembled.shipped()).state is RunState.FINISHED
    [warned] = (await assembled.progress()).of(StepState.WARNED)
    assert warned.reasons == busy.reasons


async def test_a_seal_of_an_older_train_is_no_verdict_on_a_newer_commit(assembled: Station) -> None:
    """Between the deploy and its seal, nothing vouches for what runs."""
    world = assembled.world
    assert (await assembled.shipped()).state is RunState.FINISHED
    world.refs["turf", "release"] = newer = world.commit({"new": b""}, world.refs["turf", "release"])
    await assembled.conductor.open(OLIVE, "r2", await assembled.reviewed(draft("odds", "turf")))
    await assembled.conductor.freeze(OLIVE, "r2")
    offer = await assembled.conductor.offer(OLIVE, "r2")
    shown: list[tuple[str | None, SealRecord | None]] = []

    async def look() -> None:
        shown.extend((one.sha, one.seal) for one in await assembled.conductor.deployments() if one.app.name == "turf")

    world.meanwhile["smoke turf"] = look
    ship = await assembled.conductor.ship(OLIVE, "r2", offer.proposal.digest)
    assert (await assembled.dispatcher.drive(ship.id)).state is RunState.FINISHED
    assert shown == [(newer, None)]


async def test_an_app_without_a_production_address_is_not_sealed(assembled: Station) -> None:
    assert (await assembled.shipped()).state is RunState.FINISHED
    assert (await words_in_notes(assembled))["docs"] == "not sealed: no production address"
    assert "seal:docs" not in {step.id for step in (await assembled.progress()).of(*StepState)}
