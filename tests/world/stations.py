"""Stations in a world of real tools whose train stands ready to ship: made once, put back in place for every test.

Putting back keeps every path and port, so that locks, pages and configuration stay true. What a world is made of is in
`demo_trains` and `gem_trains`.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import shutil
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, Self, TypeVar

from bot import release_console
from bot.bootstrap import Station, opened
from bot.demo.platform import Platform
from bot.demo.transcript import Transcript
from bot.drafts import draft
from core.conductor import Answer
from core.events import EventKind
from core.journal import Run
from core.permissions import Actor, Face, Role
from core.registry import App, Package
from core.releases import Frozen, ReleaseState
from core.tasks import Stage
from core.train.progress import Progress, StepState
from core.train.proposal import Proposal
from tests.world.reviewing import brought_to_review
from tests.world.waiting import until

OLIVE = Actor("test:olive", "olive", frozenset(Role), Face.CLI)
RELEASE, NEW = "r1", "1.1.0"
PATIENCE_SECONDS = 120
PROJECT = Path(__file__).parents[2]


class World(Protocol):
    """Servers in a folder, which may be left and entered again."""

    folder: Path
    platform: Platform

    @property
    def environ(self) -> dict[str, str]:
        """Variables of a process that lives here."""
        ...

    def origin(self, name: str) -> Path:
        """The bare repository of `name`; `checkouts/NAME` in the folder is somebody's clone of it."""
        ...

    def violations(self) -> Sequence[str]:
        """What was installable without its dependencies until now; looks again first."""
        ...

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *error: object) -> None: ...


W = TypeVar("W", bound=World)


