"""Freezing packages over real git, real builds and a real index: what was built counts, and is built once."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from adapters.credentials import Secrets
from adapters.database.records import Database
from adapters.ecosystems.pypi import PyPI, PyPISettings
from adapters.git import MirrorRepositories
from adapters.process import ChildProcesses
from adapters.shelf import HashShelf
from adapters.web import Web
from bot.demo.package_index import PackageIndex
from core.errors import Refused
from core.observations import Already, NotYet, Observation
from core.ports import Ports
from core.registry import Package
from core.releases import Frozen
from core.train.freeze import freeze
from core.train.steps import Publish
from tests.adapters.ecosystems.test_wheel import HERE, SCM, SETUPTOOLS
from tests.adapters.test_git import Team
from tests.world.toy import World
from tests.world.toy_ports import toy_ports

PROJECT = f'{SETUPTOOLS}[project]\nname = "acme"\nversion = "1.4.9"\n[tool.setuptools]\npackages = ["acme"]\n{HERE}'


class Yard:
    """A team with the package acme, its index, and a machine that freezes and publishes it."""

    def __init__(self, folder: Path, ports: Ports, index: PackageIndex) -> None:
        self.team, self.folder, self.ports, self.index = Team(folder / "team"), folder, ports, index
        self.acme = Package(name="acme", url=str(self.team.origin), ecosystem="pypi")

    async def frozen(self) -> Frozen:
        """The head of the release branch, frozen now."""
        [one] = await freeze([self.acme], [self.acme], [], self.ports)
        return one

    def publish(self, one: Frozen) -> Publish:
        return Publish(package=self.acme, version=one.version or "", frozen=one.sha, artefacts=one.artefacts)

    async def published(self, one: Frozen) -> Observation:
        """What the index says of it."""
        return await self.publish(one).observe(self.ports, {})

    async def upload(self, one: Frozen, ending: str) -> None:
        """Only the file that ends like this gets through."""
        artefacts = tuple(it for it in one.artefacts if it.filename.endswith(ending))
        await self.publish(replace(one, artefacts=artefacts)).perform(self.ports, {})

    def lose_the_shelf(self) -> None:
        shutil.rmtree(self.folder / "shelf")


@pytest.fixture
async def yard(tmp_path: Path, database: Database) -> AsyncIterator[Yard]:
    index = PackageIndex(tmp_path / "index")
    extra = {"UV_PYTHON": sys.executable}
    secrets = Secrets({"UV_PUBLISH_TOKEN": index.token})
    (tmp_path / "home").mkdir()
    processes = ChildProcesses(tmp_path / "home", secrets, os.environ, extra)
    web = Web(timeout_seconds=5)
    async with index:
        ports = replace(
            toy_ports(World(), database, tmp_path / "scratch"),
            repositories=MirrorRepositories(processes, tmp_path / "state"),
            ecosystems={"pypi": PyPI(processes, web, PyPISettings(index.publish_url, index.simple_url))},
            shelf=HashShelf(tmp_path / "shelf"),
        )
        yield Yard(tmp_path, ports, index)
        await web.close()


def project(yard: Yard, **more: str) -> None:
    """A commit of acme 1.4.9, which says of itself in its module that it is 1.5.0."""
    files = {"pyproject.toml": PROJECT, "acme/about.py": 'VERSION = "1.5.0"\n'} | more
    yard.team.commit("work", push="release", **files)


async def test_a_module_and_a_manifest_that_disagree_are_refused_before_anything_is_public(yard: Yard) -> None:
    project(yard)
    yard.acme = replace(yard.acme, version_file="acme/about.py")
    with pytest.raises(Refused) as refusal:
        await yard.frozen()
    [reason] = refusal.value.reasons
    assert reason.what == "acme declares 1.5.0 and builds 1.4.9"
    assert "acme-1.4.9-py3-none-any.whl and acme-1.4.9.tar.gz 1.4.9" in reason.why
    yard.acme = replace(yard.acme, version_file="pyproject.toml")
    assert (await yard.frozen()).version == "1.4.9"


async def test_two_spellings_of_one_number_do_not_disagree(yard: Yard) -> None:
    project(yard, **{"acme/about.py": 'VERSION = "v1.4.9.0"\n'})
    yard.acme = replace(yard.acme, version_file="acme/about.py")
    assert (await yard.frozen()).version == "1.4.9"


async def test_an_unchanged_commit_that_is_public_is_never_taken_by_other_bytes(yard: Yard) -> None:
    """Real setuptools: the sdist of a second build is another one."""
    project(yard)
    first = await yard.frozen()
    await yard.publish(first).perform(yard.ports, {})
    for lost in (False, True):
        if lost:
            yard.lose_the_shelf()
        again = await yard.frozen()
        assert again == first
        assert isinstance(await yard.published(again), Already)


async def test_what_went_bad_on_the_shelf_is_built_anew_and_not_refused_for_ever(yard: Yard) -> None:
    project(yard)
    yard.acme = replace(yard.acme, version_file="pyproject.toml")
    for one in (await yard.frozen()).artefacts:
        (yard.folder / "shelf" / one.sha256).write_bytes(b"rotten")
    again = await yard.frozen()
    await yard.publish(again).perform(yard.ports, {})
    assert isinstance(await yard.published(again), Already)


async def test_what_was_lost_before_it_was_public_is_built_anew_and_published(yard: Yard) -> None:
    project(yard)
    first = await yard.frozen()
    await yard.upload(first, ".whl")
    yard.lose_the_shelf()
    again = await yard.frozen()
    assert [one.filename for one, other in zip(first.artefacts, again.artefacts, strict=True) if one != other] == [
        "acme-1.4.9.tar.gz"
    ]
    assert isinstance(await yard.published(again), NotYet)
    await yard.publish(again).perform(yard.ports, {})
    assert isinstance(await yard.published(again), Already)


async def test_a_rebuild_that_differs_from_what_is_public_says_which_file_and_that_it_is_ours(yard: Yard) -> None:
    project(yard)
    await yard.upload(await yard.frozen(), ".tar.gz")
    yard.lose_the_shelf()
    with pytest.raises(Refused) as refusal:
        await yard.published(await yard.frozen())
    [reason] = refusal.value.reasons
    assert reason.what == "acme 1.4.9 is taken by other bytes"
    assert "the registry has acme-1.4.9.tar.gz with another content than frozen; we built them from this" in reason.why
    assert "its build makes other bytes each time" in reason.why
    assert reason.next.startswith("bump the version")


async def test_a_version_from_a_tag_is_what_is_frozen_and_without_the_tag_nothing_is(yard: Yard) -> None:
    files = {"pyproject.toml": SCM + HERE, "acme/about.py": "X = 1\n", ".gitignore": "*.egg-info\n"}
    yard.team.commit("work", push="release", **files)
    with pytest.raises(Refused, match="has a local version"):
        await yard.frozen()
    yard.team.git("tag", "v1.1.0")
    yard.team.git("push", "-q", "origin", "v1.1.0")
    one = await yard.frozen()
    assert one.version == "1.1.0"
    assert isinstance(await yard.published(one), NotYet), "its tag came before it, and is no number that is spent"
    await yard.publish(one).perform(yard.ports, {})
    assert await yard.frozen() == one, "a second build of the same number is not taken"
