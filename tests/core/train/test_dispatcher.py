"""Every running ship without a living owner is taken over, by whoever lives (design: level-triggered recovery)."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from core.journal import ShipState
from core.train.dispatcher import Dispatcher
from tests.world.toy_train import RELEASE, Station


async def until_it_ended(station: Station) -> ShipState:
    """Wait for the end of the ship, as anybody else would: by listening to events."""
    seen = 0
    async with asyncio.timeout(20):
        while True:
            events = await station.conductor.events(RELEASE, seen)
            seen = max([seen, *(event.id for event in events)])
            progress = (await station.conductor.status(RELEASE)).progress
            if progress and progress.state is not ShipState.RUNNING:
                return progress.state
            await station.conductor.wait_for_events(seen, 1)


async def test_a_ship_that_is_confirmed_later_is_driven_without_being_asked(assembled: Station) -> None:
    running = asyncio.create_task(assembled.dispatcher.run_forever())
    await assembled.confirmed()
    assert await until_it_ended(assembled) is ShipState.FINISHED
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
    assert await until_it_ended(assembled) is ShipState.FINISHED
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_a_ship_whose_owner_lives_is_left_alone(assembled: Station) -> None:
    ship = await assembled.confirmed()
    async with assembled.ports.records.lease("somebody else"):
        await assembled.dispatcher.tick()
    assert assembled.world.ledger == []
    await assembled.dispatcher.tick()
    assert (await assembled.progress()).state is ShipState.FINISHED
    assert (await assembled.dispatcher.drive(ship)).state is ShipState.FINISHED, "driving it again is harmless"


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
    assert (await assembled.progress()).state is ShipState.RUNNING
    other = Dispatcher(assembled.ports, "another one")
    assert (await other.drive(ship)).state is ShipState.FINISHED