class Journey(Generic[W]):
    """A world, a station in it, and everything that happened to the world since it was entered."""

    tasks: ClassVar[Mapping[str, Mapping[str, Any]]]
    """Slug → fields of a draft."""

    def __init__(self, world: W, transcript: Transcript) -> None:
        self.world, self.listeners = world, transcript.listeners
        self.effects: list[tuple[str, Mapping[str, object]]] = []
        self.environ: dict[str, str] = {}
        transcript.listeners.append(lambda kind, payload: self.effects.append((kind, payload)))

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            in_production = [name for name in self.world.platform.apps if not name.endswith("-qa")]
            up = self.await_effects("platform.boot", len(in_production))
            await stack.enter_async_context(self.world)
            await up()
            self.environ = self.world.environ
            stack.callback(asyncio.create_task(self._watch(), name="sampler").cancel)
            self._stations = await stack.enter_async_context(AsyncExitStack())
            await self.reopen()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def prepare(self) -> None:
        """What every train of this world starts with: every task, reviewed."""
        for slug, fields in self.tasks.items():
            await self.review(slug, **fields)

    # ── acting ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def reopen(self, environ: Mapping[str, str] | None = None) -> Station:
        """Another process: a new station on the same record, started with `environ`."""
        await self._stations.aclose()
        self.station = await self._stations.enter_async_context(opened(environ or self.environ))
        return self.station

    async def configure(self, file: str, change: Callable[[Any], object]) -> None:
        """Let `change` edit what config/`file`.yml says, and start again with it."""
        path = self.world.folder / "config" / f"{file}.yml"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content, ensure_ascii=False))
        await self.reopen()

    async def review(self, slug: str, **fields: Any) -> None:
        """A new task that went all the way to reviewed."""
        await self.station.board.new(OLIVE, draft(title=slug, slug=slug, kind="feature", **fields))
        await brought_to_review(self.station.board, slug)

    async def assemble(self, tasks: Sequence[str]) -> None:
        """Open the train with `tasks` aboard and freeze it."""
        await self.station.conductor.open(OLIVE, RELEASE, tasks)
        await self.station.conductor.freeze(OLIVE)

    async def proposal(self) -> Proposal:
        """What the operator is shown."""
        return (await self.station.conductor.offer(OLIVE)).proposal

    async def offered(self) -> str:
        """The digest of a plan that can be confirmed now."""
        proposal = await self.proposal()
        assert not proposal.problems, proposal.problems
        return proposal.digest

    async def confirm(self) -> Run:
        """Read the plan and press the button; nothing runs yet."""
        return await self.station.conductor.ship(OLIVE, RELEASE, await self.offered())

    async def drive(self, ship: Run) -> Progress:
        """Run a confirmed ship until it rests."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.station.dispatcher.drive(ship.id)
        return await self.progress()

    async def ship(self) -> Progress:
        """Confirm and run."""
        return await self.drive(await self.confirm())

    async def resume(self, *, happened: bool | None = None) -> Progress:
        """Go on, with the operator's answer where one is given."""
        answer = None if happened is None else Answer(happened)
        return await self.drive(await self.station.conductor.resume(OLIVE, answer=answer))

    async def push(self, name: str, branch: str, files: Mapping[str, str]) -> None:
        """Somebody commits `files` to a branch of `name` and pushes it."""
        await self.git(name, "checkout", "--quiet", "--force", branch)
        await self.git(name, "pull", "--quiet", "--ff-only", "origin", branch)
        for path, text in files.items():
            (self.checkout(name) / path).write_text(text)
        await self.git(name, "add", "--all")
        await self.git(name, "commit", "--quiet", "--message", "A change by somebody")
        await self.git(name, "push", "--quiet", "origin", branch)

    async def lay_branches(self) -> None:
        """Somebody pushes the work of every task, merged by hand already, as the branch of that task, too."""
        for slug, fields in self.tasks.items():
            for name in fields["repositories"]:
                if not (self.world.origin(name) / "refs" / "heads" / "feat" / slug).exists():
                    await self.git(name, "push", "--quiet", "origin", f"origin/release:refs/heads/feat/{slug}")

    async def file(self, name: str, commit: str, path: str) -> str:
        """What `path` of `name` says at `commit`, as a clone sees it."""
        await self.git(name, "fetch", "--quiet", "origin")
        return await self.git(name, "show", f"{commit}:{path}")

    def checkout(self, name: str) -> Path:
        """Somebody's clone of `name`."""
        return self.world.folder / "checkouts" / name

    async def git(self, name: str, *args: str) -> str:
        """Run git in the checkout of `name`."""
        who = {f"GIT_{k}_{f}": "somebody@localhost" for k in ("AUTHOR", "COMMITTER") for f in ("NAME", "EMAIL")}
        env = {"PATH": os.environ["PATH"], "HOME": str(self.world.folder), "GIT_CONFIG_NOSYSTEM": "1", **who}
        return await run("git", *args, cwd=self.checkout(name), env=env)

    async def spawn(self, *args: str) -> Process:
        """Start `stationmaster ARGS` as a process of its own, which nobody sits at."""
        env = {**self.environ, "STATIONMASTER_ACTOR": "olive"}
        argv = (sys.executable, "-m", "bot", *args)
        return await asyncio.create_subprocess_exec(
            *argv, cwd=PROJECT, env=env, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True
        )

    async def type(self, *args: str) -> Said:
        """Type `stationmaster ARGS` and wait for its end."""
        return await said(await self.spawn(*args))

    async def heroku(self, *args: str) -> None:
        """Type a command of the platform."""
        await run(self.world.platform.bin / "heroku", *args, cwd=self.world.folder, env=self.environ)

    def hook(self, remote: Path | str, name: str, script: str) -> str:
        """Install a hook into the bare repository at `remote`; returns what was there before."""
        path = Path(remote) / "hooks" / name
        before = path.read_text() if path.exists() else ""
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return before

    # ── looking ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def progress(self) -> Progress:
        """The newest ship as it stands."""
        found = (await self.station.conductor.status(RELEASE)).progress
        assert found
        return found

    async def report(self) -> str:
        """What the operator reads about the newest ship."""
        return "\n".join(release_console.report(await self.progress()))

    async def started(self, step: str) -> None:
        """Wait until `step` runs."""
        conductor, seen = self.station.conductor, 0
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                for event in await conductor.events(RELEASE, seen):
                    seen = event.id
                    if event.kind is EventKind.STEP_STARTED and event.step == step:
                        return
                await conductor.wait_for_events(seen, 1)

    def head(self, name: str, branch: str) -> str:
        """The commit of a branch, as origin has it now."""
        return (self.world.origin(name) / "refs" / "heads" / branch).read_text().strip()

    def of(self, kind: str, **wanted: object) -> list[Mapping[str, object]]:
        """The effects of a kind since the world was entered, whose fields are as `wanted`."""
        return [one for found, one in self.effects if found == kind and wanted.items() <= one.items()]

    def await_effects(self, kind: str, count: int) -> Callable[[], Any]:
        """From now on count effects of a kind; the function that comes back waits until there were `count`."""
        seen, enough = 0, asyncio.Event()

        def listen(found: str, payload: Mapping[str, object]) -> None:
            nonlocal seen
            seen += found == kind
            if seen >= count:
                enough.set()

        async def wait() -> None:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await enough.wait()

        self.listeners.append(listen)
        return wait

    # ── what must be true ─────────────────────────────────────────────────────────────────────────────────────────

    async def require_shipped_once(self, *, runs: int = 1, releases: int = 1, tags: bool = True) -> None:
        """Everything that rides is live, exactly once and in order, and the record says so (spec 6.3, 6.9).

        `runs`: how often the post-deploy command was started, when there is one. `releases`: how many the hub had.
        """
        status = await self.station.conductor.status(RELEASE)
        assert status.progress
        assert status.release.state is ReleaseState.SHIPPED
        assert {task.stage for task in status.tasks} == {Stage.SHIPPED}
        assert not status.progress.of(StepState.WAITING, StepState.RUNNING, StepState.FAILED, StepState.UNKNOWN)
        registry = self.station.settings.registry
        for frozen in status.release.frozen:
            match registry.repositories[frozen.repository]:
                case Package() as package:
                    await self._require_published(package, frozen, tags)
                case App() as app:
                    await self._require_deployed(app, frozen, releases if app.hub else 1)
        commands = [task for task in status.tasks if task.post_deploy_cmd]
        assert len(self.of("platform.run")) == runs * len(commands)
        for task in status.tasks:
            moves = (await self.station.board.show(OLIVE, task.slug)).moves
            assert all(one.to == other.origin for one, other in pairwise(moves)), moves
        self.require_possible()

    def require_possible(self) -> None:
        """At no instant was anything in the world that could not be, and the hub went before the satellites."""
        assert self.world.violations() == []
        assert [kind for kind, _ in self.effects if kind.endswith(".impossible")] == []
        order = list(dict.fromkeys(str(one["app"]) for one in self.of("platform.release")))
        assert order == [name for name in self.world.platform.apps if name in order]

    def locked(self, lock: bytes) -> Mapping[str, str]:
        """What a consumer's lock takes from the registry, read without the product."""
        raise NotImplementedError

    async def _require_published(self, package: Package, frozen: Frozen, tags: bool) -> None:
        listing = await self.station.ports.ecosystems[package.ecosystem].listing(package, NEW)
        assert listing.files == {one.filename: one.sha256 for one in frozen.artefacts}
        assert self.head(package.name, "main") == frozen.sha
        if tags:
            assert await self.station.ports.repositories.tag_commit(package, f"v{NEW}") == frozen.sha

    async def _require_deployed(self, app: App, frozen: Frozen, releases: int) -> None:
        head, repositories = self.head(app.name, "main"), self.station.ports.repositories
        assert [one["commit"] for one in self.of("platform.release", app=app.name)] == [head] * releases
        if not frozen.by_reference:
            assert head == frozen.sha
            return
        assert head == self.head(app.name, "release")
        main = await repositories.branch_head(app, "main")
        assert main and await repositories.parents(app, main) == (frozen.sha,)
        [lock] = [path for path in await repositories.changed_paths(app, frozen.sha, main) if "lock" in path]
        locked = self.locked(await repositories.read(app, main, lock) or b"")
        assert locked == dict.fromkeys(frozen.by_reference, NEW)

    async def _watch(self) -> None:
        with suppress(asyncio.CancelledError):
            await until(self.world.violations, math.inf)


