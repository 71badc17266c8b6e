"""Gates: on the commit that ships, before it moves; a green of ours is adopted, and nothing else is (spec 6.6)."""

from __future__ import annotations

import msgspec
import pytest

from adapters.database.records import Database
from core.errors import StepFailed
from core.journal import RunState
from core.registry import Argv, Sha
from core.train.progress import StepState
from tests.world.toy_train import OLIVE, RELEASE, Station, registry_of


def runs(station: Station, name: str) -> int:
    """How often the gate of a repository ran."""
    return station.world.points.count(f"ask gate {name}")


async def is_green(station: Station, name: str, commit: Sha, argv: Argv) -> bool | None:
    """What the record says of a gate on exactly this commit and command."""
    async with station.ports.records.reading() as tx:
        found = await tx.evidence(name, commit, argv)
    return found and found.green


async def test_the_gate_sees_the_commit_that_ships(assembled: Station) -> None:
    """L19, L37: production ran a lock that no gate had seen."""
    frozen = assembled.frozen("hub")
    assert (await assembled.shipped()).state is RunState.FINISHED
    assert await is_green(assembled, "hub", assembled.world.running["hub"], ("test", "hub")) is True
    assert await is_green(assembled, "hub", frozen, ("test", "hub")) is None


async def test_a_red_release_check_stops_before_the_first_publish(assembled: Station) -> None:
    """L16: validate every package first, then publish any."""
    assembled.world.red_gates = {"ledger"}
    ship = await assembled.shipped()
    assert ship.state is RunState.STOPPED
    assert assembled.world.ledger == []
    assert ship.reasons[0].what == "the gate of ledger is red"


@pytest.mark.parametrize("name", ["hub", "docs"])
async def test_a_red_gate_stops_before_any_app_moves(assembled: Station, name: str) -> None:
    world = assembled.world
    world.red_gates = {name}
    mains = {app: world.refs[app, "main"] for app in ("hub", "turf", "docs")}
    assert (await assembled.shipped()).state is RunState.STOPPED
    assert {app: world.refs[app, "main"] for app in mains} == mains
    assert not [what for what in world.ledger if what[0] == "deploy"]
    progress = await assembled.progress()
    assert [step.id for step in progress.of(StepState.FAILED)] == [f"gate:{name}"]
    world.red_gates = set()
    assert (await assembled.resumed()).state is RunState.FINISHED
    assert runs(assembled, name) == 2, "red was no verdict for ever"


async def test_a_green_gate_of_ours_is_adopted_by_the_resume(assembled: Station) -> None:
    assembled.world.fail("deploy hub", StepFailed("hub does not serve"))
    assert (await assembled.shipped()).state is RunState.STOPPED
    assert (await assembled.resumed()).state is RunState.FINISHED
    assert (runs(assembled, "hub"), runs(assembled, "docs"), runs(assembled, "ledger")) == (1, 1, 1)
    assert "gate:hub" in [step.id for step in (await assembled.progress()).of(StepState.ALREADY)]


async def test_a_green_of_another_command_or_commit_is_nobodys_evidence(assembled: Station, database: Database) -> None:
    """L53: the evidence was a tag that somebody typed."""
    assembled.world.fail("deploy hub", StepFailed("hub does not serve"))
    assert (await assembled.shipped()).state is RunState.STOPPED
    reg = assembled.registry
    hub = msgspec.structs.replace(reg.apps["hub"], test_cmd=("test", "--all", "hub"))
    stricter = registry_of(list(reg.packages.values()), list({**reg.apps, "hub": hub}.values()))
    station = Station(assembled.world, database, assembled.ports.scratch, stricter)
    assert (await station.shipped()).state is RunState.FINISHED
    assert runs(assembled, "hub") == 2
    assert await is_green(station, "hub", assembled.world.running["hub"], ("test", "--all", "hub")) is True


@pytest.mark.parametrize("trouble", [StepFailed("the gate took longer than 3600 s"), OSError("disk full")])
async def test_a_gate_that_never_ended_is_no_verdict(assembled: Station, trouble: Exception) -> None:
    assembled.world.fail("gate hub", trouble)
    ship = await assembled.shipped()
    assert ship.state is RunState.STOPPED
    assert str(trouble) in str(ship.reasons[0])
    release = (await assembled.conductor.status(RELEASE)).release
    assert release.is_active
    assert await is_green(assembled, "hub", assembled.world.refs["hub", "release"], ("test", "hub")) is None
    assert (await assembled.resumed()).state is RunState.FINISHED


async def test_what_a_gate_saw_stands_in_the_checks_of_the_tasks_in_that_commit_which_it_names_once(
    assembled: Station,
) -> None:
    """L53: evidence was a tag that somebody typed."""
    assembled.world.red_gates = {"docs"}
    await assembled.shipped()
    assembled.world.red_gates = set()
    await assembled.resumed()
    sha = assembled.frozen("docs")
    lines = [check for check in (await assembled.board.show(OLIVE, "words")).checks if check.machine]
    assert [(check.text, check.commit, check.by) for check in lines] == [
        (f"[gate] test docs: {verdict}", sha, "stationmaster") for verdict in ("red", "green")
    ]
    other = (await assembled.board.show(OLIVE, "pay")).checks
    assert not [check for check in other if "test docs" in check.text]


async def test_a_green_gate_that_is_adopted_is_not_written_down_twice(assembled: Station) -> None:
    assembled.world.fail("deploy hub", StepFailed("hub does not serve"))
    await assembled.shipped()
    await assembled.resumed()
    checks = [check.text for check in (await assembled.board.show(OLIVE, "words")).checks if check.machine]
    assert len(checks) == 1
