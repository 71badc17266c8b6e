"""Stations in a laid-out demo world whose train stands ready to ship: made once, put back in place for every test.

Putting back keeps every path and port, so that locks, pages and configuration stay true.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import tomllib
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp

from bot import console
from bot.bootstrap import Station, opened
from bot.demo.transcript import Transcript
from bot.demo.world import DemoWorld
from bot.drafts import draft
from core.conductor import Answer
from core.journal import Ship
from core.permissions import Actor, Face, Role
from core.registry import App, Package
from core.releases import Frozen, ReleaseState
from core.tasks import Stage
from core.train.progress import Progress, StepState
from core.train.proposal import Proposal

OLIVE = Actor("olive", frozenset(Role), Face.CLI)
RELEASE, NEW = "r1", "1.1.0"
RELEASE_PHASE = "release:treasury"
SEED = "python3 manage.py seed 'gold seats'"
TASKS: Mapping[str, Mapping[str, Any]] = {
    "coin-fees": {"shape": "library", "repositories": ["coin-core", "coin-ledger"]},
    "gold-seats": {"shape": "ui", "repositories": ["treasury"], "post_deploy_cmd": SEED, "depends_on": ["coin-fees"]},
    "card-view": {"shape": "ui", "repositories": ["wallet"], "depends_on": ["coin-fees"]},
    "kiosk-hours": {"shape": "script", "repositories": ["kiosk"]},
}
PACKAGES = ("coin-fees",)
HUB = ("coin-fees", "gold-seats")
SATELLITE = ("kiosk-hours",)
WHOLE = tuple(TASKS)
_PATIENCE_SECONDS = 120


class Depot:
    """One folder in which a world is put back to where it was when `tasks` were frozen; its ports stay reserved."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._kept = folder / "world", folder / "kept"
        self._reserved: list[socket.socket] = []

    def close(self) -> None:
        """Give the ports back."""
        for one in self._reserved:
            one.close()

    @asynccontextmanager
    async def journey(self, tasks: Sequence[str], **config: Mapping[str, Any]) -> AsyncGenerator[Journey]:
        """A world whose train of `tasks` is assembled (without tasks: a world with reviewed ones and no train)."""
        await self._put_back(tasks)
        async with self._entered() as journey:
            yield journey

    async def _put_back(self, tasks: Sequence[str]) -> None:
        """Make what was never made; then the folder is as it was kept."""
        if not self._kept.exists():
            async with self._entered() as journey:
                await journey.add_release_phase()
                for slug, fields in TASKS.items():
                    await journey.review(slug, **fields)
            self._keep(())
            self._reserve()
        if not self._place(tasks).exists():
            self._restore(())
            async with self._entered() as journey:
                await journey.assemble(tasks)
            self._keep(tasks)
        self._restore(tasks)

    @asynccontextmanager
    async def _entered(self) -> AsyncGenerator[Journey]:
        transcript = Transcript()
        journey = Journey(DemoWorld(self.folder, transcript), transcript)
        async with journey:
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
        memories = self.folder.glob("platform/apps/*/memory.json")
        ports = [json.loads(path.read_text())["port"] for path in memories]
        ports += json.loads((self.folder / "ports.json").read_text()).values()
        for port in ports:
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("127.0.0.1", port))
            self._reserved.append(one)


