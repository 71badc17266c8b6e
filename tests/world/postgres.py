"""A private PostgreSQL cluster on a free loopback port, for one test session; nothing of it outlives the session."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.world.waiting import until

_DEADLINE_SECONDS = 20


class Postgres:
    """A running cluster that hands out empty databases."""

    def __init__(self, port: int) -> None:
        self._port, self._made = port, 0

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        self._made += 1
        name = f"record_{self._made}"
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return self._address(name)

    def answers(self) -> bool:
        """True once it takes connections."""
        try:
            psycopg.connect(self._address("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _address(self, name: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._port}/{name}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The cluster; skips where PostgreSQL's programs are not installed."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=None)
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    user = _unprivileged()
    home = Path(tempfile.mkdtemp(prefix="stationmaster-postgres-"))
    if user is not None:
        os.chown(home, user, -1)
    port = _free_port()
    options = [f"-p{port}", "-h127.0.0.1", "-cunix_socket_directories=", "-cfsync=off", "-cautovacuum=off"]
    try:
        initdb = [str(programs), "-D", str(home / "cluster"), "-Upostgres", "-Atrust", "-EUTF8", "--no-sync"]
        subprocess.run(initdb, user=user, cwd=home, check=True, capture_output=True, timeout=60)
        with (home / "log").open("wb") as log:
            server = subprocess.Popen(
                [str(programs.with_name("postgres")), "-D", str(home / "cluster"), *options],
                user=user, cwd=home, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            cluster = Postgres(port)
            asyncio.run(until(lambda: cluster.answers() or server.poll() is not None))
            if server.poll() is not None:
                pytest.fail(f"PostgreSQL did not start:\n{(home / 'log').read_text()}")
            yield cluster
        finally:
            server.send_signal(signal.SIGQUIT)
            server.wait(_DEADLINE_SECONDS)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _unprivileged() -> int | None:
    """The user to run as when we are root, whom PostgreSQL refuses; None: as we are."""
    if os.getuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_uid
    except KeyError:
        pytest.skip("PostgreSQL refuses root and there is no user postgres: adduser --system postgres")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
