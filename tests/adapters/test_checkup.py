"""`check` finds whatever the configuration speaks of and the world lacks: real git remotes, programs and sites."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest
from aiohttp import web as http
from aiohttp.test_utils import TestServer

from adapters.checkup import Finding, Probe, check_environment
from adapters.config import Settings, load
from adapters.deploys import STRATEGIES
from adapters.ecosystems.pypi import PyPI
from adapters.ecosystems.rubygems import RubyGems
from adapters.git import MirrorRepositories
from adapters.process import ChildProcesses
from adapters.web import Web
from bot.bootstrap import SystemClock
from core.errors import Refused
from core.registry import Repository, Sha
from core.repositories import Repositories

_REPOS = """
packages:
  money-core: {ecosystem: pypi, url: money-core, version_file: pyproject.toml, release_check: bin/check --all}
apps:
  treasury:
    url: treasury
    hub: true
    test_cmd: ./bin/test
    prod_deploy: {strategy: repo_script, smoke_url: "%s", options: {script: bin/deploy, credentials: [DEPLOY_KEY]}}
  invoices:
    url: invoices
    test_cmd: git --version
"""
_ON_HEROKU = """  %(name)s:
    url: %(name)s
    prod_deploy: {strategy: git_push_heroku, smoke_url: 'http://127.0.0.1:9/%(name)s', options: {app: %(name)s}}
"""
_FILES = {
    "money-core": {"pyproject.toml": '[project]\nname = "money-core"\nversion = "1.2.3"\n', "bin/check": "#!/bin/sh\n"},
    "treasury": {"bin/test": "#!/bin/sh\n", "bin/deploy": "#!/bin/sh\n"},
    "invoices": {"README": "invoices\n"},
}
_PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # uv comes with us
_ENVIRON = {"DISCORD_TOKEN": "t" * 20, "UV_PUBLISH_TOKEN": "u" * 20, "DEPLOY_KEY": "d" * 20}


class Place:
    """A team's world below one folder: remotes, configuration, one site whose `/up` answers `status`."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url, self.status = folder, url, 200
        self.environ: dict[str, str] = dict(_ENVIRON)
        self.repos = _REPOS % url
        for name, files in _FILES.items():
            self.commit(name, files)

    def commit(self, name: str, files: Mapping[str, str | None]) -> None:
        """A commit on main of the remote `name`; None removes a file."""
        remote = self.folder / "projects" / name
        if not remote.exists():
            _git(self.folder, "init", "-q", "-b", "main", str(remote))
        for path, text in files.items():
            file = remote / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink() if text is None else file.write_text(text)
        _git(remote, "add", "-A")
        _git(remote, "commit", "-q", "-m", "work")

    def settings(self) -> Settings:
        """The configuration, loaded from files."""
        config = self.folder / "config"
        config.mkdir(exist_ok=True)
        (config / "release_repos.yml").write_text(self.repos)
        (config / "feature_shapes.yml").write_text("shapes: {screen: [unit]}\n")
        (config / "devops_test_suites.yml").write_text("suites: {}\n")
        (config / "bot.yml").write_text(
            "discord: {guild_id: 1, channel_id: 2, role_ids: {operator: 3, agent: 4, reviewer: 5}}\n"
        )
        environ = {**self.environ, "PROJECTS_DIR": str(self.folder / "projects")}
        return load(config, environ)

    async def check(
        self,
        *,
        extra: Mapping[str, Probe] | None = None,
        path: str | None = None,
        repositories: Repositories | None = None,
        probe_seconds: float = 30,
    ) -> list[Finding]:
        """Every finding; `path` replaces the PATH of children."""
        settings, web = self.settings(), Web()
        processes = ChildProcesses(self.folder, settings.secrets, {"PATH": path or _PATH})
        mirrors = MirrorRepositories(processes, self.folder / "state")
        ecosystems = {
            "pypi": PyPI(processes, web, settings.pypi),
            "rubygems": RubyGems(processes, web, settings.rubygems),
        }
        strategies = {name: made(processes, mirrors, web, SystemClock()) for name, made in STRATEGIES.items()}
        try:
            return await check_environment(
                settings, processes, web, repositories or mirrors,
                ecosystems=ecosystems, strategies=strategies, extra=extra or {}, probe_seconds=probe_seconds,
            )  # fmt: skip
        finally:
            await web.close()


