"""What holds for every test: no network outside loopback, no touch of the home directory (L57), no waiting for ever."""

from __future__ import annotations

import ipaddress
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import pytest

from adapters.database.records import Database
from core.words import lasting

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


# Seconds of a file's stories on two cores, where they are long; what is not named here is quick.
_LONG = {
    "journeys/test_killed_everywhere.py": 200.0,
    "core/train/test_power_cuts.py": 60.0,
    "bot/api/test_fuzz.py": 40.0,
}
_LAST_TIME, _WHOLE, _BEGAN = "stationmaster/last_time", 1000, time.monotonic()


def pytest_report_header(config: pytest.Config) -> str:
    """How long to wait for what follows."""
    cache: Any = getattr(config, "cache", None)
    usual = "about 8 min on two cores"
    return f"last time: {cache.get(_LAST_TIME, usual) if cache else usual}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest stories first, so that side by side nobody waits for one in the end."""
    items.sort(key=lambda item: -next((time for file, time in _LONG.items() if file in item.nodeid), 0.0))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Remember how long a whole run took."""
    passed, cache = len(terminalreporter.stats.get("passed", [])), getattr(config, "cache", None)
    if passed > _WHOLE and cache:
        cache.set(_LAST_TIME, f"{passed} tests passed in {lasting(time.monotonic() - _BEGAN)}")


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
