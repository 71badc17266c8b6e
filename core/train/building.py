"""The files of a package at a commit: those of an earlier freeze where they can be had, else built now (spec 5.5)."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from core.builds import Build
from core.errors import Refused, Unreachable
from core.ports import Ports
from core.registry import Package, Sha
from core.words import short


async def built(package: Package, commit: Sha, said: str, ports: Ports) -> Build:
    """The build of `package` at `commit`, on the record. Raises StepFailed where it does not build, and Refused.

    Two builds of one commit may differ (setuptools makes another sdist each time). So what is public already comes
    first, then what is still on the shelf. `said`: the version that the commit itself declares; where it declares none,
    the build may take it from elsewhere (a tag), and only a new build tells whether it is still that.
    """
    async with ports.records.reading() as tx:
        earlier = [one for one in await tx.builds(package.name) if one.is_of(package, commit)]
    new = None
    if not said and earlier:
        new = await _built_now(package, commit, ports)
        earlier = [one for one in earlier if one.declared.version == new.declared.version]
    for one in earlier:
        if await _is_public(one, package, ports):
            return one
    for one in earlier:
        if await asyncio.to_thread(_is_whole, one, ports):
            return one
    new = new or await _built_now(package, commit, ports)
    async with ports.fenced() as tx:
        await tx.add_build(new)
    return new


async def _is_public(build: Build, package: Package, ports: Ports) -> bool:
    """True when the registry has these bytes: all of them, or a part whose rest can still follow from the shelf."""
    try:
        listed = (await ports.ecosystems[package.ecosystem].listing(package, build.declared.version)).files
    except Unreachable:
        return False  # it only decides which of our own files to prefer
    ours = [one for one in build.artefacts if listed.get(one.filename) == one.sha256]
    return len(ours) == len(build.artefacts) or bool(ours and await asyncio.to_thread(_is_whole, build, ports))


def _is_whole(build: Build, ports: Ports) -> bool:
    """True when the shelf has its files, and none of them went bad there."""
    try:
        ports.shelf.lay_out(build.artefacts, ports.scratch / "builds" / f"{build.repository}-{build.commit}-kept")
    except Refused:
        return False
    return True


async def _built_now(package: Package, commit: Sha, ports: Ports) -> Build:
    """From the frozen commit, in a clean checkout, with the commit's own time as the clock."""
    ecosystem = ports.ecosystems[package.ecosystem]
    epoch = await ports.repositories.commit_epoch(package, commit)
    log = ports.scratch / "logs" / "builds" / f"{package.name}-{short(commit)}.log"
    out = await asyncio.to_thread(_emptied, ports.scratch / "builds" / f"{package.name}-{commit}")
    async with ports.repositories.checkout(package, commit) as tree:
        made = await ecosystem.build(package, tree, out, epoch=epoch, log=log)
    files = [out / one.filename for one in made]
    declared = await asyncio.to_thread(ecosystem.declared, package, files)
    return Build(
        repository=package.name,
        commit=commit,
        ecosystem=package.ecosystem,
        distribution=package.distribution,
        declared=declared,
        artefacts=tuple(sorted([await asyncio.to_thread(ports.shelf.keep, file) for file in files])),
        at=ports.clock.now(),
    )


def _emptied(folder: Path) -> Path:
    """The folder, made if need be, without what an interrupted build left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
