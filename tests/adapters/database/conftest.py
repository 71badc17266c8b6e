"""Every test of this folder runs on SQLite, and on PostgreSQL where it is installed."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from adapters.database.records import Database
from tests.adapters.database.samples import SHORT
from tests.world.postgres import postgres as postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/record.db"
    return request.getfixturevalue("postgres").new_database()


@pytest.fixture
async def database(url: str) -> AsyncGenerator[Database]:
    """An open database that is up to date, with short lease times."""
    opened = Database(url, lease_times=SHORT)
    await opened.open()
    await opened.upgrade()
    yield opened
    await opened.close()


@pytest.fixture
async def neighbour(database: Database, url: str) -> AsyncGenerator[Database]:
    """The same database, as another part of the world sees it."""
    opened = Database(url, lease_times=SHORT)
    yield opened
    await opened.close()


@pytest.fixture
def closed_port() -> int:
    """A port of this machine where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
