"""What every repository of a train looks like from outside, for the status table: bounded, side by side, looks only.

Nothing here refuses: what cannot be told is `UNKNOWN`, with the reason beside it (L11).
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Awaitable, Mapping, Sequence
from enum import StrEnum
from typing import TypeVar

import msgspec

from core.errors import Reason, Trouble, Unreachable
from core.journal import Entry, EntryState
from core.observations import Already, Blind, CannotTell, NotYet
from core.ports import Ports
from core.registry import App, Package, Place, Sha
from core.releases import Release, ReleaseState
from core.repositories import Relation
from core.tasks import Task
from core.train.branch import Foreign, ReleaseBranch, foreign, look_at, trouble_of

_LOOK_SECONDS = 8.0
_PLACE_SECONDS = 4.0  # a target that hangs must not cost us what origin says
T = TypeVar("T")


class Mark(StrEnum):
    """An answer. UNVERIFIED: we put it there, and nothing says that it runs. NONE: there is no such question."""

    YES = "yes"
    UNVERIFIED = "not verified"
    NO = "no"
    UNKNOWN = "?"
    NONE = "—"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One task in one repository: is its work on the release branch, on QA, in the freeze, in production?"""

    task: str
    repository: str
    merged: Mark = Mark.UNKNOWN
    qa: Mark = Mark.UNKNOWN
    frozen: Mark = Mark.UNKNOWN
    live: Mark = Mark.UNKNOWN


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """One repository. `branch` is None when origin did not answer, and `troubles` says why.

    `has_main`: does the release branch contain main? `grown`: tasks whose merge stands and whose branch went on.
    `frozen`: what the freeze took of it; `repinned`: the commit that the ship made of that. `is_in_main`: of the frozen
    one. `redeploy`: the command that puts it into production, where there is one.
    """

    repository: Package | App
    rows: tuple[Row, ...]
    branch: ReleaseBranch | None = None
    frozen: Sha | None = None
    repinned: Sha | None = None
    has_main: Mark = Mark.UNKNOWN
    is_in_main: Mark = Mark.UNKNOWN
    redeploy: str = ""
    grown: tuple[str, ...] = ()
    foreign: tuple[Foreign, ...] = ()
    troubles: tuple[Reason, ...] = ()


async def sight(
    repository: Package | App, release: Release, tasks: Sequence[Task], journal: Mapping[str, Entry], ports: Ports
) -> Sighting:
    """Look at one repository of `release`, whose members are `tasks`."""
    mine = [(task, work.branch) for task in tasks for work in task.works if work.repository == repository.name]
    blank = Sighting(repository=repository, rows=tuple(Row(task=t.slug, repository=repository.name) for t, _ in mine))
    look = _Look(repository, release, {entry.step: entry for entry in journal.values()}, ports)
    try:
        return await _within(_LOOK_SECONDS, look.sighting(mine, tasks), repository.name)
    except Trouble as trouble:
        return msgspec.structs.replace(blank, troubles=trouble.reasons)


