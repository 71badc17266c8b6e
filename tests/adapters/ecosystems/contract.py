"""The laws that every package registry and its tools obey, whatever the language (design 1, spec 5.5, 6.4, 6.5).

A test module subclasses `EcosystemContract` as `TestSomething` and gives it a `world` fixture.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from core.errors import Refused, StepFailed, Unreachable
from core.ports import Ecosystem, Origin, Pin
from core.registry import Argv, Package, Sha
from core.releases import Artefact
from tests.world.waiting import until

EPOCH = 1_700_000_000
PATIENCE_SECONDS = 10


@dataclass
class RegistryWorld:
    """A real tool and an empty loopback registry.

    `package`: nothing of it is published yet. `spawned`: every argv that a child was started with, in order.
    `write_package(folder, version, body)`: its source in a new folder; another body makes other bytes.
    `write_consumer(folder)`: a consumer (manifest, and whatever else its tool wants) that takes it from a branch.
    `yank(version)`: the registry takes a version back.
    `go_dark()`: the registry refuses every connection from now on.
    """

    ecosystem: Ecosystem
    package: Package
    spawned: list[Argv]
    write_package: Callable[[Path, str, str], None]
    write_consumer: Callable[[Path], None]
    yank: Callable[[str], None]
    go_dark: Callable[[], Awaitable[None]]
    tmp: Path

    @property
    def log(self) -> Path:
        """Where the children's output goes."""
        return self.tmp / "child.log"

    async def build(self, version: str, body: str = "first", *, place: str = "one") -> list[Path]:
        """Build a version in folders of its own; returns the files, in the order of the artefacts."""
        source, out = self.tmp / f"{place}-{version}-{body}", self.tmp / f"{place}-{version}-{body}-out"
        source.mkdir()
        out.mkdir()
        self.write_package(source, version, body)
        artefacts = await self.ecosystem.build(self.package, source, out, epoch=EPOCH, log=self.log)
        assert artefacts and all(_is_true(out, artefact) for artefact in artefacts)
        return [out / artefact.filename for artefact in artefacts]

    async def publish(self, version: str, body: str = "first") -> list[Path]:
        """Build and publish a version, and wait until it can be installed."""
        files = await self.build(version, body)
        await self.ecosystem.publish(self.package, files, log=self.log)
        await self.until_installable(version)
        return files

    async def until_installable(self, version: str) -> None:
        """Wait until the index shows `version`."""
        await until(lambda: self.ecosystem.is_installable(self.package, version))

    def consumer(self) -> Path:
        """A new folder with a consumer that takes the package from a branch."""
        folder = self.tmp / "consumer"
        folder.mkdir()
        self.write_consumer(folder)
        return folder

    def repin(self, folder: Path, version: str) -> Pin:
        """Re-pin the consumer in `folder` to `version`."""
        return self._repinned(folder, version=version)

    def repin_to_commit(self, folder: Path, commit: Sha) -> Pin:
        """Re-pin the consumer in `folder` to `commit` of the package's repository."""
        return self._repinned(folder, commit=commit)

    def _repinned(self, folder: Path, **exact: Any) -> Pin:
        pin = Pin(self.package.name, self.ecosystem.name, self.package.distribution, **exact)
        for path, text in self.ecosystem.repinned(self.files(folder), [pin]).items():
            (folder / path).write_bytes(text)
        return pin

    def lay_origin(self, folder: Path) -> list[Sha]:
        """Give the package a repository, which the consumer in `folder` takes; returns its commits, oldest first.

        Its release branch ends with the last one, and its feature branch with the first.
        """
        origin, commits = self.tmp / "origin", list[Sha]()
        origin.mkdir()
        self.write_package(origin, "1.0.0", "first")
        git = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@localhost", "-C", str(origin))
        for words in (("init", "--quiet", "--initial-branch=release"), ("add", "--all")):
            subprocess.run((*git, *words), check=True)
        for title in ("first", "second", "third"):
            subprocess.run((*git, "commit", "--quiet", "--allow-empty", "--message", title), check=True)
            subprocess.run((*git, "branch", "feature"), check=False, capture_output=True)  # where the first one is
            head = subprocess.run((*git, "rev-parse", "HEAD"), check=True, capture_output=True, text=True)
            commits.append(Sha(head.stdout.strip()))
        for path in folder.iterdir():
            path.write_text(path.read_text().replace("https://git.invalid/widgetry", f"file://{origin}"))
        return commits

    def files(self, folder: Path) -> Mapping[str, bytes]:
        """What the ecosystem reads of the consumer in `folder`."""
        paths = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
        return {path: (folder / path).read_bytes() for path in self.ecosystem.consumer_files(paths)}

    def locked(self, folder: Path) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """What the lock in `folder` takes from the registry, and what from git."""
        entries = self.ecosystem.locked(self.files(folder))
        return tuple(  # pyright: ignore[reportReturnType]
            {one.name: one.exact for one in entries if one.origin is origin} for origin in (Origin.REGISTRY, Origin.GIT)
        )


