"""The real uv against the package index of the demo."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from adapters.credentials import Secrets
from adapters.ecosystems.pypi import PyPI, PyPISettings
from adapters.process import ChildProcesses
from adapters.web import Web
from bot.demo.package_index import PackageIndex
from core.errors import Refused, StepFailed, Unreachable
from core.ports import Pin
from core.registry import Argv, Package
from tests.adapters.ecosystems.contract import EcosystemContract, RegistryWorld, hashes

TOKEN = "pypi-token-of-the-tests"
BACKEND = '[build-system]\nrequires = ["uv_build>=0.13,<1"]\nbuild-backend = "uv_build"\n'
CONSUMER = """\
[project]
name = "hub"
version = "0"
requires-python = ">=3.11"
dependencies = [
  "widgetry",  # from its branch
]

[tool.uv.sources]
widgetry = { git = "https://git.invalid/widgetry", branch = "release" }
"""


@dataclass
class PyPIWorld(RegistryWorld):
    """The index itself, and the door that the children went through."""

    index: PackageIndex
    processes: ChildProcesses
    told: list[tuple[str, Mapping[str, object]]]

    def pinned(self, *requirements: str) -> Path:
        """A consumer whose manifest names `requirements`."""
        folder = self.consumer()
        lines = "".join(f"  {requirement!r},\n" for requirement in requirements)
        (folder / "pyproject.toml").write_text(CONSUMER.split("  ")[0] + lines + "]\n")
        return folder

    async def lock(self, folder: Path, *pins: tuple[str, str]) -> Mapping[str, str]:
        """Refresh the lock for (name, version) pins and read it."""
        wanted = [Pin(name, "pypi", name, version) for name, version in pins]
        await self.ecosystem.refresh_lock(folder, wanted, log=self.log)
        return self.locked(folder)[0]

    def named(self, name: str) -> PyPIWorld:
        """The same world for another package, which requires whatever its body says."""
        package = Package(name=name, url="", ecosystem="pypi", version_file="pyproject.toml")
        (self.tmp / name).mkdir(exist_ok=True)
        return replace(self, package=package, tmp=self.tmp / name, write_package=write_requiring)


def write_package(
    folder: Path, version: str, body: str, name: str = "widgetry", requires: tuple[str, ...] = ()
) -> None:
    """A package for uv's own build backend."""
    project = f'[project]\nname = "{name}"\nversion = "{version}"\nauthors = [{{ name = "Ada" }}]\n'
    (folder / "pyproject.toml").write_text(f"{BACKEND}{project}dependencies = {list(requires)!r}\n")
    (folder / "src" / name).mkdir(parents=True)
    (folder / "src" / name / "__init__.py").write_text(f"BODY = {body!r}\n")


def write_requiring(folder: Path, version: str, body: str) -> None:
    """The package `gadget`, which requires `body`."""
    write_package(folder, version, body, "gadget", (body,))


def write_consumer(folder: Path) -> None:
    """A consumer of `widgetry` at its branch."""
    (folder / "pyproject.toml").write_text(CONSUMER)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[PyPIWorld]:
    """An empty index, and uv with a home of its own."""
    told: list[tuple[str, Mapping[str, object]]] = []
    index = PackageIndex(tmp_path / "index", record=lambda kind, facts: told.append((kind, facts)), token=TOKEN)
    (home := tmp_path / "home").mkdir()
    processes = ChildProcesses(home, Secrets({"UV_PUBLISH_TOKEN": TOKEN}), os.environ)
    spawned: list[Argv] = []
    processes.on_spawn = spawned.append
    web = Web(timeout_seconds=5)
    async with index:
        yield PyPIWorld(
            ecosystem=PyPI(processes, web, PyPISettings(index.publish_url, index.simple_url)),
            package=Package(name="widgetry", url="", ecosystem="pypi", version_file="pyproject.toml"),
            spawned=spawned,
            write_package=write_package,
            write_consumer=write_consumer,
            yank=lambda version: index.yank("widgetry", version, "broken"),
            go_dark=index.stop,
            tmp=tmp_path,
            index=index,
            processes=processes,
            told=told,
        )
        assert index.violations == []
        await web.close()


class TestPyPI(EcosystemContract):
    """The laws that hold for every ecosystem."""

    @pytest.fixture
    def world(self, world: PyPIWorld) -> RegistryWorld:
        """uv and its index."""
        return world


