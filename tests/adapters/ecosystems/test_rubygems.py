"""The real gem and bundle against a rubygems.org on loopback."""

from __future__ import annotations

import asyncio
import os
import shutil
import tarfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest

from adapters.credentials import Secrets
from adapters.ecosystems.rubygems import RubyGems, RubyGemsSettings
from adapters.process import ChildProcesses
from adapters.web import Web
from core.errors import Refused, StepFailed, Unreachable
from core.ports import Dependency, Finished, Pin
from core.registry import Argv, Package
from tests.adapters.ecosystems.contract import EPOCH, EcosystemContract, RegistryWorld, hashes
from tests.world.gem_server import Fault, GemServer

needs_ruby = pytest.mark.skipif(
    shutil.which("gem") is None or shutil.which("bundle") is None,
    reason="gem and bundle are missing: apt-get install --no-install-recommends ruby ruby-bundler",
)
KEY = "gem-push-key-of-the-tests"
FOREVER = float("inf")
SOURCE = 'source "https://rubygems.org"\n'
WIDGETRY = Package(name="widgetry", url="", ecosystem="rubygems", version_file="lib/widgetry/version.rb")
# As Bundler leaves it beside a git dependency, already at the number that is about to be published.
GIT_LOCK = """\
GIT
  remote: https://git.invalid/widgetry
  revision: 868759febe8a48f481fbf3ab09d54c13c80a01ed
  branch: release
  specs:
    widgetry (1.1.0)

GEM
  remote: https://rubygems.org/
  specs:

PLATFORMS
  x86_64-linux

DEPENDENCIES
  widgetry!

BUNDLED WITH
   2.3.15
"""


@dataclass
class GemWorld(RegistryWorld):
    """The server itself, and the door that the children go through."""

    server: GemServer
    processes: ChildProcesses

    def named(self, name: str) -> GemWorld:
        """The same world for another gem, which requires what its body says ("other ~> 1.0")."""
        (self.tmp / name).mkdir(exist_ok=True)
        package = Package(name=name, url="", ecosystem="rubygems", version_file="version.rb")
        return replace(self, package=package, tmp=self.tmp / name, write_package=write_gem(name))

    def app(self, gemfile: str) -> Path:
        """A consumer with this Gemfile, whose lock has widgetry from git."""
        folder = self.consumer()
        (folder / "Gemfile").write_text(SOURCE + gemfile)
        return folder

    async def stock(self, file: Path) -> None:
        """Have `file` published already, without the half second that `gem push` takes."""
        url, headers = f"{self.server.url}/api/v1/gems", {"Authorization": KEY}
        async with aiohttp.request("POST", url, headers=headers, data=file.read_bytes()) as answer:
            assert answer.status == 200

    async def refresh(self, folder: Path, version: str) -> Mapping[str, str]:
        """Lock widgetry to `version` and read the lock."""
        await self.ecosystem.refresh_lock(folder, [Pin("widgetry", "rubygems", "widgetry", version)], log=self.log)
        return self.locked(folder)[0]

    async def run(self, *argv: str, cwd: Path | None = None, **env: str) -> Finished:
        """Run a tool as a person would who works against this server."""
        env = {"BUNDLE_MIRROR__ALL": self.server.url, "RUBYGEMS_HOST": self.server.url} | env
        return await self.processes.run(argv, cwd=cwd, env=env, credentials=("GEM_HOST_API_KEY",), log=self.log)


def rubygems(server: GemServer, processes: ChildProcesses, web: Web, tmp: Path) -> RubyGems:
    """Real tools, pointed at `server`."""
    settings = RubyGemsSettings(host=server.url, index_url=server.url, mirror=True)
    return RubyGems(processes, web, settings)


