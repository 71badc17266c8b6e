"""Freeze a train: the release-branch commit of every repository, and each package's bytes (spec 5.2, 5.5, L21).

`freeze` looks and builds, and changes nothing that others see; `record` writes it down, all of it or nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

from core.builds import Build, Declared
from core.errors import Reason, Refused, Trouble
from core.events import EventKind, event_of
from core.order import levels
from core.permissions import Actor
from core.ports import Ports
from core.records import Transaction
from core.registry import App, Package, Sha
from core.releases import Frozen, Release, assemble
from core.repositories import Relation
from core.tasks import Task
from core.train.branch import look_at, taken_back
from core.train.building import built
from core.train.closure import gaps
from core.train.consumer import uses
from core.unforeseen import or_trouble
from core.words import short

Seen = Mapping[str, Sha]
"""Repository → the commit that QA saw."""


async def freeze(
    repositories: Sequence[Package | App],
    packages: Sequence[Package],
    tasks: Sequence[Task],
    ports: Ports,
    *,
    seen: Seen | None = None,
) -> tuple[Frozen, ...]:
    """What every one of `repositories`, the ones of `tasks`, is now; with `seen`, only when it is still that.

    `packages`: all that are registered. Those that ride are built, and their files kept on the shelf. Refused with all
    problems of all repositories; also when nobody could install what would be published. What a silent registry leaves
    open is asked again before the ship.
    """
    found = await asyncio.gather(
        *(or_trouble(f"freeze {one.name}", _frozen(one, packages, tasks, ports, seen)) for one in repositories)
    )
    if problems := [reason for one in found if not isinstance(one, Frozen) for reason in one]:
        raise Refused.all(problems)
    frozen = tuple(one for one in found if isinstance(one, Frozen))
    levels([one.repository for one in frozen], {one.repository: one.requires for one in frozen})
    if problems := (await gaps(frozen, tasks, {one.name: one for one in packages}, ports)).problems:
        raise Refused.all(problems)
    return frozen


async def record(tx: Transaction, before: Release, frozen: tuple[Frozen, ...], by: Actor, at: datetime) -> Release:
    """Assemble the release with its freeze, and say so."""
    changed = assemble(before, frozen, at)
    await tx.update_release(before, changed)
    await tx.append_event(event_of(EventKind.RELEASE_FROZEN, changed, by, at, repositories=len(frozen)))
    return changed


async def _frozen(
    repository: Package | App, packages: Sequence[Package], tasks: Sequence[Task], ports: Ports, seen: Seen | None
) -> Frozen | tuple[Reason, ...]:
    try:
        sha = await _releasable_commit(repository, ports)
        if seen is not None and sha != seen[repository.name]:
            where = f"{repository.release_branch} is {short(sha)} now, QA saw {short(seen[repository.name])}"
            raise Refused(f"{repository.name} has moved since QA saw it", where, "release prepare")
        if out := await _taken_back(repository, tasks, ports):
            return out
        if isinstance(repository, Package):
            return await _frozen_package(repository, sha, packages, ports)
        found = await uses(repository, sha, packages, ports)
        return Frozen(
            repository=repository.name,
            sha=sha,
            requires=found.names,
            by_reference=found.by_reference,
            stays=found.stays,
        )
    except Trouble as trouble:
        return trouble.reasons


async def _taken_back(repository: Package | App, tasks: Sequence[Task], ports: Ports) -> tuple[Reason, ...]:
    """What was merged and is out again: it would be recorded as shipped, and is not in what ships (spec 4.5)."""
    mine = {task.slug: work.branch for task in tasks for work in task.works if work.repository == repository.name}
    found = await look_at(repository, set(mine.values()), ports)
    reasons = [await taken_back(task, branch, found, ports) for task, branch in mine.items()]
    return tuple(reason for reason in reasons if reason)


async def _releasable_commit(repository: Package | App, ports: Ports) -> Sha:
    """The head of the release branch, which must contain main: ship can only fast-forward."""
    head = await ports.repositories.branch_head(repository, repository.release_branch)
    if head is None:
        what = f"{repository.name} has no branch {repository.release_branch}"
        raise Refused(what, "origin does not know it", f"push {repository.release_branch} with the work of this train")
    main = await ports.repositories.branch_head(repository, repository.main_branch)
    # A repository without a main yet has nothing to contain.
    relation = await ports.repositories.relation(repository, main, head) if main else Relation.BEHIND
    if relation not in (Relation.EQUAL, Relation.BEHIND):
        raise Refused(
            f"{repository.release_branch} of {repository.name} does not contain {repository.main_branch}",
            f"{repository.main_branch} is {relation} of it at {short(main or '')}",
            "release prepare, which merges it and brings it to QA",
        )
    return head


async def _frozen_package(package: Package, sha: Sha, packages: Sequence[Package], ports: Ports) -> Frozen:
    """What was built is what is frozen; what the text says is only compared with it."""
    said = await _said_version(package, sha, ports)
    build = await built(package, sha, said, ports)
    declared = build.declared
    problems = list[Reason]()
    if declared.name != package.distribution:
        what = f"{package.name} builds {declared.name} {declared.version}, not {package.distribution}"
        next_ = "correct published_as in config/release_repos.yml, or the package, then release prepare"
        problems.append(Reason(what, f"so say {_named(build)}", next_))
    is_newer = ports.ecosystems[package.ecosystem].is_newer
    if said and (is_newer(said, declared.version) or is_newer(declared.version, said)):  # 1.0 and 1.0.0 are one number
        what = f"{package.name} declares {said} and builds {declared.version}"
        why = f"{package.version_file} says {said} at {short(sha)}, {_named(build)} {declared.version}"
        next_ = "make both say the same, or leave version_file out of config/release_repos.yml, then release prepare"
        problems.append(Reason(what, why, next_))
    if problems:
        raise Refused.all(problems)
    ranges = _ranges(declared, package, packages)
    return Frozen(
        repository=package.name,
        sha=sha,
        version=declared.version,
        artefacts=build.artefacts,
        requires=tuple(name for name in sorted(ranges) if name != package.name),
        ranges=ranges,
    )


async def _said_version(package: Package, sha: Sha, ports: Ports) -> str:
    """What the version file declares at the frozen commit (L10); blank where there is none or it is computed."""
    if not package.version_file:
        return ""
    text = await ports.repositories.read(package, sha, package.version_file)
    if text is None:
        what = f"{package.name} has no {package.version_file} at {short(sha)}"
        raise Refused(what, "its version is read there", "mend version_file in config/release_repos.yml")
    return ports.ecosystems[package.ecosystem].version(package, text)


def _ranges(declared: Declared, package: Package, packages: Sequence[Package]) -> dict[str, tuple[str, ...]]:
    """Registered package → every range of it that a build requires, under whatever extra or marker."""
    ours = {one.distribution: one.name for one in packages if one.ecosystem == package.ecosystem}
    found = dict[str, tuple[str, ...]]()
    for need in declared.requires:
        if name := ours.get(need.distribution):
            found[name] = (*found.get(name, ()), need.range)
    return found


def _named(build: Build) -> str:
    return " and ".join(one.filename for one in build.artefacts)
