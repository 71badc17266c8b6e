"""What holds for every test: no network outside loopback, no touch of the home directory (L57), no waiting for ever."""

from __future__ import annotations

import ipaddress
import os
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import pytest

from adapters.database.records import Database

PROJECT = Path(__file__).resolve().parent.parent
HOME = Path.home().resolve()
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_PRIVATE = (".gitconfig", ".netrc", ".ssh", ".gem", ".npmrc", ".pypirc", ".config")


class OutOfBounds(AssertionError):
    """A test reached for the world outside."""


def _is_loopback(host: str) -> bool:
    if host in ("localhost", ""):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _guard(event: str, args: tuple[Any, ...]) -> None:
    match event, args:
        case ("socket.connect", (_, (str(host), *_))) if not _is_loopback(host):
            raise OutOfBounds(f"a test connects to {host}")
        case ("socket.getaddrinfo", (str(host), *_)) if not _is_loopback(host):
            raise OutOfBounds(f"a test looks up {host}")
        case ("open", (str(path), _, int(flags))) if path.startswith(f"{HOME}/"):
            inside = Path(path).relative_to(HOME)
            ours = str(PROJECT).startswith(f"{HOME}/") and Path(path).is_relative_to(PROJECT)
            if not ours and (flags & _WRITING or str(inside).startswith(_PRIVATE)):
                raise OutOfBounds(f"a test opens {path}")
        case _:
            pass


# Children cannot be watched from here: they get a home of their own.
os.environ["HOME"] = tempfile.mkdtemp(prefix="stationmaster-home-")
# A demo that is dead for a moment must find its ports again: who tests beside us takes others.
_FIRST_PORT = 20_000 + 1_500 * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 8)
os.environ["STATIONMASTER_DEMO_PORTS"] = f"{_FIRST_PORT}-{_FIRST_PORT + 1_499}"
sys.addaudithook(_guard)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest story first, so that side by side nobody waits for it in the end."""
    items.sort(key=lambda item: "test_killed_everywhere" not in item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where skips are forbidden, a test that skips has failed: its tool should be there."""
    report = yield
    if report.skipped and os.environ.get("STATIONMASTER_FORBID_SKIPS") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skips are forbidden here: {report.longrepr}"
    return report


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[Database]:
    """An empty SQLite database with today's tables."""
    found = Database(f"sqlite:///{tmp_path / 'stationmaster.db'}")
    await found.open()
    await found.upgrade()
    yield found
    await found.close()