def write_gem(name: str) -> Callable[[Path, str, str], None]:
    """A writer of sources for the gem `name`."""

    def write(folder: Path, version: str, body: str) -> None:
        on, _, requirement = body.partition(" ")
        needs = f'  spec.add_dependency "{on}", "{requirement}"\n' if requirement else ""
        (folder / "lib" / name).mkdir(parents=True)
        (folder / "lib" / name / "version.rb").write_text(
            f'module Toy\n  VERSION = "{version}"\n  BODY = "{body}"\nend\n'
        )
        (folder / f"{name}.gemspec").write_text(
            f'require_relative "lib/{name}/version"\n'
            "Gem::Specification.new do |spec|\n"
            f'  spec.name = "{name}"\n  spec.version = Toy::VERSION\n  spec.summary = "A toy"\n'
            '  spec.authors = ["Ada"]\n  spec.files = Dir["lib/**/*.rb"]\n'
            f"{needs}end\n"
        )

    return write


def write_consumer(folder: Path) -> None:
    """A consumer of widgetry's release branch."""
    (folder / "Gemfile").write_text(SOURCE + 'gem "widgetry", git: "https://git.invalid/widgetry", branch: "release"\n')
    (folder / "Gemfile.lock").write_text(GIT_LOCK)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[GemWorld]:
    """An empty server, and RubyGems with its real tools."""
    spawned: list[Argv] = []
    processes = ChildProcesses(tmp_path, Secrets({"GEM_HOST_API_KEY": KEY}), os.environ)
    processes.on_spawn = spawned.append
    web = Web()
    async with GemServer(api_key=KEY, expected=["widgetry", "gadgetry"]) as server:
        yield GemWorld(
            ecosystem=rubygems(server, processes, web, tmp_path),
            package=WIDGETRY,
            spawned=spawned,
            write_package=write_gem("widgetry"),
            write_consumer=write_consumer,
            yank=lambda version: server.yank("widgetry", version),
            go_dark=server.stop,
            tmp=tmp_path,
            server=server,
            processes=processes,
        )
    await web.close()


@needs_ruby
class TestRubyGems(EcosystemContract):
    """The laws of every registry."""

    @pytest.fixture
    def world(self, world: GemWorld) -> GemWorld:  # pyright: ignore[reportIncompatibleMethodOverride]
        return world


# ── push ───────────────────────────────────────────────────────────────────────────────────────────────────────────

PUSH = "^/api/v1/gems$"
OTHER_OWNER = (
    "A yanked version pushed by a previous owner of this gem already exists (widgetry-1.0.0).\nRepushing of gem"
)


