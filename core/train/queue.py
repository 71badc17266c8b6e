"""The merge queue: what every release branch will be, worked out in memory before anything is pushed (spec 4).

Looks only; `core.train.steps.merge` pushes what it found, and `core.train.steps.eject` takes off what does not fit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from core.errors import Reason, Refused, Trouble, Unreachable
from core.order import riding
from core.ports import Ports
from core.registry import App, Package, Registry, Repository, Sha, unknown
from core.releases import Release, Stay
from core.repositories import Conflict, Relation
from core.tasks import Task, Work
from core.train.branch import (
    Foreign,
    ReleaseBranch,
    first_parents,
    foreign,
    look_at,
    merge_message,
    trouble_of,
    without_pins,
)
from core.train.consumer import uses
from core.words import short

T = TypeVar("T")


class TaskMerge(msgspec.Struct, frozen=True, kw_only=True):
    """One true merge commit. The same parents and message make the same `commit`, on any machine.

    `head`: where the task's branch was on origin; it is the second parent.
    """

    task: str
    repository: str
    branch: str
    head: Sha
    commit: Sha


class BranchQueue(msgspec.Struct, frozen=True, kw_only=True):
    """A release branch on its way: origin's now (`expected`; None: not there yet), `base` (brought to contain `main`),
    then the merges in order, up to `tip`. Nothing is to be done when `tip` equals `expected`.

    `work`: `tip` without pins of ours on top. `by_reference`: packages of ours that an app takes from a branch there;
    `stays`: those that it takes in a way that no re-pin moves.
    """

    repository: str
    expected: Sha | None
    main: Sha | None
    base: Sha
    merges: tuple[TaskMerge, ...]
    tip: Sha
    work: Sha
    by_reference: tuple[str, ...] = ()
    stays: tuple[Stay, ...] = ()
    foreign: tuple[Foreign, ...] = ()


class Ejection(msgspec.Struct, frozen=True, kw_only=True):
    """A member that cannot ride: the conflicting paths by repository, and why, in words for its builder.

    `needs`: the ejected member that it depends on, where that is the reason.
    """

    task: str
    because: str
    conflicts: dict[str, tuple[str, ...]] = {}
    needs: str = ""


class Queue(msgspec.Struct, frozen=True):
    """Every repository of the train: packages, the hub, satellites; and who is left behind, dependencies first."""

    branches: tuple[BranchQueue, ...]
    ejections: tuple[Ejection, ...]


def order(tasks: Sequence[Task], registry: Registry) -> list[Task]:
    """Tasks with packages, then the others, each in the given order; but dependencies always first (spec 4.1). Pure.

    Refused when they depend on each other in a circle.
    """
    waiting = sorted(tasks, key=lambda task: registry.packages.keys().isdisjoint(task.repositories))
    aboard, placed = {task.slug for task in tasks}, dict[str, Task]()
    while waiting:
        ready = next((task for task in waiting if not aboard & {*task.depends_on} - placed.keys()), None)
        if ready is None:
            circle = ", ".join(task.slug for task in waiting)
            raise Refused("tasks depend on each other in a circle", circle, "task depend TASK --remove one of them")
        waiting.remove(ready)
        placed[ready.slug] = ready
    return list(placed.values())


async def queue_of(release: Release, tasks: Sequence[Task], registry: Registry, ports: Ports) -> Queue:
    """The queue of `release` as origin is now; changes nothing that others see. `tasks`: its members, as attached.

    Raises what no ejection can mend, for all repositories at once: Unreachable, or Refused (main does not merge).
    """
    if not release.is_active:
        raise Refused(f"{release.slug} takes no merges", f"it is {release.state}", "release open NAME")
    strangers = sorted({name for task in tasks for name in task.repositories} - registry.repositories.keys())
    _raise_all([Refused(*unknown("repository", name, registry.repositories)) for name in strangers])
    rides = order(tasks, registry)
    lines = await _all_of(_line(repository, rides, ports) for repository in riding(rides, registry))
    merging = _Merging({line.found.repository.name: line for line in lines}, ports)
    seats = list[tuple[Task, asyncio.Task[None]]]()
    async with asyncio.TaskGroup() as group:
        for task in rides:
            before = [seat for other, seat in seats if _meet(task, other)]
            seats.append((task, group.create_task(merging.take(task, before), name=f"merge {task.slug}")))
    _raise_all(merging.troubles)
    staying = [task for task in rides if task.slug not in merging.ejected]
    packages = list(registry.packages.values())
    branches = await _all_of(line.closed(staying, packages, ports) for line in lines)
    return Queue(tuple(branches), tuple(merging.ejected[task.slug] for task in rides if task not in staying))


async def rebuilt(repository: Repository, queue: BranchQueue, ports: Ports) -> Sha:
    """Make the merges of `queue` again, on a machine that lacks them; its tip, when everything is as it was there."""
    merge, tip = ports.repositories.merge, queue.base
    # Only then is the base itself a merge, which this machine may lack.
    if queue.expected and queue.main and queue.base not in (queue.expected, queue.main):
        history = await ports.repositories.history(repository, queue.expected, queue.main)
        _, bare = await without_pins(repository, queue.expected, first_parents(queue.expected, history), ports)
        tip = await _based(repository, bare, queue.main, ports)
    for one in queue.merges:
        if isinstance(tip, Conflict):
            break
        tip = await merge(repository, tip, one.head, merge_message(one.task, one.branch))
    if isinstance(tip, Conflict) or tip != queue.tip:
        why = f"they come to {'a conflict' if isinstance(tip, Conflict) else short(tip)}, not {short(queue.tip)}"
        raise Refused(f"the merges of {repository.name} cannot be made again here", why, "release prepare")
    return tip


class _Line:
    """The release branch of one repository while it grows. `bare`: as it is now, without our pins; `work`: beneath."""

    def __init__(self, found: ReleaseBranch, base: Sha, *, bare: Sha | None = None, work: Sha | None = None) -> None:
        self.found, self.base, self.tip, self._bare, self._work = found, base, base, bare, work
        self.merges: list[TaskMerge] = []

    async def closed(self, members: Sequence[Task], packages: Sequence[Package], ports: Ports) -> BranchQueue:
        """What it came to, beside what is there and belongs to none of `members`."""
        found = self.found
        base, tip, work = self.base, self.tip, self.tip
        if found.release and self._work and tip == self._bare:  # nothing came on top: the pins may stay
            base, tip, work = found.release, found.release, self._work
        taken = await uses(found.repository, work, packages, ports)
        return BranchQueue(
            repository=found.repository.name,
            expected=found.release,
            main=found.main,
            base=base,
            merges=tuple(self.merges),
            tip=tip,
            work=work,
            by_reference=taken.by_reference,
            stays=taken.stays,
            foreign=await foreign(found, members, ports),
        )


class _Merging:
    """Every line, and who had to stay behind. A task takes its place on all of its lines at once, or on none."""

    def __init__(self, lines: Mapping[str, _Line], ports: Ports) -> None:
        self._lines, self._ports, self._slots = lines, ports, asyncio.Semaphore(ports.lanes_at_once)
        self.ejected: dict[str, Ejection] = {}
        self.troubles: list[Trouble] = []

    async def take(self, task: Task, before: Sequence[asyncio.Task[None]]) -> None:
        """Merge `task`, once everybody `before` it has been through."""
        await asyncio.gather(*before)
        try:
            await self._merge(task)
        except Trouble as trouble:
            self.troubles.append(trouble)

    async def _merge(self, task: Task) -> None:
        if needs := next((slug for slug in task.depends_on if slug in self.ejected), ""):
            because = f"it depends on {needs}, which is left behind"
            self.ejected[task.slug] = Ejection(task=task.slug, because=because, needs=needs)
            return
        made = dict(
            zip(task.works, await asyncio.gather(*(self._made(task, work) for work in task.works)), strict=True)
        )
        conflicts = {work.repository: one.paths for work, one in made.items() if isinstance(one, Conflict)}
        reasons = [str(one) for one in made.values() if isinstance(one, Reason)]
        if conflicts or reasons:
            reasons += [f"it conflicts in {name} with what is ahead of it" for name in conflicts]
            self.ejected[task.slug] = Ejection(task=task.slug, because="; ".join(reasons), conflicts=conflicts)
            return
        for work, one in made.items():
            if isinstance(one, TaskMerge):
                line = self._lines[work.repository]
                line.merges.append(one)
                line.tip = one.commit

    async def _made(self, task: Task, work: Work) -> TaskMerge | Conflict | Reason | None:
        """The merge of one branch; None when there is nothing left to merge."""
        line = self._lines[work.repository]
        if reason := await trouble_of(task.slug, work.branch, line.found, self._ports):
            return reason
        if (head := line.found.heads.get(work.branch)) is None:
            return None  # merged by an earlier prepare, and deleted since
        message, repository = merge_message(task.slug, work.branch), line.found.repository
        try:
            async with self._slots:
                made = await self._ports.repositories.merge(repository, line.tip, head, message)
        except Refused as refusal:
            return refusal.reasons[0]
        if isinstance(made, Conflict):
            return made
        whose = TaskMerge(task=task.slug, repository=repository.name, branch=work.branch, head=head, commit=made)
        return whose if made != line.tip else None


async def _line(repository: Package | App, tasks: Sequence[Task], ports: Ports) -> _Line:
    """The release branch, brought to contain main."""
    branches = {work.branch for task in tasks for work in task.works if work.repository == repository.name}
    found = await look_at(repository, branches, ports)
    release, main = found.release, found.main
    if not (release and main):
        if start := release or main:
            return _Line(found, start)
        what = f"{repository.name} has neither {repository.main_branch} nor {repository.release_branch}"
        raise Refused(what, "origin knows no such branch", f"push {repository.main_branch}")
    work, bare = await without_pins(repository, release, found.landed, ports)
    base = await _based(repository, bare, main, ports)
    if isinstance(base, Conflict):
        what = f"{repository.main_branch} does not merge into {repository.release_branch} of {repository.name}"
        next_ = f"merge {repository.main_branch} into {repository.release_branch} by hand, and push it"
        raise Refused(what, f"both changed {', '.join(base.paths)}", next_)
    return _Line(found, base, bare=bare, work=work)


async def _based(repository: Repository, release: Sha, main: Sha, ports: Ports) -> Sha | Conflict:
    """`release`, brought to contain `main`."""
    match await ports.repositories.relation(repository, release, main):
        case Relation.EQUAL | Relation.AHEAD:
            return release
        case Relation.BEHIND:
            return main
        case Relation.UNKNOWN:
            what = f"cannot tell whether {repository.release_branch} of {repository.name} contains main"
            raise Unreachable(what, f"{short(release)} or {short(main)} is not there", "try again")
        case Relation.DIVERGED:
            message = f"Merge {repository.main_branch} into {repository.release_branch}\n"
            return await ports.repositories.merge(repository, release, main, message)


def _meet(task: Task, other: Task) -> bool:
    """True when `other`, which is ahead, must have been through before `task` can be."""
    return other.slug in task.depends_on or not {*task.repositories}.isdisjoint(other.repositories)


async def _all_of(looks: Iterable[Awaitable[T]]) -> list[T]:
    """What every look found, side by side; the troubles of all of them at once."""
    troubles = list[Trouble]()

    async def kept(look: Awaitable[T]) -> list[T]:
        try:
            return [await look]
        except Trouble as trouble:
            troubles.append(trouble)
            return []

    found = await asyncio.gather(*(kept(look) for look in looks))
    _raise_all(troubles)
    return [one for kept_one in found for one in kept_one]


def _raise_all(troubles: Sequence[Trouble]) -> None:
    """As what weighs most: where somebody could not tell, a refusal would say too much (L11)."""
    if troubles:
        worst = next((one for one in troubles if not isinstance(one, Refused)), troubles[0])
        raise type(worst).all(dict.fromkeys(reason for trouble in troubles for reason in trouble.reasons))
