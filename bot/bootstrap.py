"""The composition root: the only module of the faces that knows adapters. Everything is wired here, once."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from adapters.checkup import Finding, check_environment
from adapters.config import Settings, config_folder, load
from adapters.database.deliveries import DatabaseDeliveries
from adapters.database.records import Database
from adapters.deploys import STRATEGIES
from adapters.ecosystems.pypi import PyPI
from adapters.ecosystems.rubygems import RubyGems
from adapters.git import MirrorRepositories
from adapters.process import ChildProcesses
from adapters.shelf import HashShelf
from adapters.smoke import HttpSmoke
from adapters.web import Web
from bot.program import program
from core.board import Board
from core.conductor import Conductor
from core.deliveries import Deliveries
from core.doorkeeper import Doorkeeper
from core.errors import Reason, Refused
from core.ports import Ports
from core.records import Records
from core.train.confirmed import PROGRAM
from core.train.dispatcher import Dispatcher
from core.words import counted


class SystemClock:
    """The machine's time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass(frozen=True, kw_only=True)
class Station:
    """Everything wired: what faces call, and what they need to show it."""

    settings: Settings
    database: Database
    deliveries: Deliveries
    ports: Ports
    conductor: Conductor
    board: Board
    doorkeeper: Doorkeeper
    dispatcher: Dispatcher
    processes: ChildProcesses
    web: Web

    async def check(self, discord: Callable[[], Awaitable[Sequence[Reason]]]) -> list[Finding]:
        """Everything that the configuration speaks of, looked at (spec 10.3). `discord`: what is wrong there."""

        async def discord_findings() -> list[Finding]:
            problems = await discord()
            return [Finding(False, p.what, p.why, p.next) for p in problems] or [Finding(True, "Discord", "ready")]

        return await check_environment(
            self.settings,
            self.processes,
            self.web,
            self.ports.repositories,
            ecosystems=self.ports.ecosystems,
            strategies=self.ports.strategies,
            extra={"database": self._database_answers, "Discord": discord_findings},
        )

    def on(self, records: Records) -> dict[type, object]:
        """The use cases, by their class, on other records than the station's own."""
        # The API has a write and its answer in one transaction, which the use cases must not open themselves.
        ports = msgspec.structs.replace(self.ports, records=records)
        return {type(one): one for one in _use_cases(self.settings, ports)}

    async def _database_answers(self) -> list[Finding]:
        async with self.database.transaction() as tx:
            releases = len(await tx.releases(limit=None))
        return [Finding(True, "database", f"writable; {counted(releases, 'release')} on record")]


@asynccontextmanager
async def opened(
    environ: Mapping[str, str] | None = None,
    *,
    around_records: Callable[[Records], Records] = lambda records: records,
    on_spawn: Callable[[], None] | None = None,
) -> AsyncGenerator[Station]:
    """A station on the configuration that `environ` names, its database up to date.

    `around_records` and `on_spawn` are for crash tests.
    """
    environ = os.environ if environ is None else environ
    settings = load(config_folder(environ), environ)
    database, web = Database(settings.database_url), Web()
    processes = ChildProcesses(_homes(settings), settings.secrets, environ)
    if on_spawn:
        processes.on_spawn = lambda argv: on_spawn()
    ports = _ports(settings, processes, web, around_records(database))
    board, conductor, doorkeeper = _use_cases(settings, ports)
    try:
        await database.open()
        await database.upgrade()
        yield Station(
            settings=settings,
            database=database,
            deliveries=DatabaseDeliveries(database),
            ports=ports,
            board=board,
            conductor=conductor,
            doorkeeper=doorkeeper,
            dispatcher=Dispatcher(ports, f"stationmaster on {socket.gethostname()}, pid {os.getpid()}"),
            processes=processes,
            web=web,
        )
    finally:
        await web.close()
        await database.close()


def _homes(settings: Settings) -> Path:
    """Where child processes get their homes; Refused where it cannot be. Homes of the dead are removed."""
    homes = settings.state_dir / "homes"
    try:
        homes.mkdir(parents=True, exist_ok=True)
        for home in homes.iterdir():
            if not _lives(int(home.name.partition("-")[0])):
                shutil.rmtree(home, ignore_errors=True)
    except OSError as error:
        what = f"the state directory {settings.state_dir} cannot be written"
        raise Refused(what, str(error), "set STATIONMASTER_STATE to a folder of yours") from error
    return homes


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _ports(settings: Settings, processes: ChildProcesses, web: Web, records: Records) -> Ports:
    """Every adapter, in the place that the core has for it."""
    state, clock = settings.state_dir, SystemClock()
    repositories = MirrorRepositories(processes, state, projects=settings.projects_dir, tokens=settings.git_tokens)
    return Ports(
        clock=clock,
        repositories=repositories,
        ecosystems={
            "pypi": PyPI(processes, web, settings.pypi),
            "rubygems": RubyGems(processes, web, settings.rubygems),
        },
        strategies={name: kind(processes, repositories, web, clock) for name, kind in STRATEGIES.items()},
        processes=processes,
        credentials=settings.secrets,
        smoke=HttpSmoke(web, settings.suites, clock, settings.waits.seal_seconds),
        shelf=HashShelf(state / "artefacts"),
        records=records,
        fenced=records.transaction,
        scratch=state,
        log=state / "logs" / "stationmaster.log",
        waits=settings.waits,
        satellites_at_once=settings.satellites_at_once,
        configuration=_configuration(settings),
    )


def _configuration(settings: Settings) -> dict[str, str]:
    """What acts depend on beside their plan."""
    registries = {"pypi": settings.pypi, "rubygems": settings.rubygems}
    said = {
        f"{name} {key}": str(value)
        for name, registry in registries.items()
        for key, value in msgspec.to_builtins(registry, enc_hook=str).items()
    }
    return {PROGRAM: program(), **said}


def _use_cases(settings: Settings, ports: Ports) -> tuple[Board, Conductor, Doorkeeper]:
    board = Board(settings.registry, settings.tiers, ports, settings.quorum)
    return board, Conductor(settings.registry, ports, settings.quorum), Doorkeeper(ports, _new_secret)


def _new_secret() -> str:
    """256 random bits; what they begin with lets scanners of public code know them."""
    return f"stationmaster_{secrets.token_urlsafe(32)}"