class _Look:
    def __init__(self, repository: Package | App, release: Release, journal: Mapping[str, Entry], ports: Ports) -> None:
        self._repository, self._release, self._journal, self._ports = repository, release, journal, ports
        self._frozen = next((one.sha for one in release.frozen if one.repository == repository.name), None)
        self._repinned = self._did(f"repin:{repository.name}")
        self._silent: set[Place] = set()

    async def sighting(self, mine: Sequence[tuple[Task, str]], members: Sequence[Task]) -> Sighting:
        found = await look_at(self._repository, {branch for _, branch in mine}, self._ports)
        on_qa, live = await asyncio.gather(
            self._runs(Place.QA, found.release), self._runs(Place.PRODUCTION, found.main)
        )
        heads = {task.slug: self._head(task, branch, found) for task, branch in mine}
        rows = [
            Row(
                task=slug,
                repository=self._repository.name,
                merged=await self._contains(found.release or found.main, head),
                qa=self._hedged(Place.QA, await self._contains(on_qa, head)),
                frozen=await self._contains(self._frozen or Mark.NO, head),
                live=self._hedged(Place.PRODUCTION, await self._contains(live, head)),
            )
            for slug, head in heads.items()
        ]
        active = self._release.is_active
        troubles = [await trouble_of(task.slug, branch, found, self._ports) for task, branch in mine] if active else []
        return Sighting(
            repository=self._repository,
            rows=tuple(rows),
            branch=found,
            frozen=self._frozen,
            repinned=self._repinned,
            has_main=await self._contains(found.release, found.main),
            is_in_main=await self._contains(found.main, self._frozen),
            redeploy=self._redeploy(),
            grown=tuple(row.task for row in rows if row.merged is Mark.NO and found.merges_of(row.task)),
            foreign=await foreign(found, members, self._ports) if active else (),
            troubles=tuple(reason for reason in troubles if reason),
        )

    def _hedged(self, place: Place, mark: Mark) -> Mark:
        """A place that does not say what it runs proves nothing, whatever we have put there."""
        return Mark.UNVERIFIED if mark is Mark.YES and place in self._silent else mark

    def _head(self, task: Task, branch: str, found: ReleaseBranch) -> Sha | None:
        """What the task's work is: of a shipped train what was frozen, since branches go on and are deleted."""
        if self._release.state is ReleaseState.SHIPPED:
            return self._frozen
        merged = next((merge.parents[1] for merge in found.merges_of(task.slug)), None)
        return found.heads.get(branch) or merged

    async def _contains(self, point: Sha | Mark | None, head: Sha | None) -> Mark:
        if isinstance(point, Mark):
            return point
        if point is None or head is None:
            return Mark.NO
        match await self._ports.repositories.relation(self._repository, point, head):
            case Relation.EQUAL | Relation.AHEAD:
                return Mark.YES
            case Relation.BEHIND | Relation.DIVERGED:
                return Mark.NO
            case Relation.UNKNOWN:
                return Mark.UNKNOWN

    async def _runs(self, place: Place, head: Sha | None) -> Sha | Mark | None:
        """The commit that runs at `place`, as far as it is one that we know: the branch's head, or what we put there.

        Packages, and apps that go nowhere, are live when main has them (spec 6.7).
        """
        target = self._repository.target(place) if isinstance(self._repository, App) else None
        if not isinstance(self._repository, App) or target is None:
            return Mark.NONE if place is Place.QA else head
        ours = self._did(f"{'qa-' if place is Place.QA else ''}deploy:{self._repository.name}")
        strategy = self._ports.strategies[target.strategy]
        for commit in dict.fromkeys((head, ours)):
            if commit is None:
                continue
            try:
                seen = await _within(_PLACE_SECONDS, strategy.observe(self._repository, target, commit), place)
            except Trouble:
                return Mark.UNKNOWN
            match seen:
                case Already():
                    return commit
                case Blind():
                    self._silent.add(place)
                    return ours or Mark.UNKNOWN
                case CannotTell():
                    return Mark.UNKNOWN
                case NotYet():
                    pass
        return Mark.NO

    def _redeploy(self) -> str:
        app, commit = self._repository, self._repinned or self._frozen
        if not isinstance(app, App) or not app.prod_deploy or not commit:
            return ""
        strategy = self._ports.strategies[app.prod_deploy.strategy]
        return " && ".join(shlex.join(argv) for argv in strategy.commands(app, app.prod_deploy, commit))

    def _did(self, step: str) -> Sha | None:
        """The commit that a step of this train ended with."""
        entry = self._journal.get(step)
        return (
            Sha(str(entry.facts["sha"])) if entry and entry.state is EntryState.DONE and "sha" in entry.facts else None
        )


async def _within(seconds: float, look: Awaitable[T], where: str) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await look
    except TimeoutError as error:
        why = f"waited {seconds:g} s"
        raise Unreachable(f"{where} did not answer in time", why, "release status, in a while") from error