# ── versions ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "text", "version"),
    [
        ("pyproject.toml", '[project]\nversion = "1.2.0"', "1.2.0"),
        ("lib/pyproject.toml", '[project]\r\nversion = "1.2.0rc.1"', "1.2.0rc1"),
        ("pyproject.toml", '[tool.poetry]\nversion = "v1.2"', "1.2"),
        ("setup.cfg", "[metadata]\nversion = 1.02.0\n", "1.2.0"),
        ("setup.py", 'import setuptools\nsetuptools.setup(name="x", version="1.0-1")\n', "1.0.post1"),
        ("src/widgetry/__init__.py", "import x\n__version__ = '2.0'\nVERSION = (1, 2)\n", "2.0"),
        ("src/widgetry/version.py", '\ufeff__version__: str = "2.0"\n', "2.0"),
        ("src/widgetry/about.py", "if True:\n    VERSION = '1!2.0'\n", "1!2.0"),
        ("VERSION", "\n2.0.dev3\n", "2.0.dev3"),
        ("version.txt", "2.0", "2.0"),
    ],
)
def test_a_plain_version_is_read_from_any_usual_text(world: PyPIWorld, path: str, text: str, version: str):
    package = Package(name="widgetry", url="", ecosystem="pypi", version_file=path)
    assert world.ecosystem.version(package, text.encode()) == version


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("pyproject.toml", '[project]\ndynamic = ["version"]'),
        ("pyproject.toml", '[project]\nversion = "one"'),
        ("pyproject.toml", "[project"),
        ("pyproject.toml", "project = 7"),
        ("setup.cfg", "[metadata]\nversion = attr: widgetry.__version__\n"),
        ("setup.cfg", "no ini at all"),
        ("setup.py", "from setuptools import setup\nsetup(version=read('VERSION'))\n"),
        ("version.py", "# __version__ = '1.0'"),
        ("version.py", "__version__ = '.'.join(PARTS)"),
        ("version.py", "__version__ = '1.0'\n__version__ += '.1'"),
        ("version.py", "__version__ = '1.0'\nif PRE:\n    __version__ = '1.1'"),
        ("version.py", "print 'python 2'"),
        ("version.py", "__version__ = 'unknown'"),
        ("VERSION", "1.0\n2.0\n"),
        ("package.json", '{"version": "1.0"}'),
    ],
)
def test_what_a_build_has_to_compute_is_not_guessed_from_the_text(world: PyPIWorld, path: str, text: str):
    package = Package(name="widgetry", url="", ecosystem="pypi", version_file=path)
    assert world.ecosystem.version(package, text.encode()) == ""


def test_a_text_in_no_encoding_that_we_know_is_no_trouble(world: PyPIWorld):
    for path in ("pyproject.toml", "setup.cfg", "setup.py", "version.py", "VERSION"):
        package = Package(name="widgetry", url="", ecosystem="pypi", version_file=path)
        assert world.ecosystem.version(package, "__version__ = '1.0é'".encode("latin-1")) == ""
        assert world.ecosystem.version(package, b"\0\xff\xfe") == ""
    cookie = "# -*- coding: latin-1 -*-\nAUTHOR = 'Zoë'\n__version__ = '1.0'\n".encode("latin-1")
    package = Package(name="widgetry", url="", ecosystem="pypi", version_file="about.py")
    assert world.ecosystem.version(package, cookie) == "1.0"


# ── build and publish ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_build_script_never_sees_the_upload_token(world: PyPIWorld, tmp_path: Path):
    (source := tmp_path / "nosy").mkdir()
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "nosy"\nbackend-path = ["."]\n'
    )
    (source / "nosy.py").write_text("import os\nprint(sorted(os.environ))\nraise SystemExit('stopped on purpose')\n")
    with pytest.raises(StepFailed, match="does not build"):
        await world.ecosystem.build(world.package, source, tmp_path / "out", epoch=1, log=world.log)
    log = world.log.read_text()
    assert "SOURCE_DATE_EPOCH" in log
    assert "UV_PUBLISH_TOKEN" not in log


async def test_a_wrong_token_is_refused_and_not_shown(world: PyPIWorld):
    files = await world.build("1.0.0")
    world.index.token = "another"
    with pytest.raises(Refused, match="UV_PUBLISH_TOKEN") as refusal:
        await world.ecosystem.publish(world.package, files, log=world.log)
    assert TOKEN not in str(refusal.value) + world.log.read_text()
    assert not (await world.ecosystem.listing(world.package, "1.0.0")).files


@pytest.mark.parametrize("status", [409, 429, 500, 503])
async def test_an_upload_that_the_index_is_too_busy_for_can_be_repeated(world: PyPIWorld, status: int):
    files = await world.build("1.0.0")
    world.index.script_fault("POST", "/legacy/", status=status)
    with pytest.raises(StepFailed):
        await world.ecosystem.publish(world.package, files, log=world.log)
    await world.ecosystem.publish(world.package, files, log=world.log)
    assert (await world.ecosystem.listing(world.package, "1.0.0")).files == hashes(files)


