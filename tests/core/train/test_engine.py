"""What the loop does when things go wrong on the way; a resume repeats nothing and finishes (spec 6.8, 6.9)."""

from __future__ import annotations

import asyncio

from core.errors import Unreachable
from core.journal import ShipState
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
