"""The power goes at arbitrary touches of the world; afterwards every effect is there exactly once, and in order."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.database.records import Database
from core.conductor import Answer
from core.journal import ShipState
from core.releases import ReleaseState
from core.tasks import Stage
from core.train.progress import StepState
from tests.world.toy import Kill, World
from tests.world.toy_train import OLIVE, RELEASE, WHOLE_TRAIN, Station, lay_out

UNDISTURBED = 200
"""More touches than a ship has that nobody disturbs."""

# The journal is written with a flush to the disk each time; memory has no slow ones.
FAST = "/dev/shm" if Path("/dev/shm").is_dir() else None


@pytest.fixture(scope="module")
def prepared() -> Iterator[Path]:
    """A folder with the database of an assembled train; every series starts from a copy of it."""
    folder = Path(tempfile.mkdtemp(dir=FAST))
    asyncio.run(_prepare(folder))
    yield folder
    shutil.rmtree(folder)


async def _prepare(folder: Path) -> None:
    world = World()
    lay_out(world)
    database = await _opened(folder)
    await database.upgrade()
    await Station(world, database, folder).prepared(*WHOLE_TRAIN)
    await database.close()


async def _opened(folder: Path) -> Database:
    database = Database(f"sqlite:///{folder / 'train.db'}")
    await database.open()
    return database


@given(cuts=st.lists(st.integers(0, UNDISTURBED), min_size=1, max_size=4), blind=st.booleans())
@settings(max_examples=int(os.environ.get('N','400')), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_wherever_the_power_goes_every_effect_happens_once_and_in_order(
    prepared: Path, cuts: list[int], blind: bool
) -> None:
    with tempfile.TemporaryDirectory(dir=FAST) as folder:
        shutil.copy(prepared / "train.db", folder)
        asyncio.run(_ship_through(Path(folder), cuts, blind))


async def _ship_through(folder: Path, cuts: list[int], blind: bool) -> None:
    world = World()
    lay_out(world)
    world.blind = {"turf"} if blind else set()
    world.kept = {hashlib.sha256(text).hexdigest(): text for text in (b"money", b"ledger")}
    for cut in cuts:
        remaining = cut

        def power(point: str) -> bool:
            nonlocal remaining
            remaining -= 1
            return remaining >= 0

        world.power = power
        try:
            await _live_once(world, folder)
        except BaseExceptionGroup as group:
            assert group.subgroup(Kill), group
        except Kill:
            pass
        world.power = lambda point: True
    for _ in range(8):
        if await _live_once(world, folder) is ShipState.FINISHED:
            break
    await _assert_all_is_well(world, folder)


async def _live_once(world: World, folder: Path) -> ShipState:
    """One life of the process: confirm or resume what there is to, and drive it as far as it goes."""
    database = await _opened(folder)
    try:
        station = Station(world, database, folder)
        status = await station.conductor.status(RELEASE)
        progress = status.progress
        if progress is None:
            await station.dispatcher.drive(await station.confirmed())
        elif progress.state in (ShipState.STOPPED, ShipState.ASKING):
            question = next(iter(progress.of(StepState.UNKNOWN)), None)
            answer = Answer(_happened(world, question.id)) if question else None
            await station.conductor.resume(OLIVE, RELEASE, answer)
        await station.dispatcher.tick()
        after = (await station.conductor.status(RELEASE)).progress
        assert after
        return after.state
    finally:
        await database.close()


def _happened(world: World, step: str) -> bool:
    """What an operator finds who looks for themselves."""
    kind, _, subject = step.partition(":")
    return any(
        what[0] == {"post-deploy": "run", "deploy": "deploy"}[kind] for what in world.ledger if _about(what, subject)
    )


def _about(what: tuple[str, ...], subject: str) -> bool:
    return what[0] == "run" or what[1] == subject


async def _assert_all_is_well(world: World, folder: Path) -> None:
    assert world.impossible == []
    twice = {what: count for what, count in Counter(world.ledger).items() if count > 1}
    assert twice == {}, world.ledger
    kinds = [what[:2] for what in world.ledger]
    assert kinds.index(("publish", "money")) < kinds.index(("publish", "ledger"))
    assert sorted(what[1] for what in world.ledger if what[0] == "deploy") == ["hub", "turf"]
    assert [what for what in world.ledger if what[0] == "run"] == [("run", "hub", "rake", "seed seats")]
    assert sorted(what[1] for what in world.ledger if what[0] == "tag") == ["ledger", "money"]
    database = await _opened(folder)
    async with database.reading() as tx:
        release = await tx.release(RELEASE)
        assert release and release.state is ReleaseState.SHIPPED
        assert {task.stage for task in await tx.tasks()} == {Stage.SHIPPED}
    await database.close()