class Journey:
    """A world, a station in it, and everything that happened to the world since it was entered."""

    def __init__(self, world: DemoWorld, transcript: Transcript) -> None:
        self.world, self.listeners = world, transcript.listeners
        self.effects: list[tuple[str, Mapping[str, object]]] = []
        self.environ: dict[str, str] = {}
        transcript.listeners.append(lambda kind, payload: self.effects.append((kind, payload)))

    async def __aenter__(self) -> Journey:
        self._stack, self._stations = AsyncExitStack(), AsyncExitStack()
        up = self.await_effects("platform.boot", len(self.world.platform.apps))
        await self._stack.enter_async_context(self.world)
        await up()
        self.environ = self.world.environ
        watch = asyncio.create_task(self._watch(), name="sampler")
        self._stack.callback(watch.cancel)
        await self.reopen()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stations.aclose()
        await self._stack.aclose()

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

    async def add_release_phase(self) -> None:
        """From this train on the hub has one."""
        procfile = self.world.folder / "checkouts" / "treasury" / "Procfile"
        mark = self.world.folder / "broken" / RELEASE_PHASE
        line = f'release: if rm "{mark}" 2>/dev/null; then echo "the seats table is locked"; exit 1; fi\n'
        await self.push("treasury", "release", {"Procfile": procfile.read_text() + line})

    async def review(self, slug: str, **fields: Any) -> None:
        """A new task that went all the way to reviewed."""
        await self.station.board.new(OLIVE, draft(title=slug, slug=slug, kind="feature", **fields))
        for stage in (Stage.BUILDING, Stage.SUBMITTED, Stage.REVIEWED):
            await self.station.board.move(OLIVE, slug, stage)

    async def assemble(self, tasks: Sequence[str]) -> None:
        """Open the train with `tasks` aboard and freeze it."""
        await self.station.conductor.open(OLIVE, RELEASE, tasks)
        await self.station.conductor.freeze(OLIVE)

    async def proposal(self) -> Proposal:
        """What the operator is shown."""
        return (await self.station.conductor.offer(OLIVE)).proposal

    async def confirm(self) -> Ship:
        """Read the plan and press the button; nothing runs yet."""
        proposal = await self.proposal()
        assert not proposal.problems, proposal.problems
        return await self.station.conductor.ship(OLIVE, RELEASE, proposal.digest, "test")

    async def drive(self, ship: Ship) -> Progress:
        """Run a confirmed ship until it rests."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await self.station.dispatcher.drive(ship.id)
        return await self.progress()

    async def ship(self) -> Progress:
        """Confirm and run."""
        return await self.drive(await self.confirm())

    async def resume(self, *, happened: bool | None = None) -> Progress:
        """Go on, with the operator's answer where one is given."""
        answer = None if happened is None else Answer(happened)
        return await self.drive(await self.station.conductor.resume(OLIVE, answer=answer))

    def break_once(self, step: str) -> None:
        """Let the world fail at `step`, once; see `DemoWorld.breakable`."""
        assert step in (*self.world.breakable, RELEASE_PHASE), step
        mark = self.world.folder / "broken" / step
        mark.parent.mkdir(exist_ok=True)
        mark.touch()

    def repair(self, step: str) -> None:
        """Take the mark of `break_once` away."""
        (self.world.folder / "broken" / step).unlink(missing_ok=True)

    async def push(self, name: str, branch: str, files: Mapping[str, str]) -> str:
        """Somebody commits `files` to a branch of `name` and pushes it; returns the commit."""
        work = self.world.folder / "checkouts" / name
        await self.git(name, "checkout", "--quiet", "--force", branch)
        await self.git(name, "pull", "--quiet", "--ff-only", "origin", branch)
        for path, text in files.items():
            (work / path).write_text(text)
        await self.git(name, "add", "--all")
        await self.git(name, "commit", "--quiet", "--message", "A change by somebody")
        await self.git(name, "push", "--quiet", "origin", branch)
        return (await self.git(name, "rev-parse", "HEAD")).strip()

    async def upload(self, name: str, filename: str, body: bytes, author: str = "") -> None:
        """Somebody uploads a file of version `NEW` to the index."""
        form = aiohttp.FormData({"name": name, "version": NEW, "author": author})
        form.add_field("content", body, filename=filename)
        headers = {"Authorization": aiohttp.encode_basic_auth("__token__", self.world.index.token)}
        async with (
            aiohttp.ClientSession() as client,
            client.post(self.world.index.publish_url, data=form, headers=headers) as answer,
        ):
            assert answer.status == 200, await answer.text()

    def hook(self, remote: str, name: str, script: str) -> str:
        """Install a hook into the bare repository at `remote`; returns what was there before."""
        path = Path(remote) / "hooks" / name
        before = path.read_text() if path.exists() else ""
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return before

    async def heroku(self, *args: str) -> None:
        """Type a command of the platform."""
        await _run(self.world.platform.bin / "heroku", *args, cwd=self.world.folder, env=self.environ)

    # ── looking ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def progress(self) -> Progress:
        """The newest ship as it stands."""
        found = (await self.station.conductor.status(RELEASE)).progress
        assert found
        return found

    async def report(self) -> str:
        """What the operator reads about the newest ship."""
        return "\n".join(console.report(await self.progress()))

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
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await enough.wait()

        self.listeners.append(listen)
        return wait

    async def git(self, name: str, *args: str) -> str:
        """Run git in the checkout of `name`."""
        who = {f"GIT_{k}_{f}": "somebody@localhost" for k in ("AUTHOR", "COMMITTER") for f in ("NAME", "EMAIL")}
        env = {"PATH": os.environ["PATH"], "HOME": str(self.world.folder), "GIT_CONFIG_NOSYSTEM": "1", **who}
        return await _run("git", *args, cwd=self.world.folder / "checkouts" / name, env=env)

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
        registry, apps = self.station.settings.registry, list[str]()
        for frozen in status.release.frozen:
            match registry.repositories[frozen.repository]:
                case Package() as package:
                    await self._require_published(package, frozen.sha, [one.filename for one in frozen.artefacts], tags)
                case App() as app:
                    apps.append(app.name)
                    await self._require_deployed(app, frozen, releases if app.hub else 1)
        self._require_order(apps)
        assert len(self.of("platform.run")) == (runs if "gold-seats" in status.release.members else 0)
        for task in status.tasks:
            moves = (await self.station.board.show(task.slug)).moves
            assert all(one.to == other.origin for one, other in pairwise(moves)), moves
        self.require_possible()

    def require_possible(self) -> None:
        """At no instant was anything in the world that could not be."""
        assert self.world.index.violations == []
        assert [kind for kind, _ in self.effects if kind.endswith(".impossible")] == []

    async def _require_published(self, package: Package, sha: str, files: list[str], tags: bool) -> None:
        published = [one["filename"] for one in self.of("index.published", name=package.distribution, version=NEW)]
        assert sorted(map(str, published)) == sorted(files)
        assert self.world.origins.head(package.name, "main") == sha
        if tags:
            assert await self.station.ports.repositories.tag_commit(package, f"v{NEW}") == sha

    async def _require_deployed(self, app: App, frozen: Frozen, releases: int) -> None:
        head, repositories = self.world.origins.head(app.name, "main"), self.station.ports.repositories
        assert [one["commit"] for one in self.of("platform.release", app=app.name)] == [head] * releases
        if not frozen.by_reference:
            assert head == frozen.sha
            return
        assert head == self.world.origins.head(app.name, "release")
        main = await repositories.branch_head(app, "main")
        assert main and await repositories.parents(app, main) == (frozen.sha,)
        locked = tomllib.loads((await repositories.read(app, main, "uv.lock") or b"").decode())["package"]
        versions = {one["name"]: one["version"] for one in locked if "registry" in one["source"]}
        assert versions == dict.fromkeys(frozen.by_reference, NEW)

    def _require_order(self, apps: Sequence[str]) -> None:
        """Dependencies before dependants, packages before apps, the hub before the satellites."""
        told = [str(one.get("name") or one.get("app")) for kind, one in self.effects if kind in _ACTS]
        order = list(dict.fromkeys(told))
        assert order == [one for one in ("coin-core", "coin-ledger", "treasury", "wallet", "kiosk") if one in order]
        assert set(apps) <= set(order)

    async def _watch(self) -> None:
        with suppress(asyncio.CancelledError):
            while True:
                self.world.index.look()
                await asyncio.sleep(0.01)


_ACTS = ("index.published", "platform.release", "platform.run")


async def _run(program: str | Path, *args: str, cwd: Path, env: Mapping[str, str]) -> str:
    child = await asyncio.create_subprocess_exec(program, *args, cwd=cwd, env=env, stdout=PIPE, stderr=PIPE)
    out, err = await child.communicate()
    assert child.returncode == 0, err.decode()
    return out.decode()
