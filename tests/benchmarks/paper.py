"""Stationmaster's side of the team: its ecosystem, its strategy, and a whole station over real adapters."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from adapters.credentials import Secrets
from adapters.database.records import Database
from adapters.git import MirrorRepositories
from adapters.process import ChildProcesses
from adapters.shelf import HashShelf
from bot.bootstrap import SystemClock
from core.errors import StepFailed
from core.observations import Already, Facts, NotYet, Observation
from core.ports import Finished, Listing, Needs, Pin, Ports, Processes
from core.registry import App, Argv, Package, Sha, Target
from tests.benchmarks.team import Team
from tests.world.toy import World
from tests.world.toy_places import ToyEcosystem, ToySmoke


class FolderRegistry(ToyEcosystem):
    """The manifest and lock of the toy ecosystem, over a registry that is a folder and tools that are children."""

    tools: tuple[str, ...] = ("publish", "lock")

    def __init__(self, processes: Processes, folder: Path) -> None:
        super().__init__(World())
        self._processes, self._folder = processes, folder

    async def listing(self, package: Package, version: str) -> Listing:
        file = self._folder / f"{package.distribution}-{version}.pkg"
        found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest()} if file.exists() else {}
        return Listing(found, owner="the team")

    async def available(self, package: Package) -> frozenset[str]:
        files = self._folder.glob(f"{package.distribution}-*.pkg")
        return frozenset(file.stem.rpartition("-")[2] for file in files)

    async def is_installable(self, package: Package, version: str) -> bool:
        return (self._folder / f"{package.distribution}-{version}.pkg").exists()

    def publish_commands(self, package: Package, names: Sequence[str]) -> tuple[Argv, ...]:
        return (("publish", *names),)

    async def publish(self, package: Package, files: Sequence[Path], *, log: Path) -> None:
        (argv,) = self.publish_commands(package, [str(file) for file in files])
        _require_success(await self._processes.run(argv, log=log), "publish")

    def lock_commands(self, pins: Sequence[Pin]) -> tuple[Argv, ...]:
        return (("lock", *(f"{pin.distribution}=={pin.version}" for pin in pins)),)

    async def refresh_lock(self, worktree: Path, pins: Sequence[Pin], *, log: Path) -> None:
        (argv,) = self.lock_commands(pins)
        _require_success(await self._processes.run(argv, cwd=worktree, log=log), "lock")


class CommandStrategy:
    """Deploys with one command to a target that says what it runs."""

    name = "command"

    def __init__(self, processes: Processes, running: Path) -> None:
        self._processes, self._running = processes, running

    def needs(self, app: App, target: Target) -> Needs:
        return Needs(tools=("deploy",))

    def commands(self, app: App, target: Target, commit: str) -> tuple[Argv, ...]:
        return (("deploy", app.name, commit),)

    async def observe(self, app: App, target: Target, commit: Sha) -> Observation:
        place = self._running / app.name
        return Already() if place.exists() and place.read_text().strip() == commit else NotYet()

    async def deploy(self, app: App, target: Target, commit: Sha, *, log: Path) -> Facts:
        (argv,) = self.commands(app, target, commit)
        _require_success(await self._processes.run(argv, log=log), "deploy")
        if not isinstance(await self.observe(app, target, commit), Already):
            raise StepFailed(f"{app.name} runs something else")
        return {"verified": True}

    def run_argv(self, app: App, target: Target, command: Argv) -> Argv | None:
        return None

    async def run(self, app: App, target: Target, command: Argv, commit: Sha, *, log: Path) -> Facts:
        raise AssertionError("the benchmark's train has no post-deploy commands")

    async def rollback(self, app: App, target: Target, bad: Sha, before: Sha | None) -> tuple[str, ...]:
        return ()


@asynccontextmanager
async def opened(team: Team, *, at_once: int) -> AsyncGenerator[Ports]:
    """Everything a train touches, as the composition root wires it; `at_once`: lanes and satellites side by side."""
    state = team.folder / "state"
    home = state / "home"
    home.mkdir(parents=True)
    path = os.pathsep.join([str(team.folder / "bin"), os.environ.get("PATH", os.defpath)])
    secrets = Secrets({})
    processes = ChildProcesses(home, secrets, {"PATH": path})
    database = Database(f"sqlite:///{state / 'stationmaster.db'}")
    await database.open()
    try:
        await database.upgrade()
        yield Ports(
            clock=SystemClock(),
            repositories=MirrorRepositories(processes, state),
            ecosystems={"toy": FolderRegistry(processes, team.folder / "registry")},
            strategies={"command": CommandStrategy(processes, team.folder / "running")},
            processes=processes,
            credentials=secrets,
            smoke=ToySmoke(World()),
            shelf=HashShelf(state / "artefacts"),
            records=database,
            fenced=database.transaction,
            scratch=state,
            log=state / "log",
            satellites_at_once=at_once,
            lanes_at_once=at_once,
        )
    finally:
        await database.close()


def _require_success(done: Finished, what: str) -> None:
    if done.exit_code:
        raise StepFailed(f"{what} exited with {done.exit_code}", done.stderr)