@pytest.mark.parametrize("drop", [False, True])
async def test_an_upload_that_worked_but_whose_answer_was_lost_is_finished_by_the_next_try(
    world: PyPIWorld, drop: bool
):
    files = await world.build("1.0.0")
    world.index.index_delay_seconds = 0.3  # else uv finds its own file and goes on
    fault = world.index.script_fault("POST", "/legacy/", status=502, after=True, drop=drop, times=2)
    with pytest.raises(StepFailed):
        await world.ecosystem.publish(world.package, files, log=world.log)
    await world.until_installable("1.0.0")
    listed = (await world.ecosystem.listing(world.package, "1.0.0")).files
    assert listed.items() < hashes(files).items()
    fault.times = 0
    await world.ecosystem.publish(world.package, files, log=world.log)
    assert [kind for kind, _ in world.told] == ["index.published"] * 2


async def test_a_number_taken_by_other_bytes_is_refused_even_before_the_index_shows_it(world: PyPIWorld):
    world.index.index_delay_seconds = 60
    await world.ecosystem.publish(world.package, await world.build("1.0.0"), log=world.log)
    with pytest.raises(Refused, match="taken by other bytes"):
        await world.ecosystem.publish(world.package, await world.build("1.0.0", "second"), log=world.log)


async def test_a_number_that_was_deleted_is_refused(world: PyPIWorld):
    files = await world.publish("1.0.0")
    world.index.delete("widgetry", "1.0.0")
    with pytest.raises(Refused, match="already been used"):
        await world.ecosystem.publish(world.package, files, log=world.log)


async def test_a_package_whose_dependency_is_not_there_is_refused_by_the_index(world: PyPIWorld):
    await world.publish("1.0.0")
    gadget = world.named("gadget")
    files = await gadget.build("1.0.0", "widgetry==1.1.0")
    with pytest.raises(Refused, match="before its dependencies"):
        await world.ecosystem.publish(gadget.package, files, log=world.log)
    assert world.told[-1][0] == "index.impossible"


# ── what the index says ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_published_version_is_not_installable_before_the_index_shows_it(world: PyPIWorld):
    world.index.index_delay_seconds = 0.3
    await world.ecosystem.publish(world.package, await world.build("1.0.0"), log=world.log)
    assert not await world.ecosystem.is_installable(world.package, "1.0.0")
    await world.until_installable("1.0.0")


async def test_a_listing_says_whose_it_seems_to_be(world: PyPIWorld):
    await world.publish("1.0.0")
    assert (await world.ecosystem.listing(world.package, "1.0.0")).owner == "Ada"
    world.index.script_fault("GET", "/pypi/", times=1)
    assert (await world.ecosystem.listing(world.package, "1.0.0")).owner == ""


@pytest.mark.parametrize("reason", ["broken", ""])
async def test_a_yanked_version_is_listed_as_yanked_and_cannot_be_installed(world: PyPIWorld, reason: str):
    await world.publish("1.0.0")
    world.index.yank("widgetry", "1.0.0", reason)
    assert (await world.ecosystem.listing(world.package, "1.0.0")).yanked
    assert not await world.ecosystem.is_installable(world.package, "1.0.0")


@pytest.mark.parametrize("status", [301, 401, 403, 429, 500, 503, 200])
async def test_an_index_that_answers_anything_but_a_page_or_not_found_is_cannot_tell(world: PyPIWorld, status: int):
    await world.publish("1.0.0")
    world.index.script_fault("GET", "/simple/", status=status, times=2)
    with pytest.raises(Unreachable):
        await world.ecosystem.listing(world.package, "1.0.0")
    with pytest.raises(Unreachable):
        await world.ecosystem.is_installable(world.package, "1.0.0")


# ── locks ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_page_that_uv_cached_before_the_publish_does_not_hide_the_new_version(world: PyPIWorld):
    await world.publish("1.0.0")
    folder = world.pinned("widgetry==1.1.0")
    with pytest.raises(StepFailed):
        await world.lock(folder, ("widgetry", "1.1.0"))
    world.index.index_delay_seconds = 0.3  # else the publisher's own look brings the page up to date
    await world.publish("1.1.0")
    assert (await world.lock(folder, ("widgetry", "1.1.0")))["widgetry"] == "1.1.0"


