"""A station in the toy world on a real SQLite database, fresh for every test and cheap to have."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from adapters.database.records import Database
from tests.world.toy import World
from tests.world.toy_record import FAST, database_in, record_in
from tests.world.toy_train import OLIVE, RELEASE, WHOLE_TRAIN, Station, lay_out, lay_out_branches, registry_with_qa


@pytest.fixture(scope="session")
def empty_record() -> Iterator[Path]:
    """A database file with today's tables, to be copied."""
    with tempfile.TemporaryDirectory(dir=FAST) as folder:
        asyncio.run(_upgraded(Path(folder)))
        yield record_in(Path(folder))


@pytest.fixture(scope="session")
def assembled_record(empty_record: Path) -> Iterator[tuple[Path, World]]:
    """The record of the whole train, frozen, to be copied, and the world that it is about."""
    with tempfile.TemporaryDirectory(dir=FAST) as folder:
        shutil.copy(empty_record, record_in(Path(folder)))
        world = World()
        lay_out(world)
        asyncio.run(_assembled(world, Path(folder)))
        yield record_in(Path(folder)), world


@pytest.fixture
def folder(empty_record: Path) -> Iterator[Path]:
    """A folder in memory, with an empty record."""
    with tempfile.TemporaryDirectory(dir=FAST) as found:
        shutil.copy(empty_record, record_in(Path(found)))
        yield Path(found)


@pytest.fixture
async def database(folder: Path) -> AsyncGenerator[Database]:
    """The record in `folder`."""
    found = database_in(folder)
    yield found
    await found.close()


@pytest.fixture
def world() -> World:
    """Origins, registry and platforms as they are before the whole train."""
    found = World()
    lay_out(found)
    return found


@pytest.fixture
def station(world: World, database: Database, folder: Path) -> Station:
    """A process that runs the train; nothing is open yet."""
    return Station(world, database, folder)


@pytest.fixture
async def train(world: World, database: Database, folder: Path) -> Station:
    """The whole train, open and not merged; hub and turf have a QA."""
    lay_out_branches(world, WHOLE_TRAIN)
    station = Station(world, database, folder, registry_with_qa())
    await station.conductor.open(OLIVE, RELEASE, await station.reviewed(*WHOLE_TRAIN))
    return station


@pytest.fixture
async def neighbour(station: Station, folder: Path) -> AsyncGenerator[Station]:
    """Another process in the same world, with the same record."""
    database = database_in(folder)
    yield Station(station.world, database, folder)
    await database.close()


@pytest.fixture
def assembled(station: Station, folder: Path, assembled_record: tuple[Path, World]) -> Station:
    """The whole train, frozen."""
    record, world = assembled_record
    shutil.copy(record, record_in(folder))  # nobody has opened it yet
    station.world.kept, station.world.now = dict(world.kept), world.now
    return station


async def _upgraded(folder: Path) -> None:
    database = database_in(folder)
    await database.open()
    await database.upgrade()
    await database.close()


async def _assembled(world: World, folder: Path) -> None:
    database = database_in(folder)
    await Station(world, database, folder).prepared(*WHOLE_TRAIN)
    await database.close()
