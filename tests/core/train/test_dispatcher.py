"""Every running ship without a living owner is taken over, by whoever lives (design: level-triggered recovery)."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec
import pytest

from core.conductor import Answer
from core.errors import NeedsOperator, Refused
from core.journal import RunState
from core.train.dispatcher import Dispatcher
from tests.world.toy_train import OLIVE, RELEASE, Station


async def until_it_ended(station: Station) -> RunState:
    """Wait for the end of the ship, as anybody else would: by listening to events."""
    seen = 0
    async with asyncio.timeout(20):
        while True:
            events = await station.conductor.events(RELEASE, seen)
            seen = max([seen, *(event.id for event in events)])
            progress = (await station.conductor.status(RELEASE)).progress
            if progress and progress.state is not RunState.RUNNING:
                return progress.state
            await station.conductor.wait_for_events(seen, 1)


async def test_a_ship_that_is_confirmed_later_is_driven_without_being_asked(assembled: Station) -> None:
    running = asyncio.create_task(assembled.dispatcher.run_forever())
    await assembled.confirmed()
    assert await until_it_ended(assembled) is RunState.FINISHED
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_a_tick_that_broke_is_not_the_last_one(assembled: Station, caplog: pytest.LogCaptureFixture) -> None:
    assembled.world.fail("read", OSError("too many open files"), OSError("too many open files"))
    running = asyncio.create_task(assembled.dispatcher.run_forever())
    async with asyncio.timeout(5):
        while "too many open files" not in caplog.text:
            await asyncio.sleep(0)
    await assembled.confirmed()
    assert await until_it_ended(assembled) is RunState.FINISHED
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.mark.parametrize("answer", [None, Answer(happened=True)], ids=["", "with an open question"])
async def test_a_plan_that_another_version_made_stops_once_and_says_so(
    assembled: Station, answer: Answer | None
) -> None:
    """It broke every tick, and no other ship went on."""
    if answer:
        assembled.world.fail("answer of run hub", NeedsOperator("rake was never heard of again"))
        await assembled.shipped()
        ship = (await assembled.conductor.resume(OLIVE)).id
    else:
        ship = await assembled.confirmed()
    async with assembled.ports.records.transaction() as tx:
        run = await tx.run(ship)
        assert run
        old = run.plan.replace(b'"kind"', b'"sort"')
        await tx.update_run(run, msgspec.structs.replace(run, plan=old, plan_digest="old"))
    await assembled.dispatcher.tick()
    progress = await assembled.progress()
    assert (progress.state, progress.steps) == (RunState.STOPPED, ())
    assert progress.reasons[0].what == "this plan was made by another version of stationmaster"
    assert progress.reasons[0].next.startswith("release ship")
    with pytest.raises(Refused, match="release ship"):
        await assembled.conductor.resume(OLIVE, RELEASE, answer)
    assert (await assembled.shipped()).state is RunState.FINISHED
    assert [what for what in assembled.world.ledger if what[0] == "run"] == [("run", "hub", "rake", "seed seats")]


async def test_a_ship_whose_owner_lives_is_left_alone(assembled: Station) -> None:
    ship = await assembled.confirmed()
    async with assembled.ports.records.lease("somebody else"):
        await assembled.dispatcher.tick()
    assert assembled.world.ledger == []
    await assembled.dispatcher.tick()
    assert (await assembled.progress()).state is RunState.FINISHED
    assert (await assembled.dispatcher.drive(ship)).state is RunState.FINISHED, "driving it again is harmless"


async def test_a_process_that_is_told_to_end_leaves_a_ship_that_another_one_finishes(assembled: Station) -> None:
    arrived, for_ever = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        arrived.set()
        await for_ever.wait()

    ship = await assembled.confirmed()
    assembled.world.meanwhile["deploy hub"] = hang
    running = asyncio.create_task(assembled.dispatcher.drive(ship))
    await arrived.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await assembled.progress()).state is RunState.RUNNING
    other = Dispatcher(assembled.ports, "another one")
    assert (await other.drive(ship)).state is RunState.FINISHED
