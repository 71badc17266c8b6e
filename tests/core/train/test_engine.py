"""What the loop does when things go wrong on the way; a resume repeats nothing and finishes (spec 6.8, 6.9)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from adapters.database.leases import LeaseTimes
from adapters.database.records import Database
from core.errors import LeaseLost, Refused, StepFailed, Unreachable
from core.events import EventKind
from core.journal import RunState
from core.registry import App, Package
from core.train.progress import StepState
from tests.world.toy import Kill, World
from tests.world.toy_record import database_in
from tests.world.toy_train import RELEASE, TARGET, Station, draft, lay_out, registry_of
from tests.world.waiting import until

NEVER = LeaseTimes(beat=1000, stop=1000, takeover=1000)
AT_ONCE = LeaseTimes(takeover=0)


@pytest.fixture
async def heir(assembled: Station, folder: Path) -> AsyncGenerator[Station]:
    """Another process in the same world, with the same record, that takes a silent one for dead at once."""
    database = database_in(folder, AT_ONCE)
    yield Station(assembled.world, database, folder)
    await database.close()


def assert_each_effect_once(world: World) -> None:
    assert {what: count for what, count in Counter(world.ledger).items() if count > 1} == {}
    assert world.impossible == []


async def test_a_record_that_cannot_be_read_for_a_moment_cuts_off_no_deploy(assembled: Station) -> None:
    """L31: looking for a cancel is no reason to end what runs."""
    world = assembled.world

    async def while_it_deploys() -> None:
        world.failing["read"] = Unreachable("the database does not answer")
        await until(lambda: "read" not in world.failing)

    world.meanwhile["deploy hub"] = while_it_deploys
    assert (await assembled.shipped()).state is RunState.FINISHED
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
    assert (await assembled.progress()).state is RunState.RUNNING
    await assembled.dispatcher.tick()
    progress = await assembled.progress()
    assert progress.state is RunState.STOPPED
    assert [reason.what for reason in progress.reasons] == ["rake exited with 3"]
    assert [what for what in world.ledger if what[0] == "run"] == [("run", "hub", "rake", "seed seats")]
    assert (await assembled.resumed()).state is RunState.FINISHED


async def test_a_look_that_breaks_in_an_unforeseen_way_stops_the_ship_and_says_so(assembled: Station) -> None:
    """It must not run against the same wall at every tick, shipping for ever, with nobody told."""
    ship = await assembled.confirmed()
    assembled.world.fail("git turf", *[OSError("too many open files")] * assembled.ports.waits.look_tries)
    stopped = await assembled.dispatcher.drive(ship)
    assert stopped.state is RunState.STOPPED
    assert "OSError: too many open files" in str(stopped.reasons[0])
    assert [step.id for step in (await assembled.progress()).of(StepState.FAILED)] == ["repin:turf"]
    assert (await assembled.resumed()).state is RunState.FINISHED


async def test_a_look_that_breaks_once_is_only_asked_again(assembled: Station) -> None:
    ship = await assembled.confirmed()
    assembled.world.fail("git turf", OSError("too many open files"))
    assert (await assembled.dispatcher.drive(ship)).state is RunState.FINISHED


# ── side by side, and one after the other ──────────────────────────────────────────────────────────────────────────


async def test_gates_run_side_by_side(assembled: Station) -> None:
    docs_runs = asyncio.Event()
    assembled.world.meanwhile |= {"gate hub": docs_runs.wait, "gate docs": docs_runs.set}
    async with asyncio.timeout(5):
        assert (await assembled.shipped()).state is RunState.FINISHED


async def test_satellites_go_one_at_a_time(station: Station, folder: Path, database: Database) -> None:
    names = ["hub", "a", "b", "c"]
    apps = registry_of([], [App(name=name, url="x", hub=name == "hub", prod_deploy=TARGET) for name in names])
    lay_out(station.world, apps, {name: {"app.rb": name.encode()} for name in names})
    fleet = Station(station.world, database, folder, apps)
    await fleet.prepared(draft("all", *names))
    assert (await fleet.shipped()).state is RunState.FINISHED
    begun = [event.step for event in await fleet.conductor.events(RELEASE, 0) if event.kind is EventKind.STEP_STARTED]
    assert begun[: len(names) * 2] == [step for name in names for step in (f"advance:{name}", f"deploy:{name}")]


async def test_every_step_is_told_in_order_with_its_outcome(station: Station) -> None:
    world = station.world
    world.refs["turf", "release"] = world.commit({"app.rb": b"new"}, world.refs["turf", "main"])
    await station.prepared(draft("odds", "turf"))
    world.fail("deploy turf", StepFailed("script/deploy exited with 1", "log ends here", "look"))
    assert (await station.shipped()).state is RunState.STOPPED
    assert (await station.resumed()).state is RunState.FINISHED
    events = [
        event for event in await station.conductor.events(RELEASE, 0) if event.step or event.kind.startswith("run")
    ]
    assert [(str(event.kind), event.step, event.facts.get("attempt")) for event in events] == [
        ("run confirmed", "", None),
        ("step started", "advance:turf", 1),
        ("step done", "advance:turf", 1),
        ("step started", "deploy:turf", 1),
        ("step failed", "deploy:turf", 1),
        ("run stopped", "", 1),
        ("run resumed", "", 2),
        ("step adopted", "advance:turf", 2),
        ("step started", "deploy:turf", 2),
        ("step done", "deploy:turf", 2),
        ("step started", "seal:turf", 2),
        ("step done", "seal:turf", 2),
        ("step started", "record:r1", 2),
        ("step done", "record:r1", 2),
        ("run finished", "", 2),
    ]
    assert events[4].facts["reasons"] == ["script/deploy exited with 1 — log ends here — look"]


async def test_a_secret_in_what_went_wrong_is_masked_wherever_it_is_kept(assembled: Station) -> None:
    """What users of other tools suffer from: secrets in output (npm/cli#7819)."""
    assembled.world.fail("deploy hub", StepFailed("push to https://x:hunter2@git failed", "hunter2", "hunter2"))
    ship = await assembled.shipped()
    kept = [ship.reasons, await assembled.progress(), await assembled.conductor.events(RELEASE, 0)]
    assert "hunter2" not in repr(kept)
    assert ship.reasons[0].what == "push to https://x:••••@git failed"


async def test_a_train_of_forty_repositories_ships(station: Station, folder: Path, database: Database) -> None:
    packages = [Package(name=f"p{n}", url="x", ecosystem="toy", version_file="VERSION") for n in range(10)]
    apps = [App(name=f"a{n}", url="x", hub=n == 7, prod_deploy=TARGET if n % 3 else None) for n in range(30)]
    files = {
        f"p{n}": {"VERSION": b"1.0.0", "code.py": b"%d" % n, "needs.txt": b"p%d==1.0.0\n" % (n - 3) if n > 2 else b""}
        for n in range(10)
    } | {f"a{n}": {"needs.txt": b"p%d@release\n" % (n % 10)} for n in range(30)}
    everything = registry_of(list(reversed(packages)), apps)
    lay_out(station.world, everything, files)
    forty = Station(station.world, database, folder, everything)
    await forty.prepared(draft("all", *files))
    station.world.fail("deploy a20", StepFailed("a20 exited with 1"))
    assert (await forty.shipped()).state is RunState.STOPPED
    assert (await forty.resumed()).state is RunState.FINISHED
    assert_each_effect_once(station.world)
    assert sum(what[0] == "publish" for what in station.world.ledger) == 10
    assert sum(what[0] == "deploy" for what in station.world.ledger) == 20


# ── several processes ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_two_processes_drive_one_train_once(assembled: Station, neighbour: Station) -> None:
    """Spec 6.10: the second one is told who holds the train and since when."""
    ship = await assembled.confirmed()
    both = await asyncio.gather(
        assembled.dispatcher.drive(ship), neighbour.dispatcher.drive(ship), return_exceptions=True
    )
    [refused] = [one for one in both if isinstance(one, Refused)]
    assert refused.reasons[0].what == "the test holds the train"
    assert refused.reasons[0].why.startswith("since 20")
    assert (await assembled.progress()).state is RunState.FINISHED
    assert_each_effect_once(assembled.world)


@pytest.mark.parametrize("asleep_at", ["git turf", "gate hub", "publish money", "platform hub"])
async def test_a_stale_process_that_wakes_up_after_a_takeover_changes_nothing_more(
    assembled: Station, heir: Station, folder: Path, asleep_at: str
) -> None:
    """L32: a lease is fenced; who lost it stops itself."""
    world, database = assembled.world, database_in(folder, NEVER)
    stale = Station(world, database, folder)
    ship = await stale.confirmed()
    left: list[object] = []

    async def the_world() -> tuple[object, ...]:
        return await heir.progress(), await heir.conductor.events(RELEASE, 0), dict(world.refs)

    async def asleep() -> None:
        await heir.dispatcher.tick()
        left.append(await the_world())

    world.meanwhile[asleep_at] = asleep
    with pytest.raises(LeaseLost):
        await stale.dispatcher.drive(ship)
    await database.close()
    assert left == [await the_world()]
    assert (await heir.progress()).state is RunState.FINISHED
    assert_each_effect_once(world)
