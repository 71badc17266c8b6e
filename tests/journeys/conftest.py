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


@pytest.fixture
async def packages(depot: Depot[DemoJourney]) -> AsyncGenerator[DemoJourney]:
    """Two packages ride, one of which needs the other."""
    async with depot.journey(*PACKAGES) as journey:
        yield journey


@pytest.fixture
async def hub(depot: Depot[DemoJourney]) -> AsyncGenerator[DemoJourney]:
    """Two packages and the hub ride; the hub takes both."""
    async with depot.journey(*HUB) as journey:
        yield journey


@pytest.fixture
async def satellite(depot: Depot[DemoJourney]) -> AsyncGenerator[DemoJourney]:
    """One satellite rides, which has a script of its own."""
    async with depot.journey(*SATELLITE) as journey:
        yield journey


@pytest.fixture
async def train(depot: Depot[DemoJourney]) -> AsyncGenerator[DemoJourney]:
    """Everything rides: two packages, the hub and two satellites."""
    async with depot.journey(*WHOLE) as journey:
        yield journey