@pytest.fixture(scope="module")
def gem_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """widgetry 1.0.0, built."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("out")
    write_gem("widgetry")(source, "1.0.0", "first")
    gems = RubyGems(ChildProcesses(out, Secrets({}), os.environ), Web(), RubyGemsSettings())
    [built] = asyncio.run(gems.build(WIDGETRY, source, out, epoch=EPOCH, log=out / "log"))
    return out / built.filename


@needs_ruby
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("POST", PUSH, 409, body="A yanked version already exists (widgetry-1.0.0)."), "yanked: bump and re-run"),
        (Fault("POST", PUSH, 409, body=OTHER_OWNER), "yanked: bump and re-run"),
        (Fault("POST", PUSH, 409, body="Repushing of gem versions is not allowed."), "taken by other bytes"),
        (Fault("POST", PUSH, 401, body="Access Denied. Please sign up for an account at …"), "may not be pushed"),
        (Fault("POST", PUSH, 403, body="This API key cannot perform the specified action on this gem."), "may not"),
        (Fault("POST", PUSH, 403, body="The API key doesn't have access"), "may not be pushed"),
        (Fault("POST", PUSH, 403, body="You do not have permission to push to this gem."), "may not be pushed"),
        (
            Fault("POST", PUSH, 401, body="You have enabled multi-factor authentication. Please enter OTP code."),
            "may not",
        ),
        (Fault("POST", PUSH, 401, body="Your OTP code is incorrect."), "may not be pushed"),
    ],
    ids=lambda value: value.body[:40] if isinstance(value, Fault) else None,
)
async def test_a_push_that_can_never_work_is_refused(world: GemWorld, gem_file: Path, fault: Fault, words: str):
    world.server.faults.append(fault)
    with pytest.raises(Refused, match=words):
        await world.ecosystem.publish(WIDGETRY, [gem_file], log=world.log)


@needs_ruby
@pytest.mark.parametrize(
    "fault",
    [
        Fault("POST", PUSH, 429),
        Fault("POST", PUSH, 503),
        Fault("POST", PUSH, 0),
        Fault("POST", PUSH, 200, body="hello"),
    ],
    ids=["throttled", "unavailable", "dropped", "a proxy's page"],
)
async def test_a_push_that_nobody_can_judge_is_worth_another_look(world: GemWorld, gem_file: Path, fault: Fault):
    fault.times = 9 if fault.status == 0 else 1
    world.server.faults.append(fault)
    with pytest.raises(StepFailed):
        await world.ecosystem.publish(WIDGETRY, [gem_file], log=world.log)


@needs_ruby
@pytest.mark.parametrize("key", ["", "another-key-than-theirs"])
async def test_without_the_right_key_a_push_is_refused_and_asks_nobody(world: GemWorld, gem_file: Path, key: str):
    processes = ChildProcesses(world.tmp, Secrets({"GEM_HOST_API_KEY": key}), os.environ)
    with pytest.raises(Refused, match="may not be pushed"):
        await rubygems(world.server, processes, Web(), world.tmp).publish(WIDGETRY, [gem_file], log=world.log)


@needs_ruby
async def test_a_push_whose_answer_was_lost_is_found_and_pushed_again_without_harm(world: GemWorld, gem_file: Path):
    world.server.faults.append(Fault("POST", PUSH, 502, body="Bad gateway", after=True))
    with pytest.raises(StepFailed, match="Bad gateway"):
        await world.ecosystem.publish(WIDGETRY, [gem_file], log=world.log)
    assert (await world.ecosystem.listing(WIDGETRY, "1.0.0")).files == hashes([gem_file])
    await world.ecosystem.publish(WIDGETRY, [gem_file], log=world.log)
    assert "Gem was already pushed: widgetry (1.0.0)" in world.log.read_text()
    assert KEY not in world.log.read_text()


@needs_ruby
async def test_a_yanked_number_is_spent_though_every_listing_omits_it(world: GemWorld, gem_file: Path):
    await world.ecosystem.publish(WIDGETRY, [gem_file], log=world.log)
    said = [(await world.run("gem", "yank", "widgetry", "-v", number)) for number in ("1.0.0", "1.0.0", "9.0")]
    assert [done.exit_code for done in said] == [0, 0, 0]  # whatever happened
    assert "has already been deleted" in said[1].stdout
    assert "does not exist" in said[2].stdout
    assert (await world.ecosystem.listing(WIDGETRY, "1.0.0")).files == {}
    assert (await world.ecosystem.listing(WIDGETRY, "1.0.0")).yanked  # the end of /versions still remembers
    assert not await world.ecosystem.is_installable(WIDGETRY, "1.0.0")
    with pytest.raises(Refused, match="yanked: bump and re-run"):
        await world.ecosystem.publish(WIDGETRY, [gem_file], log=world.log)


# ── look ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@needs_ruby
async def test_listed_is_not_yet_installable_until_the_index_that_bundler_reads_has_it(world: GemWorld, gem_file: Path):
    world.server.index_delay_seconds = FOREVER
    await world.ecosystem.publish(WIDGETRY, [gem_file], log=world.log)
    assert (await world.ecosystem.listing(WIDGETRY, "1.0.0")).owner == "Ada"
    assert not await world.ecosystem.is_installable(WIDGETRY, "1.0.0")
    world.server.index_delay_seconds, world.server.api_delay_seconds = 0, FOREVER
    assert await world.ecosystem.is_installable(WIDGETRY, "1.0.0")
    assert not (await world.ecosystem.listing(WIDGETRY, "1.0.0")).files


@pytest.mark.parametrize(
    "fault", [Fault("GET", "", 503), Fault("GET", "", 429), Fault("GET", "", 200), Fault("GET", "", 0)]
)
async def test_a_registry_that_says_something_odd_is_cannot_tell(world: GemWorld, fault: Fault):
    fault.times = FOREVER
    world.server.faults.append(fault)
    with pytest.raises(Unreachable):
        await world.ecosystem.listing(WIDGETRY, "1.0.0")
    if fault.status != 200:  # a page of text has no line for our version, and that is all it says
        with pytest.raises(Unreachable):
            await world.ecosystem.is_installable(WIDGETRY, "1.0.0")


# ── build ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@needs_ruby
def test_a_build_knows_the_time_of_its_commit_and_of_no_clock(gem_file: Path):
    with tarfile.open(gem_file) as tar:
        assert {member.mtime for member in tar} == {EPOCH}


@needs_ruby
async def test_a_gemspec_never_sees_the_push_key(world: GemWorld):
    world.write_package(world.tmp / "source", "1.0.0", "first")
    gemspec = world.tmp / "source" / "widgetry.gemspec"
    gemspec.write_text('File.write("seen", ENV.to_h.inspect)\n' + gemspec.read_text())
    await world.ecosystem.build(WIDGETRY, world.tmp / "source", world.tmp, epoch=EPOCH, log=world.log)
    seen = (world.tmp / "source" / "seen").read_text()
    assert "SOURCE_DATE_EPOCH" in seen
    assert "GEM_HOST_API_KEY" not in seen


@needs_ruby
@pytest.mark.parametrize("file", ["widgetry.gemspec", "widgetry-ruby.gemspec", "anything.gemspec"])
async def test_a_gem_is_built_from_the_gemspec_that_there_is(world: GemWorld, file: str):
    package = Package(name="widgetry-ruby", published_as="widgetry", url="", ecosystem="rubygems")
    world.write_package(source := world.tmp / "source", "1.0.0", "first")
    (source / "widgetry.gemspec").rename(source / file)
    [artefact] = await world.ecosystem.build(package, source, world.tmp, epoch=EPOCH, log=world.log)
    assert world.ecosystem.declared(package, [world.tmp / artefact.filename]).name == "widgetry"


@needs_ruby
async def test_a_gemspec_that_is_broken_builds_nothing(world: GemWorld):
    world.write_package(world.tmp / "source", "1.0.0", "first")
    gemspec = world.tmp / "source" / "widgetry.gemspec"
    gemspec.write_text(gemspec.read_text().replace("spec.summary", "spec.sumary"))
    with pytest.raises(StepFailed, match="cannot be built"):
        await world.ecosystem.build(WIDGETRY, world.tmp / "source", world.tmp, epoch=EPOCH, log=world.log)


# ── lock ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@needs_ruby
async def test_a_gem_that_is_only_installed_on_this_machine_is_not_locked(world: GemWorld, gem_file: Path):
    await world.run("gem", "install", "--local", str(gem_file), GEM_HOME=str(world.tmp / "gems" / "gems"))
    folder = world.app('gem "widgetry", "= 1.0.0"\n')
    world.server.faults.append(Fault("GET", "^/info/widgetry", 200, FOREVER, body="---\n0.9.0 |checksum:00\n"))
    with pytest.raises(StepFailed, match=r"widgetry 1\.0\.0 cannot be locked yet"):
        await world.refresh(folder, "1.0.0")


@needs_ruby
async def test_a_range_that_resolves_to_the_old_version_is_not_believed(world: GemWorld, gem_file: Path):
    await world.stock(gem_file)
    folder = world.app('gem "widgetry", "~> 1.0"\n')
    with pytest.raises(StepFailed):
        await world.refresh(folder, "1.1.0")
    done = await world.run("bundle", "lock", "--update", "widgetry", cwd=folder)
    assert done.exit_code == 0  # Bundler sees nothing wrong with it


@needs_ruby
async def test_only_what_was_pinned_moves_and_what_others_share_stays(world: GemWorld):
    for version in ("1.0.0", "1.1.0"):
        await world.named("shared").publish(version)
    await replace(world.named("widgetry"), package=WIDGETRY).publish("1.1.0", "shared ~> 1.0")
    folder = world.consumer()
    lock = GIT_LOCK.replace("  specs:\n\nPLAT", "  specs:\n    shared (1.0.0)\n\nPLAT")
    (folder / "Gemfile.lock").write_text(lock.replace("(1.1.0)\n", "(1.1.0)\n      shared (~> 1.0)\n"))
    (folder / ".bundle").mkdir()
    (folder / ".bundle" / "config").write_text('---\nBUNDLE_FROZEN: "true"\nBUNDLE_GEMFILE: "Elsewhere"\n')
    world.repin(folder, "1.1.0")
    assert await world.refresh(folder, "1.1.0") == {"shared": "1.0.0", "widgetry": "1.1.0"}
    assert "\n  widgetry (= 1.1.0)\n" in (folder / "Gemfile.lock").read_text()
    shutil.rmtree(folder / ".bundle")
    done = await world.run("bundle", "install", cwd=folder, BUNDLE_FROZEN="1", BUNDLE_PATH=str(world.tmp / "bundle"))
    assert done.exit_code == 0, done.stderr
    assert world.server.violations == []


@needs_ruby
@pytest.mark.parametrize(
    ("gemfile", "words"),
    [
        ('gem "widgetry", "= 1.0.0", require: \n', "There was an error parsing `Gemfile`"),
        ('gem "widgetry", "= 1.0.0"\ngem "otherlib"\n', "Could not find gem 'otherlib"),
        ('gem "other", git: "GIT", branch: "gone"\ngem "widgetry", "= 1.0.0"\n', "exit 11"),
        ('gem "widgetry", "= 1.0.0"\n', "Authentication is required"),
    ],
    ids=["syntax error", "another gem is missing", "a git branch is gone", "the index wants a password"],
)
async def test_a_lock_that_no_waiting_will_mend_is_refused(world: GemWorld, gem_file: Path, gemfile: str, words: str):
    await world.stock(gem_file)
    if words.startswith("Authentication"):
        world.server.faults.append(Fault("GET", "", 401, FOREVER))
    if "GIT" in gemfile:
        await world.run("git", "init", "--quiet", str(world.tmp / "other.git"))
        author = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
        await world.run("git", *author, "commit", "--allow-empty", "-m", "Begin", cwd=world.tmp / "other.git")
    with pytest.raises(Refused) as refusal:
        await world.refresh(world.app(gemfile.replace("GIT", str(world.tmp / "other.git"))), "1.0.0")
    assert words in str(refusal.value)


@needs_ruby
async def test_consumers_that_share_a_gem_from_git_are_locked_side_by_side(world: GemWorld, gem_file: Path):
    await world.stock(gem_file)
    source = world.tmp / "gadgetry"
    write_gem("gadgetry")(source, "1.0.0", "first")
    author = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    for words in (("init", "--quiet"), ("add", "--all"), (*author, "commit", "--quiet", "-m", "Begin")):
        assert (await world.run("git", *words, cwd=source)).exit_code == 0
    folders = [world.tmp / f"consumer-{number}" for number in range(3)]
    for folder in folders:
        folder.mkdir()
        (folder / "Gemfile").write_text(f'{SOURCE}gem "gadgetry", git: "{source}"\ngem "widgetry", "= 1.0.0"\n')
        (folder / "Gemfile.lock").write_text(GIT_LOCK)
    locks = await asyncio.gather(*(world.refresh(folder, "1.0.0") for folder in folders))
    assert locks == [{"widgetry": "1.0.0"}] * len(folders)


@needs_ruby
async def test_a_pin_to_a_commit_moves_nothing_else_in_the_lock(world: GemWorld):
    gadgetry = world.named("gadgetry")
    await gadgetry.publish("1.0.0", "widgetry >= 0")
    folder = world.app('gem "gadgetry"\ngem "widgetry", git: "https://git.invalid/widgetry", branch: "release"\n')
    first, second, _ = world.lay_origin(folder)
    await world.ecosystem.refresh_lock(folder, [world.repin_to_commit(folder, first)], log=world.log)
    before = (folder / "Gemfile.lock").read_text()
    assert "gadgetry (1.0.0)" in before
    await gadgetry.publish("1.1.0", "widgetry >= 0")
    await world.ecosystem.refresh_lock(folder, [world.repin_to_commit(folder, second)], log=world.log)
    assert (folder / "Gemfile.lock").read_text() == before.replace(first, second)


@needs_ruby
async def test_a_pin_that_the_lock_never_heard_of_is_refused(world: GemWorld):
    with pytest.raises(Refused, match=r"Could not find gem 'nosuch'\."):
        await world.ecosystem.refresh_lock(
            world.consumer(), [Pin("nosuch", "rubygems", "nosuch", "1.0.0")], log=world.log
        )


@needs_ruby
@pytest.mark.parametrize("status", [404, 503, 0])
async def test_an_index_that_is_down_is_worth_another_try(world: GemWorld, status: int):
    folder = world.app('gem "widgetry", "= 1.0.0"\n')
    world.server.faults.append(Fault("GET", "", status, FOREVER))
    with pytest.raises(StepFailed, match="the gem index does not answer"):
        await world.refresh(folder, "1.0.0")


@needs_ruby
async def test_an_index_that_coughs_twice_stops_nothing(world: GemWorld, gem_file: Path):
    await world.stock(gem_file)
    world.server.faults.append(Fault("GET", "^/info", 503, times=2))
    assert await world.refresh(world.app('gem "widgetry", "= 1.0.0"\n'), "1.0.0") == {"widgetry": "1.0.0"}


# ── the server itself is honest ────────────────────────────────────────────────────────────────────────────────────


@needs_ruby
async def test_a_gem_before_its_dependency_is_an_impossible_order_and_the_other_way_round_is_none(world: GemWorld):
    widgetry, gadgetry = replace(world.named("widgetry"), package=WIDGETRY), world.named("gadgetry")
    await gadgetry.publish("1.9.0")
    await widgetry.publish("1.0.0", "gadgetry ~> 1.0")
    await widgetry.publish("1.0.1", "unknown-elsewhere ~> 1.0")
    assert world.server.violations == []
    await widgetry.publish("2.0.0", "gadgetry ~> 2.0")
    assert world.server.violations == ["widgetry 2.0.0 is live, gadgetry (~> 2.0) cannot be installed"]


# ── texts ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('module Widgetry\n  VERSION = "1.2.0"\nend\n', "1.2.0"),
        ("Widgetry::VERSION='1.2.0.rc1'.freeze\n", "1.2.0.rc1"),
        ('# VERSION = "0.1"\nMIN_VERSION = "3"\nVERSION = "1.0"\n', "1.0"),
        (
            'Gem::Specification.new do |s|\n  s.name = "widgetry"\n  s.version     = "2.0.0-beta"\nend\n',
            "2.0.0.pre.beta",
        ),
        ('\ufeffmodule Widgetry\r\n  VERSION = "1.2.0" # next: 1.3\r\nend\r\n', "1.2.0"),
        ("1.2.0\n", "1.2.0"),
    ],
)
def test_the_version_is_what_the_registry_will_list(world: GemWorld, text: str, version: str):
    assert world.ecosystem.version(WIDGETRY, text.encode()) == version


@pytest.mark.parametrize(
    "text",
    [
        "",
        "VERSION = [1, 2].join",
        'VERSION = ""',
        'VERSION = "v1.2"',
        'VERSION = "1.#{MINOR}"',
        'VERSION = "1.0" + SUFFIX',
        'spec.version = File.read("VERSION")',
        'A::VERSION = "1"\nB::VERSION = "2"\n',
        "not a version\n",
    ],
)
def test_a_version_that_ruby_has_to_compute_is_not_guessed(world: GemWorld, text: str):
    assert world.ecosystem.version(WIDGETRY, text.encode()) == ""


def test_a_gem_whose_source_is_hidden_in_ruby_is_betrayed_by_the_lock(world: GemWorld):
    gemfile = b'%w[widgetry].each { |name| gem name, git: "u" }\ngem "rack", "~> 2.0"\n'
    lock = GIT_LOCK.replace("  specs:\n\nPLAT", "  specs:\n    rack (2.2.9-x86_64-linux)\n\nPLAT").replace(
        "DEPENDENCIES\n", "DEPENDENCIES\n  rack (~> 2.0)\n"
    )
    found = world.ecosystem.dependencies({"Gemfile": gemfile, "Gemfile.lock": lock.encode()})
    assert found == (Dependency("rack", False, "2.2.9"), Dependency("widgetry", True, None))
    with pytest.raises(Refused, match="no plain gem 'widgetry'"):
        world.ecosystem.repinned({"Gemfile": gemfile}, [Pin("widgetry", "rubygems", "widgetry", "1.0.0")])