def sha256(path: Path) -> str:
    """The hash that a listing shows for the file at `path`."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def hashes(files: list[Path]) -> dict[str, str]:
    """File name → sha256, as in a listing."""
    return {path.name: sha256(path) for path in files}


class EcosystemContract:
    """Subclass me, and override `world`."""

    @pytest.fixture
    def world(self) -> RegistryWorld:
        """The registry under test."""
        raise NotImplementedError

    async def test_what_was_published_is_listed_with_our_hashes_and_can_be_installed(self, world: RegistryWorld):
        files = await world.publish("1.0.0")
        listing = await world.ecosystem.listing(world.package, "1.0.0")
        assert listing.files == hashes(files)
        assert not listing.yanked
        assert await world.ecosystem.is_installable(world.package, "1.0.0")

    async def test_a_number_nobody_published_is_neither_listed_nor_installable(self, world: RegistryWorld):
        await self._expect_absent(world, "2.0.0")  # a name that nobody has
        await world.publish("1.0.0")
        await self._expect_absent(world, "2.0.0")  # a name without this version

    async def test_what_can_be_installed_is_every_version_that_was_not_taken_back(self, world: RegistryWorld):
        assert await world.ecosystem.available(world.package) == frozenset()
        for version in ("1.0.0", "1.1.0", "1.2.0"):
            await world.publish(version)
        world.yank("1.1.0")
        assert await world.ecosystem.available(world.package) == {"1.0.0", "1.2.0"}
        await world.go_dark()
        with pytest.raises(Unreachable):
            await world.ecosystem.available(world.package)

    async def test_publishing_the_same_bytes_again_is_success(self, world: RegistryWorld):
        files = await world.publish("1.0.0")
        await world.ecosystem.publish(world.package, files, log=world.log)
        assert (await world.ecosystem.listing(world.package, "1.0.0")).files == hashes(files)

    async def test_other_bytes_at_our_number_are_refused_and_the_first_ones_stay(self, world: RegistryWorld):
        files = await world.publish("1.0.0")
        others = await world.build("1.0.0", "second")
        assert hashes(others) != hashes(files)
        with pytest.raises(Refused):
            await world.ecosystem.publish(world.package, others, log=world.log)
        assert (await world.ecosystem.listing(world.package, "1.0.0")).files == hashes(files)

    async def test_a_registry_that_does_not_answer_is_cannot_tell_and_never_not_published(self, world: RegistryWorld):
        files = await world.build("1.0.0")
        await world.go_dark()
        with pytest.raises(Unreachable):
            await world.ecosystem.listing(world.package, "1.0.0")
        with pytest.raises(Unreachable):
            await world.ecosystem.is_installable(world.package, "1.0.0")
        with pytest.raises((StepFailed, Unreachable)):
            await world.ecosystem.publish(world.package, files, log=world.log)

    async def test_two_builds_of_one_commit_have_the_same_bytes(self, world: RegistryWorld):
        first, again = await world.build("1.0.0", place="here"), await world.build("1.0.0", place="elsewhere")
        assert hashes(first) == hashes(again)

    async def test_the_built_files_say_what_they_are_whatever_they_were_called_for(self, world: RegistryWorld):
        declared = world.ecosystem.declared(world.package, await world.build("1.2.0"))
        assert (declared.name, declared.version, declared.requires) == (world.package.distribution, "1.2.0", ())

    async def test_a_file_that_is_cut_off_or_of_nothing_is_refused(self, world: RegistryWorld):
        for file in await world.build("1.2.0"):
            whole = file.read_bytes()
            for content in (whole[: len(whole) // 2], b"", b"\0" * 2000, b"<html>404</html>"):
                (broken := world.tmp / file.name).write_bytes(content)
                with pytest.raises(Refused, match=re.escape(file.name)):
                    world.ecosystem.declared(world.package, [broken])

    async def test_a_file_that_was_called_after_another_version_is_refused(self, world: RegistryWorld):
        for file in await world.build("1.2.0"):
            (other := world.tmp / file.name.replace("1.2.0", "1.3.0")).write_bytes(file.read_bytes())
            with pytest.raises(Refused, match=r"says that it is widgetry 1\.2\.0"):
                world.ecosystem.declared(world.package, [other])

    async def test_a_build_that_made_nothing_or_two_releases_is_refused(self, world: RegistryWorld):
        with pytest.raises(Refused):
            world.ecosystem.declared(world.package, [])
        with pytest.raises(Refused):
            world.ecosystem.declared(world.package, [*await world.build("1.2.0"), *await world.build("1.3.0")])

    def test_a_range_takes_a_prerelease_only_where_it_names_one(self, world: RegistryWorld):
        accepts = world.ecosystem.accepts
        assert accepts("", "1.0.0")
        assert accepts(">= 1.0", "1.10.0") and accepts(">= 1.9, != 1.10.1", "1.10.0")
        assert not accepts("> 1.10.0", "1.10.0") and not accepts(">= 1.2, < 1.10", "1.10.0")
        assert not accepts(">= 1.0", "1.1.0.rc1") and not accepts("", "1.1.0.rc1")
        assert accepts(">= 1.0.rc1", "1.1.0.rc1")
        assert not accepts("nonsense of somebody", "1.0.0")

    async def test_what_is_shown_is_what_runs(self, world: RegistryWorld):
        files = await world.build("1.0.0")
        world.spawned.clear()
        await world.ecosystem.publish(world.package, files, log=world.log)
        assert tuple(world.spawned) == world.ecosystem.publish_commands(world.package, [file.name for file in files])
        await world.publish("1.1.0")
        folder = world.consumer()
        pins = [world.repin(folder, "1.1.0")]
        world.spawned.clear()
        await world.ecosystem.refresh_lock(folder, pins, log=world.log)
        assert tuple(world.spawned) == world.ecosystem.lock_commands(pins)

    async def test_a_consumer_on_a_branch_says_so(self, world: RegistryWorld):
        assert self._dependency(world, world.consumer()) == (True, None)

    async def test_repinning_twice_is_repinning_once(self, world: RegistryWorld):
        folder = world.consumer()
        world.repin(folder, "1.0.0")
        once = (folder / world.ecosystem.manifest).read_bytes()
        world.repin(folder, "1.0.0")
        assert (folder / world.ecosystem.manifest).read_bytes() == once

    async def test_a_pin_for_something_the_consumer_does_not_use_is_refused(self, world: RegistryWorld):
        files = world.files(world.consumer())
        with pytest.raises(Refused):
            world.ecosystem.repinned(files, [Pin("stranger", world.ecosystem.name, "stranger", "1.0.0")])

    async def test_the_lock_says_the_exact_version_after_a_repin(self, world: RegistryWorld):
        await world.publish("1.0.0")
        await world.publish("1.1.0")
        folder = world.consumer()
        pins = [world.repin(folder, "1.0.0")]
        await world.ecosystem.refresh_lock(folder, pins, log=world.log)
        locked, _ = world.locked(folder)
        assert locked[world.package.distribution] == "1.0.0"
        assert self._dependency(world, folder) == (False, "1.0.0")

    async def test_a_lock_before_the_version_is_visible_is_worth_another_try(self, world: RegistryWorld):
        await world.publish("1.0.0")
        folder = world.consumer()
        pins = [world.repin(folder, "1.1.0")]
        with pytest.raises(StepFailed):
            await world.ecosystem.refresh_lock(folder, pins, log=world.log)
        await world.publish("1.1.0")
        await world.ecosystem.refresh_lock(folder, pins, log=world.log)
        assert self._dependency(world, folder) == (False, "1.1.0")

    async def test_a_lock_without_the_registry_is_worth_another_try(self, world: RegistryWorld):
        folder = world.consumer()
        pins = [world.repin(folder, "1.0.0")]
        await world.go_dark()
        with pytest.raises((StepFailed, Unreachable)):
            await world.ecosystem.refresh_lock(folder, pins, log=world.log)

    async def test_a_pin_to_a_commit_locks_that_commit_and_no_head_of_a_branch(self, world: RegistryWorld):
        """Spec 5.4, L13: QA runs what is frozen, neither what the branch of a task holds nor what came since."""
        folder, name = world.consumer(), world.package.distribution
        first, second, _ = world.lay_origin(folder)
        for commit in (second, first, second):
            pins = [world.repin_to_commit(folder, commit)]
            world.spawned.clear()
            await world.ecosystem.refresh_lock(folder, pins, log=world.log)
            assert tuple(world.spawned) == world.ecosystem.lock_commands(pins)
            assert world.locked(folder) == ({}, {name: commit})
            assert self._dependency(world, folder) == (True, None)

    async def test_what_was_pinned_to_a_commit_is_pinned_to_its_version_as_if_it_came_from_a_branch(
        self, world: RegistryWorld
    ):
        folder, name = world.consumer(), world.package.distribution
        on_branch = world.files(folder)
        commit = world.lay_origin(folder)[1]
        await world.ecosystem.refresh_lock(folder, [world.repin_to_commit(folder, commit)], log=world.log)
        await world.publish("1.0.0")
        pins = [world.repin(folder, "1.0.0")]
        assert (folder / world.ecosystem.manifest).read_bytes() in world.ecosystem.repinned(on_branch, pins).values()
        await world.ecosystem.refresh_lock(folder, pins, log=world.log)
        assert world.locked(folder) == ({name: "1.0.0"}, {})

    async def test_a_commit_that_nobody_has_is_not_locked(self, world: RegistryWorld):
        folder = world.consumer()
        world.lay_origin(folder)
        pins = [world.repin_to_commit(folder, Sha("0123456789" * 4))]
        with pytest.raises((StepFailed, Refused)):
            await world.ecosystem.refresh_lock(folder, pins, log=world.log)

    async def test_versions_compare_as_versions(self, world: RegistryWorld):
        ladder = ["1.9.0", "1.9.10", "1.10.0", "2.0.0"]
        for lower, higher in pairwise(ladder):
            assert world.ecosystem.is_newer(higher, than=lower)
            assert not world.ecosystem.is_newer(lower, than=higher)
            assert not world.ecosystem.is_newer(lower, than=lower)

    async def _expect_absent(self, world: RegistryWorld, version: str) -> None:
        assert not (await world.ecosystem.listing(world.package, version)).files
        assert not await world.ecosystem.is_installable(world.package, version)

    def _dependency(self, world: RegistryWorld, folder: Path) -> tuple[bool, str | None]:
        """(by reference, locked version) of the package in the consumer in `folder`."""
        [found] = [d for d in world.ecosystem.dependencies(world.files(folder)) if d.name == world.package.distribution]
        return found.by_reference, found.locked


def _is_true(folder: Path, artefact: Artefact) -> bool:
    path = folder / artefact.filename
    return (artefact.sha256, artefact.size) == (sha256(path), path.stat().st_size)
