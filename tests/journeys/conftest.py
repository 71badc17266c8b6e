"""A depot per test process, and the trains that journeys start with."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from tests.world.demo_trains import HUB, PACKAGES, SATELLITE, WHOLE, DemoJourney
from tests.world.stations import Depot

# A world is a thousand small files, and its hooks must run: memory is thirty times faster than most disks.
_MEMORY = Path("/dev/shm")
FAST = _MEMORY if _MEMORY.is_dir() and not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC else None


@pytest.fixture(scope="session")
def depot() -> Generator[Depot[DemoJourney]]:
    """Where worlds are kept, one for each test process."""
    with tempfile.TemporaryDirectory(prefix="depot-", dir=FAST) as folder:
        depot = Depot(Path(folder), DemoJourney)
        yield depot
        depot.close()


def _riding(tasks: tuple[str, ...]):
    @pytest.fixture
    async def journey(depot: Depot[DemoJourney]) -> AsyncGenerator[DemoJourney]:
        async with depot.journey(*tasks) as journey:
            yield journey

    return journey


packages = _riding(PACKAGES)  # two, one of which needs the other
hub = _riding(HUB)  # takes both packages, which ride too
satellite = _riding(SATELLITE)  # one, with a script of its own
train = _riding(WHOLE)
