"""Freeze a train: the release-branch commit of every repository, and each package's bytes (spec 5.2, 5.5, L21).

`freeze` looks and builds, and changes nothing that others see; `record` writes it down, all of it or nothing.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from core.errors import Reason, Refused, Trouble
from core.events import EventKind, event_of
from core.permissions import Actor
from core.ports import Dependency, Ecosystem, Ports, Relation
from core.records import Transaction
from core.registry import App, Package, Sha
from core.releases import Artefact, Frozen, Release, assemble
from core.unforeseen import or_trouble
from core.words import short

Seen = Mapping[str, Sha]
"""Repository → the commit that QA saw."""


async def freeze(
    repositories: Sequence[Package | App], packages: Sequence[Package], ports: Ports, *, seen: Seen | None = None
) -> tuple[Frozen, ...]:
    """What every one of `repositories` is now; with `seen`, only when it is still that.

    `packages`: all that are registered. Those that ride are built, and their files kept on the shelf. Refused with all
    problems of all repositories.
    """
    found = await asyncio.gather(
        *(or_trouble(f"freeze {one.name}", _frozen(one, packages, ports, seen)) for one in repositories)
    )
    if problems := [reason for one in found if not isinstance(one, Frozen) for reason in one]:
        raise Refused.all(problems)
    return tuple(one for one in found if isinstance(one, Frozen))


async def record(tx: Transaction, before: Release, frozen: tuple[Frozen, ...], by: Actor, at: datetime) -> Release:
    """Assemble the release with its freeze, and say so."""
    changed = assemble(before, frozen, at)
    await tx.update_release(before, changed)
    await tx.append_event(event_of(EventKind.RELEASE_FROZEN, changed, by, at, repositories=len(frozen)))
    return changed


async def branch_uses(
    repository: Package | App, sha: Sha, packages: Sequence[Package], ports: Ports
) -> tuple[str, ...]:
    """Those of `packages` that an app takes from a branch or commit at `sha`; a package is refused at the freeze."""
    return _by_reference(await _uses(repository, sha, packages, ports)) if isinstance(repository, App) else ()


async def _frozen(
    repository: Package | App, packages: Sequence[Package], ports: Ports, seen: Seen | None
) -> Frozen | tuple[Reason, ...]:
    try:
        sha = await _releasable_commit(repository, ports)
        if seen is not None and sha != seen[repository.name]:
            where = f"{repository.release_branch} is {short(sha)} now, QA saw {short(seen[repository.name])}"
            raise Refused(f"{repository.name} has moved since QA saw it", where, "release prepare")
        if isinstance(repository, Package):
            return await _frozen_package(repository, sha, packages, ports)
        uses = await _uses(repository, sha, packages, ports)
        return Frozen(repository=repository.name, sha=sha, requires=_names(uses), by_reference=_by_reference(uses))
    except Trouble as trouble:
        return trouble.reasons


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
    ecosystem = ports.ecosystems[package.ecosystem]
    # At the frozen commit: a checkout may sit on old main, and its version be live already (L10).
    text = await ports.repositories.read(package, sha, package.version_file)
    if text is None:
        what = f"{package.name} has no {package.version_file} at {short(sha)}"
        raise Refused(what, "its version is read there", "mend version_file in config/release_repos.yml")
    uses = _registered(await _dependencies(package, package, sha, ecosystem, ports), ecosystem, packages)
    if branches := _by_reference(uses):
        why = "no registry takes a package that depends on a branch, commit or path"
        raise Refused(
            f"{package.name} takes {', '.join(branches)} from a branch", why, "require a version range instead"
        )
    return Frozen(
        repository=package.name,
        sha=sha,
        version=ecosystem.version(package, text),
        artefacts=await _built(package, sha, ecosystem, ports),
        requires=_names(uses),
    )


async def _built(package: Package, sha: Sha, ecosystem: Ecosystem, ports: Ports) -> tuple[Artefact, ...]:
    """Built once, from the frozen commit, in a clean worktree, with the commit's own time as the clock."""
    epoch = await ports.repositories.commit_epoch(package, sha)
    log = ports.scratch / "logs" / "builds" / f"{package.name}-{short(sha)}.log"
    out = await asyncio.to_thread(_emptied, ports.scratch / "builds" / f"{package.name}-{sha}")
    async with ports.repositories.checkout(package, sha) as tree:
        built = await ecosystem.build(package, tree, out, epoch=epoch, log=log)
    return tuple(sorted([await asyncio.to_thread(ports.shelf.keep, out / one.filename) for one in built]))


def _emptied(folder: Path) -> Path:
    """The folder, made if need be, without what an interrupted build left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


async def _uses(app: App, sha: Sha, packages: Sequence[Package], ports: Ports) -> list[Dependency]:
    return [
        one
        for ecosystem in ports.ecosystems.values()
        for one in _registered(await _dependencies(app, None, sha, ecosystem, ports), ecosystem, packages)
    ]


async def _dependencies(
    repository: Package | App, package: Package | None, sha: Sha, ecosystem: Ecosystem, ports: Ports
) -> tuple[Dependency, ...]:
    paths = ecosystem.dependency_files(package)
    files = {path: await ports.repositories.read(repository, sha, path) for path in paths}
    return ecosystem.dependencies(files) if any(files.values()) else ()


def _registered(found: Sequence[Dependency], ecosystem: Ecosystem, packages: Sequence[Package]) -> list[Dependency]:
    """Those of `found` that are packages of ours, under the names of the registry file."""
    ours = {package.distribution: package.name for package in packages if package.ecosystem == ecosystem.name}
    return [msgspec.structs.replace(one, name=ours[one.name]) for one in found if one.name in ours]


def _names(uses: Sequence[Dependency]) -> tuple[str, ...]:
    return tuple(sorted({use.name for use in uses}))


def _by_reference(uses: Sequence[Dependency]) -> tuple[str, ...]:
    return tuple(sorted({use.name for use in uses if use.by_reference}))
