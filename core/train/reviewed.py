"""Which commits were approved, and which would merge or ship: an approval is one of commits (spec 2.5)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

from core.errors import Reason, Trouble
from core.ports import Ports
from core.registry import App, Package, Registry, Sha
from core.releases import Release
from core.repositories import Relation
from core.reviews import Review, Seat, moved_on
from core.tasks import Task
from core.train.branch import look_at
from core.unforeseen import or_trouble

_LOOK_SECONDS = 8.0
_REVIEW_SECONDS = 20.0  # a machine may have to fetch the repository first


async def heads_of(task: Task, registry: Registry, ports: Ports) -> dict[str, Sha]:
    """Repository → where the task's branch is on origin now; without those that it lacks, or that do not answer."""

    async def head(repository: str, branch: str) -> Sha | None:
        try:
            async with asyncio.timeout(_REVIEW_SECONDS):
                return await ports.repositories.branch_head(registry.repositories[repository], branch)
        except (Trouble, TimeoutError):
            return None

    works = [work for work in task.works if work.repository in registry.repositories]
    found = await asyncio.gather(*(head(work.repository, work.branch) for work in works))
    return {work.repository: sha for work, sha in zip(works, found, strict=True) if sha}


async def changed_since_review(
    release: Release,
    tasks: Sequence[Task],
    reviews: Mapping[str, Sequence[Review]],
    quorum: Collection[Seat],
    registry: Registry,
    ports: Ports,
) -> tuple[Reason, ...]:
    """What of `tasks` rides beyond what its approvals saw; `reviews`: task → all of its reviews.

    Of a frozen release, what its freeze has; else what a prepare would merge.
    """
    names = dict.fromkeys(name for task in tasks for name in task.repositories if name in registry.repositories)
    slots = asyncio.Semaphore(ports.lanes_at_once)

    async def riding(name: str) -> dict[str, Sha] | tuple[Reason, ...]:
        async with slots:
            return await _riding(registry.repositories[name], release, tasks, ports)

    looks = await asyncio.gather(*(riding(name) for name in names))
    found = [reason for look in looks for reason in look if isinstance(reason, Reason)]
    for task in tasks:
        heads = {
            name: look[task.slug]
            for name, look in zip(names, looks, strict=True)
            if isinstance(look, dict) and task.slug in look
        }
        found += moved_on(reviews[task.slug], quorum, heads)
    return tuple(found)


async def _riding(
    repository: Package | App, release: Release, tasks: Sequence[Task], ports: Ports
) -> dict[str, Sha] | tuple[Reason, ...]:
    """Task → the commit of its branch that rides in `repository`; why nobody can tell, where nobody can."""
    mine = {task.slug: work.branch for task in tasks for work in task.works if work.repository == repository.name}
    frozen = next((one.sha for one in release.frozen if one.repository == repository.name), None)
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            return await or_trouble(f"look at {repository.name}", _heads(repository, mine, frozen, ports))
    except Trouble as trouble:
        return trouble.reasons
    except TimeoutError:
        what = f"cannot tell what {repository.name} brings beyond its reviews"
        return (Reason(what, f"waited {_LOOK_SECONDS:g} s", "release status, in a while"),)


async def _heads(
    repository: Package | App, branches: Mapping[str, str], frozen: Sha | None, ports: Ports
) -> dict[str, Sha]:
    found = await look_at(repository, set(branches.values()), ports)
    rides = dict[str, Sha]()
    for task, branch in branches.items():
        head = found.heads.get(branch)
        if head is None or (frozen and not await _contains(repository, frozen, head, ports)):
            head = next((one.parents[1] for one in found.merges_of(task)), head)
        if head:
            rides[task] = head
    return rides


async def _contains(repository: Package | App, tip: Sha, head: Sha, ports: Ports) -> bool:
    return await ports.repositories.relation(repository, tip, head) in (Relation.EQUAL, Relation.AHEAD)