async def test_a_pin_whose_own_dependency_is_just_as_new_is_locked_past_a_stale_page(world: PyPIWorld):
    gadget = world.named("gadget")
    await world.publish("1.0.0")
    await gadget.publish("1.0.0", "widgetry==1.0.0")
    folder = world.pinned("gadget==1.0.0")
    await world.lock(folder, ("gadget", "1.0.0"))
    world.index.index_delay_seconds = 0.3  # else the publisher's own look brings the page up to date
    await world.publish("1.1.0")
    await gadget.publish("1.1.0", "widgetry>=1.1.0")
    manifest = folder / "pyproject.toml"
    manifest.write_text(manifest.read_text().replace("gadget==1.0.0", "gadget==1.1.0"))
    assert await world.lock(folder, ("gadget", "1.1.0")) == {"gadget": "1.1.0", "widgetry": "1.1.0"}


async def test_a_pin_to_a_commit_moves_nothing_else_in_the_lock(world: PyPIWorld):
    await (gadget := world.named("gadget")).publish("1.0.0", "widgetry>=0")
    folder = world.consumer()
    first, second, _ = world.lay_origin(folder)
    manifest = folder / "pyproject.toml"
    manifest.write_text(manifest.read_text().replace('  "widgetry",', '  "gadget", "widgetry",'))
    await world.ecosystem.refresh_lock(folder, [world.repin_to_commit(folder, first)], log=world.log)
    before = (folder / "uv.lock").read_text()
    await gadget.publish("1.1.0", "widgetry>=0")
    await world.ecosystem.refresh_lock(folder, [world.repin_to_commit(folder, second)], log=world.log)
    assert (folder / "uv.lock").read_text() == before.replace(first, second)


@pytest.mark.parametrize("requirement", ["widgetry>=1.0", "widgetry", "widgetry==1.*"])
async def test_a_range_that_stays_at_another_version_is_never_accepted(world: PyPIWorld, requirement: str):
    await world.publish("1.0.0")
    with pytest.raises(StepFailed, match="did not move"):
        await world.lock(world.pinned(requirement), ("widgetry", "1.1.0"))


async def test_a_pin_of_a_yanked_version_is_refused_although_uv_locks_it(world: PyPIWorld):
    await world.publish("1.0.0")
    world.index.yank("widgetry", "1.0.0", "broken")
    with pytest.raises(Refused, match="yanked"):
        await world.lock(world.pinned("widgetry==1.0.0"), ("widgetry", "1.0.0"))


async def test_somebody_elses_yanked_version_does_not_stop_our_pin(world: PyPIWorld):
    await world.publish("1.0.0")
    gadget = world.named("gadget")
    await gadget.publish("1.0.0", "widgetry>=1.0.0")
    world.index.yank("gadget", "1.0.0", "broken")
    locked = await world.lock(world.pinned("widgetry==1.0.0", "gadget==1.0.0"), ("widgetry", "1.0.0"))
    assert locked["widgetry"] == "1.0.0"


@pytest.mark.parametrize("status", [401, 403])
async def test_an_index_that_denies_us_is_refused_and_not_mistaken_for_lag(world: PyPIWorld, status: int):
    await world.publish("1.0.0")
    world.index.script_fault("GET", "/simple/", status=status, times=9)
    with pytest.raises(Refused):
        await world.lock(world.pinned("widgetry==1.0.0"), ("widgetry", "1.0.0"))


@pytest.mark.parametrize(("status", "drop"), [(404, False), (429, False), (503, False), (503, True)])
async def test_an_index_in_trouble_is_worth_another_try(world: PyPIWorld, status: int, drop: bool):
    await world.publish("1.0.0")
    folder = world.pinned("widgetry==1.0.0")
    fault = world.index.script_fault("GET", "/simple/", status=status, drop=drop, times=9)
    with pytest.raises(StepFailed):
        await world.lock(folder, ("widgetry", "1.0.0"))
    fault.times = 0
    assert (await world.lock(folder, ("widgetry", "1.0.0")))["widgetry"] == "1.0.0"


async def test_a_manifest_that_contradicts_itself_is_refused(world: PyPIWorld):
    await world.publish("1.0.0")
    gadget = world.named("gadget")
    await gadget.publish("1.0.0", "widgetry==1.0.0")
    await world.publish("1.1.0")
    with pytest.raises(Refused):
        await world.lock(world.pinned("widgetry==1.1.0", "gadget==1.0.0"), ("widgetry", "1.1.0"))


async def test_a_policy_of_the_team_is_never_taken_for_an_index_that_lags(world: PyPIWorld):
    await world.publish("1.0.0")
    folder = world.pinned("widgetry==1.0.0")
    (folder / "uv.toml").write_text('exclude-newer = "2020-01-01T00:00:00Z"\n')
    with pytest.raises(Refused, match="a policy of the team keeps uv from what is new") as refused:
        await world.lock(folder, ("widgetry", "1.0.0"))
    assert "exclude-newer-package" in refused.value.reasons[0].next
