"""The places of the toy world behind the ports: git, a package registry with its shelf, platforms, gates, smoke."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Unpack

from core.errors import Refused, StepFailed
from core.journal import PageCheck, SealRecord, SealStatus
from core.observations import Already, Blind, Facts, NotYet, Observation
from core.ports import Declared, Dependency, Finished, How, Listing, Locked, Needs, Origin, Pin, Required
from core.registry import App, Argv, Package, Repository, Sha, Target
from core.releases import Artefact
from core.repositories import Relation
from tests.world.toy import Place
from tests.world.toy_merges import ToyMerges

_NEEDS = b"\nneeds:\n"


class ToyRepositories(ToyMerges):
    """git, as far as the train uses it."""

    async def branch_head(self, repository: Repository, branch: str) -> Sha | None:
        await self._world.ask(f"git {repository.name}")
        return self._world.refs.get((repository.name, branch))

    async def tag_commit(self, repository: Repository, tag: str) -> Sha | None:
        await self._world.ask(f"git {repository.name}")
        return self._world.tags.get((repository.name, tag))

    async def relation(self, repository: Repository, ours: Sha, theirs: Sha) -> Relation:
        if ours == theirs:
            return Relation.EQUAL
        if ours not in self._world.commits or theirs not in self._world.commits:
            return Relation.UNKNOWN
        if theirs in self._world.ancestors(ours):
            return Relation.AHEAD
        return Relation.BEHIND if ours in self._world.ancestors(theirs) else Relation.DIVERGED

    async def read(self, repository: Repository, commit: Sha, path: str) -> bytes | None:
        return self._world.commits[commit][1].get(path)

    async def mode(self, repository: Repository, commit: Sha, path: str) -> str:
        there = "100755" if path in self._world.commits[commit][1] else ""
        return self._world.modes.get(path, there)

    async def paths(self, repository: Repository, commit: Sha) -> frozenset[str]:
        return frozenset(self._world.commits[commit][1])

    async def parents(self, repository: Repository, commit: Sha) -> tuple[Sha, ...]:
        return self._world.commits[commit][0]

    async def changed_paths(self, repository: Repository, old: Sha, new: Sha) -> frozenset[str]:
        before, after = self._world.commits[old][1], self._world.commits[new][1]
        return frozenset(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))

    async def commit_epoch(self, repository: Repository, commit: Sha) -> int:
        return 0

    @asynccontextmanager
    async def checkout(self, repository: Repository, commit: Sha) -> AsyncGenerator[Path]:
        folder = Path(tempfile.mkdtemp())
        try:
            for path, text in self._world.commits[commit][1].items():
                (folder / path).write_bytes(text)
            yield folder
        finally:
            shutil.rmtree(folder)

    async def derive(self, repository: Repository, parent: Sha, files: Mapping[str, bytes], message: str) -> Sha:
        made = self._world.commit({**self._world.commits[parent][1], **files}, parent)
        self._world.messages[made] = ("Stationmaster", message)
        return made

    async def push(self, repository: Repository, commit: Sha, branch: str, *, expected: Sha | None) -> None:
        place = (repository.name, branch)
        await self._world.ask(f"push {repository.name}")
        if self._world.refs.get(place) == commit:
            return
        if self._world.refs.get(place) != expected:
            raise StepFailed(f"{branch} of {repository.name} has moved")
        if expected and expected not in self._world.ancestors(commit):
            raise StepFailed(f"{branch} of {repository.name} was not pushed", "it is no fast-forward")

        def apply() -> None:
            self._world.refs[place] = commit

        self._world.effect("push", repository.name, branch, commit, apply=apply)
        await self._world.ask(f"answer of push {repository.name}")

    async def push_tag(self, repository: Repository, tag: str, commit: Sha) -> None:
        await self._world.ask(f"tag {repository.name}")
        place = (repository.name, tag)
        if self._world.tags.get(place) == commit:
            return
        if place in self._world.tags:
            raise StepFailed(f"{tag} of {repository.name} is another commit")

        def apply() -> None:
            self._world.tags[place] = commit

        self._world.effect("tag", repository.name, tag, apply=apply)


class ToyEcosystem(Place):
    """Manifest lines `name@branch` or `name==version`; the lock has what the registry offers, and `name@commit`.

    A built file is called `name-version.pkg`, or what the file BUILDS says; below its code stands what it needs.
    """

    name, manifest, lock, credentials, tools = "toy", "needs.txt", "needs.lock", (), ("toy",)

    def version(self, package: Package, text: bytes) -> str:
        return text.decode().strip().replace("computed", "")

    def consumer_files(self, paths: Collection[str]) -> tuple[str, ...]:
        return tuple(path for path in (self.manifest, self.lock) if path in paths)

    def dependencies(self, files: Mapping[str, bytes]) -> tuple[Dependency, ...]:
        locked = {one.name: one.version for one in self.locked(files) if one.origin is Origin.REGISTRY}
        found: list[Dependency] = []
        for line in files.get(self.manifest, b"").decode().splitlines():
            name = line.replace("==", "@").split("@")[0]
            found.append(Dependency(name, "@" in line, locked.get(name)))
        return tuple(found)

    def repinned(self, files: Mapping[str, bytes], pins: Sequence[Pin]) -> Mapping[str, bytes]:
        wanted = {pin.distribution: f"@{pin.commit}" if pin.commit else f"=={pin.version}" for pin in pins}
        before = files.get(self.manifest, b"")
        lines = before.decode().splitlines()
        names = [line.replace("==", "@").split("@")[0] for line in lines]
        elsewhere = [name for line, name in zip(lines, names, strict=True) if "==" in line or "@.." in line]
        if any("@" in wanted.get(name, "") for name in elsewhere):
            raise Refused("what is not in git cannot be at a commit")
        pinned = [f"{n}{wanted[n]}" if n in wanted else line for n, line in zip(names, lines, strict=True)]
        after = ("\n".join(pinned) + "\n").encode()
        return {} if after == before else {self.manifest: after}

    def locked(self, files: Mapping[str, bytes]) -> tuple[Locked, ...]:
        lines = files.get(self.lock, b"").decode().splitlines()
        published = [line.split("==") for line in lines if "==" in line]
        unpublished = [line.split("@") for line in lines if "@" in line]
        found = [Locked(name=name, origin=Origin.REGISTRY, version=version) for name, version in published]
        found += [Locked(name=name, origin=Origin.GIT, commit=Sha(commit)) for name, commit in unpublished]
        return tuple(sorted(found, key=lambda one: one.name))

    def is_newer(self, version: str, than: str) -> bool:
        return tuple(map(int, version.split("."))) > tuple(map(int, than.split(".")))

    async def build(
        self, package: Package, worktree: Path, out: Path, *, epoch: int, log: Path
    ) -> tuple[Artefact, ...]:
        code, needs, other = (worktree / name for name in ("code.py", self.manifest, "BUILDS"))
        self._world.built.append(package.name)
        text = code.read_bytes() + (f"\nbuild {len(self._world.built)}".encode() if self._world.unsteady else b"")
        text += _NEEDS + needs.read_bytes() if needs.exists() else b""
        name = f"{package.name}-{self.version(package, (worktree / (package.version_file or code)).read_bytes())}"
        file = f"{other.read_text() if other.exists() else name}.pkg"
        out.mkdir(parents=True, exist_ok=True)
        (out / file).write_bytes(text)
        return (Artefact(file, hashlib.sha256(text).hexdigest(), len(text)),)

    def declared(self, package: Package, files: Sequence[Path]) -> Declared:
        [file] = files
        name, _, version = file.stem.rpartition("-")
        lines = file.read_bytes().partition(_NEEDS)[2].decode().split()
        if branches := [line for line in lines if "@" in line]:
            raise Refused(f"{file.name} requires {', '.join(branches)}", "that is no published version")
        needs = [Required(line.partition("==")[0], line.partition("==")[2]) for line in lines]
        return Declared(name=name, version=version, requires=tuple(sorted(needs)))

    def accepts(self, range: str, version: str) -> bool:
        return range in ("", version)

    async def listing(self, package: Package, version: str) -> Listing:
        await self._world.ask("registry")
        place = (package.distribution, version)
        return Listing(self._world.published.get(place, {}), yanked=place in self._world.yanked, owner="somebody")

    async def available(self, package: Package) -> frozenset[str]:
        await self._world.ask("registry")
        live = self._world.published.keys() - self._world.yanked
        return frozenset(version for name, version in live if name == package.distribution)

    async def is_installable(self, package: Package, version: str) -> bool:
        await self._world.ask("index")
        return (package.distribution, version) in self._world.published and not self._world.propagation

    def publish_commands(self, package: Package, names: Sequence[str]) -> tuple[Argv, ...]:
        return (("toy", "publish", *names),)

    async def publish(self, package: Package, files: Sequence[Path], *, log: Path) -> None:
        await self._world.ask(f"publish {package.name}")
        place = (package.distribution, files[0].stem.rpartition("-")[2])
        content = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
        if place in self._world.yanked or self._world.published.get(place, content) != content:
            raise Refused(f"{package.name} {place[1]} is taken")
        missing = [n for n in self._world.requires.get(package.name, ()) if not self._is_live(n)]
        if missing:
            self._world.impossible.append(f"{package.name} before {missing}")

        def apply() -> None:
            self._world.published[place] = content

        if place not in self._world.published:
            self._world.effect("publish", package.name, place[1], apply=apply)
        await self._world.ask(f"answer of publish {package.name}")

    def _is_live(self, name: str) -> bool:
        return any(name == published for published, _ in self._world.published)

    def lock_commands(self, pins: Sequence[Pin]) -> tuple[Argv, ...]:
        return (("toy", "lock", *(pin.distribution for pin in pins)),)

    async def refresh_lock(self, worktree: Path, pins: Sequence[Pin], *, log: Path) -> None:
        await self._world.ask("index")
        lines = (worktree / self.manifest).read_text().splitlines()
        for pin in pins:
            is_there = (pin.distribution, pin.version) in self._world.published
            if pin.commit:
                is_there = self._world.refs[pin.package, "release"] == pin.commit
            if not is_there:
                self._world.impossible.append(f"a consumer before {pin.distribution} {pin.exact}")
        if self._world.stuck_locks:  # the resolver exits 0 and moves nothing (L13)
            self._world.stuck_locks -= 1
            (worktree / self.lock).touch()
            return
        exact = [line for line in lines if "==" in line or line.partition("@")[2] in self._world.commits]
        exact = [line for line in exact if line.replace("@", "==").split("==")[0] not in self._world.also_locked]
        exact += [f"{name}{how}" for name, how in self._world.also_locked.items()]
        (worktree / self.lock).write_text("\n".join(sorted(exact)) + "\n")


class ToyShelf(Place):
    """Built files in memory."""

    def keep(self, path: Path) -> Artefact:
        text = path.read_bytes()
        sha = hashlib.sha256(text).hexdigest()
        self._world.kept[sha] = text
        return Artefact(path.name, sha, len(text))

    def lay_out(self, artefacts: Sequence[Artefact], folder: Path) -> tuple[Path, ...]:
        folder.mkdir(parents=True, exist_ok=True)
        if lost := self.missing(artefacts):
            raise Refused(f"{lost[0].filename} is not on the shelf")
        for artefact in artefacts:
            (folder / artefact.filename).write_bytes(self._world.kept[artefact.sha256])
        return tuple(folder / artefact.filename for artefact in artefacts)

    def missing(self, artefacts: Sequence[Artefact]) -> tuple[Artefact, ...]:
        return tuple(artefact for artefact in artefacts if artefact.sha256 not in self._world.kept)


class ToyStrategy(Place):
    """A platform that says what it runs, unless the app is in `world.blind`."""

    name = "toy"

    def needs(self, app: App, target: Target) -> Needs:
        return Needs(credentials=("TOY_KEY",))

    def commands(self, app: App, target: Target, commit: str) -> tuple[Argv, ...]:
        return (("toy", "deploy", app.name, commit),)

    async def observe(self, app: App, target: Target, commit: Sha) -> Observation:
        if app.name in self._world.blind:
            return Blind("it cannot say what it runs")
        await self._world.ask(f"platform {_named(app, target)}")
        return Already({"verified": True}) if self._running(app, target).get(app.name) == commit else NotYet()

    async def deploy(self, app: App, target: Target, commit: Sha, *, log: Path) -> Facts:
        name, running, branch = _named(app, target), self._running(app, target), _branch(app, target)
        await self._world.ask(f"deploy {name}")
        hub = self._world.hub
        if hub in running and app.name != hub and running.get(hub) != self._world.refs.get((hub, branch)):
            self._world.impossible.append(f"{name} before its hub")
        if commit not in self._world.ancestors(self._world.refs[app.name, branch]):
            self._world.impossible.append(f"{name} before its {branch}")

        def apply() -> None:
            running[app.name] = commit

        self._world.effect("deploy", name, commit, apply=apply)
        await self._world.ask(f"answer of deploy {name}")
        return {"verified": app.name not in self._world.blind}

    def run_argv(self, app: App, target: Target, command: Argv) -> Argv | None:
        return ("toy", "run", app.name, *command)

    async def run(self, app: App, target: Target, command: Argv, commit: Sha, *, log: Path) -> Facts:
        name = _named(app, target)
        await self._world.ask(f"run {name}")
        if self._running(app, target).get(app.name) != commit:
            self._world.impossible.append(f"a command on {name} before its new code runs")
        self._world.effect("run", name, *command, apply=lambda: None)
        await self._world.ask(f"answer of run {name}")
        return {"exit": 0}

    async def rollback(self, app: App, target: Target, bad: Sha, before: Sha | None) -> tuple[str, ...]:
        return (f"toy rollback {app.name}",)

    def _running(self, app: App, target: Target) -> dict[str, Sha]:
        return self._world.on_qa if target == app.qa_deploy else self._world.running


def _named(app: App, target: Target) -> str:
    return f"{app.name} on QA" if target == app.qa_deploy else app.name


def _branch(app: App, target: Target) -> str:
    return "release" if target == app.qa_deploy else "main"


class ToyProcesses(Place):
    """Gates, whose last word is the repository: red for those in `world.red_gates`."""

    def finds(self, program: str) -> bool:
        return program not in self._world.absent

    async def run(self, argv: Argv, *, cwd: Path | None = None, **how: Unpack[How]) -> Finished:
        await self._world.ask(f"gate {argv[-1]}")
        return Finished(1 if argv[-1] in self._world.red_gates else 0, "", "")


class ToySmoke(Place):
    """Red for the apps in `world.red_sites`."""

    async def check(self, app: App) -> SealRecord:
        await self._world.ask(f"smoke {app.name}")
        ok = app.name not in self._world.red_sites
        status = SealStatus.GREEN if ok else SealStatus.RED
        checks = (PageCheck("/up", ok, "200" if ok else "503"),)
        return SealRecord(app=app.name, status=status, summary="1 check", checked_at=self._world.now, checks=checks)
