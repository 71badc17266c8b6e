"""What holds for every test: no network outside loopback, no touch of the home directory (L57), no waiting for ever."""

from __future__ import annotations

import ipaddress
import os
import sys
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from adapters.database.records import Database

PROJECT = Path(__file__).resolve().parent.parent
HOME = Path.home().resolve()
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_PRIVATE = (".gitconfig", ".netrc", ".ssh", ".gem", ".npmrc", ".pypirc", ".config")


class OutOfBounds(AssertionError):
    """A test reached for the world outside."""


def _is_loopback(host: object) -> bool:
    if host in ("localhost", "", None, b"localhost"):
        return True
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


def _guard(event: str, args: tuple[object, ...]) -> None:
    match event, args:
        case ("socket.connect", (_, (host, *_))) if not _is_loopback(host):
            raise OutOfBounds(f"a test connects to {host}")
        case ("socket.getaddrinfo", (host, *_)) if not _is_loopback(host):
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
sys.addaudithook(_guard)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[Database]:
    """An empty SQLite database with today's tables."""
    found = Database(f"sqlite:///{tmp_path / 'stationmaster.db'}")
    await found.open()
    await found.upgrade()
    yield found
    await found.close()
