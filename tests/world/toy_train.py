"""Trains in the toy world. The whole one: two packages (one needs the other), a hub and two satellites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec.structs import replace

from core.board import Board
from core.conductor import Answer, Conductor
from core.journal import Run
from core.permissions import Actor, Face, Role
from core.ports import Ports
from core.records import Records
from core.registry import App, Package, Registry, Sha, Target
from core.tasks import Task, TaskType, Work
from core.train.dispatcher import Dispatcher
from core.train.progress import Progress
from tests.world.reviewing import ADA as ADA
from tests.world.reviewing import REX as REX
from tests.world.reviewing import brought_to_review
from tests.world.toy import World
from tests.world.toy_ports import toy_ports

OLIVE = Actor("test:olive", "olive", frozenset({Role.OPERATOR}), Face.CLI)
RELEASE = "r1"
TARGET = Target(strategy="toy", smoke_url="http://localhost")
QA = Target(strategy="toy", options={"app": "qa"}, smoke_url="http://qa.localhost")


def registry() -> Registry:
    """Names are in an order that is not the order of shipping."""
    packages = [
        Package(name="ledger", url="x", ecosystem="toy", version_file="VERSION", release_check=("check", "ledger")),
        Package(name="money", url="x", ecosystem="toy", version_file="VERSION"),
    ]
    apps = [
        App(name="turf", url="x", prod_deploy=TARGET),
        App(name="hub", url="x", hub=True, test_cmd=("test", "hub"), prod_deploy=TARGET),
        App(name="docs", url="x", test_cmd=("test", "docs")),
    ]
    return registry_of(packages, apps)


def registry_with_qa() -> Registry:
    """The same, where hub and turf are seen on QA, and two repositories declare what QA wants to be green before."""
    without = registry()
    apps = {
        name: replace(app, qa_deploy=QA, qa_test_cmd=app.test_cmd) if app.prod_deploy else app
        for name, app in without.apps.items()
    }
    money = replace(without.packages["money"], qa_test_cmd=("qa", "money"))
    return Registry({**without.packages, "money": money}, apps)


def registry_of(packages: Sequence[Package], apps: Sequence[App]) -> Registry:
    """A registry in the order given."""
    return Registry({p.name: p for p in packages}, {a.name: a for a in apps})


FILES = {
    "money": {"VERSION": b"1.1.0", "code.py": b"money"},
    "ledger": {"VERSION": b"2.0.0", "code.py": b"ledger", "needs.txt": b"money==1.1.0\n"},
    "hub": {"needs.txt": b"money@release\nledger@release\n"},
    "turf": {"needs.txt": b"ledger@release\nother==1.0.0\n", "needs.lock": b"other==1.0.0\n"},
    "docs": {"readme": b"docs"},
}


def lay_out(world: World, registered: Registry | None = None, files: Mapping[str, Mapping[str, bytes]] = FILES) -> None:
    """Origin's branches: main, which runs already, and a release branch one commit ahead of it with `files`."""
    registered = registered or registry()
    world.hub = next((app.name for app in registered.apps.values() if app.hub), None)
    for name, content in files.items():
        root = world.commit({"empty": name.encode()})
        world.refs[name, "main"] = root
        world.refs[name, "release"] = world.commit(content, root)
        if name in registered.apps and registered.apps[name].prod_deploy:
            world.running[name] = root
        if name in registered.packages:
            needs = content.get("needs.txt", b"").decode().split()
            world.requires[name] = tuple(ours for need in needs if (ours := need.split("==")[0]) in registered.packages)


def lay_out_branches(world: World, drafts: Sequence[Task]) -> None:
    """Origin's branches after `lay_out`, before anything was merged: the work is on the branches of `drafts`."""
    for task in drafts:
        for work in task.works:
            release = (work.repository, "release")
            world.refs[work.repository, work.branch] = world.refs[release]
            world.refs[release] = world.refs[work.repository, "main"]


def draft(slug: str, *repositories: str, command: str = "", depends_on: tuple[str, ...] = ()) -> Task:
    """A task as somebody would type it."""
    return Task(
        slug=slug,
        title=f"Task {slug}",
        type=TaskType.FEATURE,
        shape="toy",
        works=tuple(Work(name, f"feat/{slug}") for name in repositories),
        post_deploy_cmd=command,
        depends_on=depends_on,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


class Station:
    """One process: the use cases over `world` and the database; make a new one after a power cut."""

    def __init__(self, world: World, records: Records, scratch: Path, registered: Registry | None = None) -> None:
        self.world, self.registry = world, registered or registry()
        self.ports: Ports = toy_ports(world, records, scratch)
        self.board = Board(self.registry, {"toy": ("unit",)}, self.ports)
        self.conductor = Conductor(self.registry, self.ports)
        self.dispatcher = Dispatcher(self.ports, "the test")

    def configured(self, said: Mapping[str, str]) -> Station:
        """A process on the same record that is configured like this; see `core.train.confirmed`."""
        other = Station(self.world, self.ports.records, self.ports.scratch, self.registry)
        other.ports = msgspec.structs.replace(other.ports, configuration=said)
        other.conductor = Conductor(other.registry, other.ports)
        other.dispatcher = Dispatcher(other.ports, "the test, configured otherwise")
        return other

    async def reviewed(self, *drafts: Task) -> list[str]:
        """Tasks that went all the way to reviewed."""
        for one in drafts:
            await self.board.new(ADA, one)
            await brought_to_review(self.board, one.slug)
        return [one.slug for one in drafts]

    async def prepared(self, *drafts: Task) -> None:
        """An assembled release with `drafts` aboard."""
        await self.conductor.open(OLIVE, RELEASE, await self.reviewed(*drafts))
        await self.conductor.freeze(OLIVE, RELEASE)

    async def brought_to_qa(self) -> Run:
        """Prepare, and drive to wherever it ends."""
        return await self.dispatcher.drive((await self.conductor.prepare(OLIVE, RELEASE)).id)

    async def confirmed(self) -> int:
        """Offer and confirm; returns the id of the ship."""
        offer = await self.conductor.offer(OLIVE, RELEASE)
        assert not offer.proposal.problems, offer.proposal.problems
        return (await self.conductor.ship(OLIVE, RELEASE, offer.proposal.digest)).id

    async def shipped(self) -> Run:
        """Offer, confirm and drive to wherever it ends."""
        return await self.dispatcher.drive(await self.confirmed())

    async def resumed(self, answer: Answer | None = None) -> Run:
        """Resume and drive to wherever it ends."""
        return await self.dispatcher.drive((await self.conductor.resume(OLIVE, RELEASE, answer)).id)

    async def progress(self) -> Progress:
        """What the report of the newest ship says."""
        found = (await self.conductor.status(RELEASE)).progress
        assert found
        return found

    def frozen(self, name: str) -> Sha:
        """The head of a release branch, as `prepared` froze it."""
        return self.world.refs[name, "release"]


WHOLE_TRAIN = (
    draft("pay", "money", "ledger"),
    draft("seats", "hub", "turf", command="rake 'seed seats'", depends_on=("pay",)),
    draft("words", "docs"),
)