J = TypeVar("J", bound=Journey[Any])


class Depot(Generic[J]):
    """One folder in which a world is put back to where it was when a train was frozen; its ports stay reserved."""

    def __init__(self, folder: Path, make: Callable[[Path], J]) -> None:
        self.folder, self._kept, self._make = folder / "world", folder / "kept", make
        self._reserved: list[socket.socket] = []

    def close(self) -> None:
        """Give the ports back."""
        for one in self._reserved:
            one.close()

    @asynccontextmanager
    async def journey(self, *tasks: str) -> AsyncGenerator[J]:
        """A world whose train of `tasks` is assembled (without tasks: a world with reviewed ones and no train)."""
        if not self._kept.exists():
            shutil.rmtree(self.folder, ignore_errors=True)
            async with self._make(self.folder) as journey:
                await journey.prepare()
            self._keep(())
            self._reserve()
        if not self._place(tasks).exists():
            self._restore(())
            async with self._make(self.folder) as journey:
                await journey.assemble(tasks)
            self._keep(tasks)
        self._restore(tasks)
        async with self._make(self.folder) as journey:
            yield journey

    def _place(self, tasks: Sequence[str]) -> Path:
        return self._kept / ("+".join(tasks) or "reviewed")

    def _keep(self, tasks: Sequence[str]) -> None:
        shutil.copytree(self.folder, self._place(tasks), symlinks=True)

    def _restore(self, tasks: Sequence[str]) -> None:
        shutil.rmtree(self.folder)
        shutil.copytree(self._place(tasks), self.folder, symlinks=True)

    def _reserve(self) -> None:
        """Bound, never listening: nobody else is given these ports between two tests, and the world can bind them."""
        files = [*self.folder.glob("platform/apps/*/memory.json"), *self.folder.glob("ports.json")]
        for port in (value for path in files for value in json.loads(path.read_text()).values()):
            if isinstance(port, int):
                one = socket.socket()
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                one.bind(("127.0.0.1", port))
                self._reserved.append(one)


class Said(NamedTuple):
    """How a command ended, and what it printed."""

    exit_code: int
    out: str
    err: str


async def said(process: Process) -> Said:
    """The end of a process."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        out, err = await process.communicate()
    return Said(process.returncode or 0, (out or b"").decode(), err.decode())


async def run(program: str | Path, *args: str, cwd: Path, env: Mapping[str, str]) -> str:
    """Run a program as a person would, and it must succeed; returns what it printed."""
    child = await asyncio.create_subprocess_exec(program, *args, cwd=cwd, env=env, stdout=PIPE, stderr=PIPE)
    out, err = await child.communicate()
    assert child.returncode == 0, err.decode()
    return out.decode()