def _git(folder: Path, *args: str) -> None:
    identity = {
        f"GIT_{who}_{what}": f"{what}@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    env = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **identity}
    subprocess.run(["git", "-C", str(folder), *args], check=True, env=env, capture_output=True)


def missing(findings: Sequence[Finding]) -> list[str]:
    """What is not as it should be."""
    return [finding.what for finding in findings if not finding.ok]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """A world in which nothing is missing."""

    async def up(_: http.Request) -> http.Response:
        return http.Response(status=made.status)

    app = http.Application()
    app.router.add_get("/up", up)
    async with TestServer(app, host="127.0.0.1") as server:
        made = Place(tmp_path, str(server.make_url("/")).rstrip("/"))
        yield made


async def test_a_world_in_which_nothing_is_missing_is_all_right(place: Place) -> None:
    findings = await place.check()
    assert missing(findings) == []
    seen = {finding.what for finding in findings}
    assert {"DISCORD_TOKEN is set", "DEPLOY_KEY is set", "git", "uv", "money-core is at 1.2.3"} <= seen
    assert {"treasury is reachable", "invoices is reachable", f"{place.url}/up answers 200"} <= seen
    assert "git version" in next(finding.detail for finding in findings if finding.what == "git")


async def test_everything_that_is_missing_comes_at_once_each_with_a_way_out(place: Place) -> None:
    place.environ.clear()
    place.commit("treasury", {"bin/test": None, "bin/deploy": None})
    place.commit("money-core", {"pyproject.toml": "[project]\n", "bin/check": None})
    shutil.rmtree(place.folder / "projects" / "invoices")
    place.repos = place.repos.replace("git --version", "no-such-program --all")
    place.status = 503
    findings = await place.check()
    found = "\n".join(missing(findings))
    for expected in (
        "DISCORD_TOKEN is not set",
        "UV_PUBLISH_TOKEN is not set",
        "DEPLOY_KEY is not set",
        "bin/test is not in treasury at main",
        "bin/deploy is not in treasury at main",
        "bin/check is not in money-core at main",
        "no-such-program cannot be run",
        "ls-remote for invoices got no answer",
        f"{place.url}/up answers 503",
    ):
        assert expected in found, found
    assert all(finding.next for finding in findings if not finding.ok)


async def test_a_version_file_that_is_gone_is_named(place: Place) -> None:
    place.commit("money-core", {"pyproject.toml": None})
    (what,) = missing(await place.check())
    assert what.startswith("pyproject.toml is not in money-core at main")


async def test_a_main_branch_that_does_not_exist_says_which_key_to_correct(place: Place) -> None:
    place.repos = place.repos.replace("url: invoices", "url: invoices\n    main_branch: trunk")
    (finding,) = [one for one in await place.check() if not one.ok]
    assert finding.what == "invoices has no branch trunk" and "main_branch" in finding.next


async def test_a_missing_tool_is_a_finding_with_what_to_install(place: Place) -> None:
    few = place.folder / "bin"
    few.mkdir()
    (few / "rm").symlink_to(str(shutil.which("rm")))
    place.repos += "".join(_ON_HEROKU % {"name": name} for name in ("shop", "stall"))
    place.environ["HEROKU_API_KEY"] = "h" * 20
    findings = {one.what: one for one in await place.check(path=str(few)) if not one.ok}
    assert findings["git is not installed"].next.startswith("apt-get install git")
    assert findings["heroku is not installed"].detail == "needed by shop (git_push_heroku), stall (git_push_heroku)"
    assert "npm install -g heroku" in findings["heroku is not installed"].next


async def test_a_tool_whose_interpreter_is_gone_does_not_count_as_there(place: Place) -> None:
    broken = place.folder / "bin"
    broken.mkdir()
    (broken / "uv").write_text("#!/usr/bin/env no-such-interpreter\n")
    (broken / "uv").chmod(0o755)
    (what,) = missing(await place.check(path=f"{broken}:{_PATH}"))
    assert what == "uv does not run"


async def test_a_remote_that_never_answers_holds_up_nothing_else(place: Place) -> None:
    class Deaf(MirrorRepositories):
        async def branch_head(self, repository: Repository, branch: str) -> Sha | None:
            if repository.name == "invoices":
                await asyncio.Event().wait()
            return await super().branch_head(repository, branch)

    processes = ChildProcesses(place.folder, place.settings().secrets, {"PATH": _PATH})
    async with asyncio.timeout(30):
        findings = await place.check(repositories=Deaf(processes, place.folder / "deaf"), probe_seconds=5)
    (finding,) = [one for one in findings if not one.ok]
    assert (finding.what, finding.detail) == ("invoices does not answer", "not within 5 s")
    assert "treasury is reachable" in {finding.what for finding in findings}


async def test_further_looks_are_taken_along_and_a_refusal_is_a_finding(place: Place) -> None:
    async def database() -> list[Finding]:
        raise Refused("the database refuses", "it is locked", "close the other program")

    async def discord() -> list[Finding]:
        return [Finding(True, "the bot may write in #train")]

    findings = await place.check(extra={"database": database, "Discord": discord})
    assert findings[-1] == Finding(True, "the bot may write in #train")
    assert findings[-2] == Finding(False, "the database refuses", "it is locked", "close the other program")


async def test_what_two_looks_miss_is_told_once(place: Place) -> None:
    async def discord() -> list[Finding]:
        return [Finding(False, "DISCORD_TOKEN is not set", "the bot speaks with it")]

    place.environ.clear()
    assert missing(await place.check(extra={"Discord": discord})).count("DISCORD_TOKEN is not set") == 1


async def test_a_site_that_is_not_there_asks_for_its_address(place: Place) -> None:
    place.repos = place.repos.replace(place.url, "http://127.0.0.1:9")
    hints = {one.what: one.next for one in await place.check() if not one.ok}
    assert "correct its address" in hints["http://127.0.0.1:9/up does not answer"]


async def test_an_app_that_bears_the_name_of_a_tool_is_looked_at_all_the_same(place: Place) -> None:
    place.repos = place.repos.replace("  invoices:\n", "  git:\n")
    assert {"git", "git is reachable"} <= {finding.what for finding in await place.check()}
