"""A train of gems with the real ruby tools: two gems, one of which needs the other, a hub and a satellite on both."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, ClassVar, Self

import aiohttp

from bot.demo.platform import Platform
from bot.demo.transcript import Transcript
from tests.world.gem_server import GemServer
from tests.world.stations import NEW, Journey, run

OLD = "1.0.0"
GEMS, APPS = ("money", "ledger"), ("office", "till")
WHOLE = ("fees", "seats", "receipts")
NEEDS = {"ledger": '  spec.add_dependency "money", ">= {version}"\n'}
_SECRETS = {"GEM_HOST_API_KEY": "gem-push-key", "HEROKU_API_KEY": "gem-platform-key", "DISCORD_TOKEN": "none"}
_GEMSPEC = """\
require_relative "lib/{name}/version"
Gem::Specification.new do |spec|
  spec.name = "{name}"
  spec.version = {module}::VERSION
  spec.summary = "Part of a train"
  spec.authors = ["{author}"]
  spec.files = Dir["lib/**/*.rb"]
{needs}end
"""
# The lock that it boots with is all that this app shows.
_WEB = """\
import http.server, json, os, pathlib
BODY = {
    "/": "<h1>%(name)s</h1><pre>" + pathlib.Path("Gemfile.lock").read_text() + "</pre>",
    "/up": json.dumps({"revision": os.environ["REVISION"]}),
}
class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = BODY.get(self.path, "").encode()
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Web).serve_forever()
"""
_PROCFILE = """\
build: bundle install --quiet && bundle exec ruby -e 'require "ledger"; puts Money::VERSION, Ledger::VERSION'
web: exec python3 -S web.py
"""
_DEPLOY = """\
#!/bin/sh
git push --quiet "$TILL_REMOTE" "$STATIONMASTER_COMMIT:refs/heads/main"
"""


class GemWorld:
    """A gem server, git origins and a platform; see `stations.World`. Every `bundle install` there is frozen."""

    def __init__(self, folder: Path, transcript: Transcript) -> None:
        self.folder = folder
        self.gems = GemServer(expected=GEMS, api_key=_SECRETS["GEM_HOST_API_KEY"])
        self.platform = Platform(
            folder / "platform",
            APPS,
            record=transcript.record,
            may_release=self._why_not,
            api_key=_SECRETS["HEROKU_API_KEY"],
        )

    @property
    def environ(self) -> dict[str, str]:
        """See `stations.World`."""
        places = {"STATIONMASTER_CONFIG": self.folder / "config", "STATIONMASTER_STATE": self.folder / "state"}
        path = os.pathsep.join([str(self.platform.bin), os.environ["PATH"]])
        return {"PATH": path, **{name: str(place) for name, place in places.items()}, **_SECRETS}

    @property
    def tools(self) -> dict[str, str]:
        """Variables with which ruby's tools know this world's gems only."""
        places = {"HOME": "home", "BUNDLE_USER_HOME": "bundle", "GEM_HOME": "installed"}
        env = {name: str(self.folder / place) for name, place in places.items()}
        return {"PATH": os.environ["PATH"], "BUNDLE_MIRROR__ALL": self.gems.url, **env}

    def origin(self, name: str) -> Path:
        """See `stations.World`."""
        return self.folder / "origins" / f"{name}.git"

    def violations(self) -> Sequence[str]:
        return self.gems.violations

    async def __aenter__(self) -> Self:
        self.folder.mkdir(exist_ok=True)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.gems)
            is_new = not (self.folder / "laid-out").exists()
            if is_new:
                await asyncio.gather(*(self._lay_gem(name) for name in GEMS))
            for name in GEMS:
                await self.upload(self.folder / "published" / f"{name}-{OLD}.gem")
            await stack.enter_async_context(self.platform)
            for app in self.platform.apps.values():
                app.knobs.env |= {**self.tools, "BUNDLE_FROZEN": "true", "BUNDLE_PATH": "gems"}
            if is_new:
                for name in APPS:  # one by one: two bundles that fetch one gem from git break each other's clone
                    await self._lay_app(name)
                (self.folder / "laid-out").touch()
            self._write_config()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def upload(self, file: Path) -> None:
        """Somebody publishes the gem in `file`."""
        url, headers = f"{self.gems.url}/api/v1/gems", {"Authorization": self.gems.api_key}
        async with aiohttp.request("POST", url, headers=headers, data=file.read_bytes()) as answer:
            assert answer.status == 200, await answer.text()

    async def build(self, name: str, version: str, author: str) -> Path:
        """Build the gem `name` from source that no origin has; returns the file."""
        work = self.folder / f"{name}-by-{author}"
        _write(work, _gem(name, version, author))
        await self._run(work, "gem", "build", "--quiet", f"{name}.gemspec")
        return work / f"{name}-{version}.gem"

    async def _lay_gem(self, name: str) -> None:
        await self._create(name, {branch: _gem(name, version, "Ada") for branch, version in _BRANCHES.items()})
        built = await self.build(name, OLD, "Ada")
        (self.folder / "published").mkdir(exist_ok=True)
        shutil.move(built, self.folder / "published")

    async def _lay_app(self, name: str) -> None:
        files = {"web.py": _WEB % {"name": name}, "Procfile": _PROCFILE, "bin/deploy": _DEPLOY, "bin/test": _TEST}
        git = {gem: f'git: "file://{self.origin(gem)}", branch: "release"' for gem in GEMS}
        pinned = {**files, "Gemfile": _gemfile(dict.fromkeys(GEMS, f'"{OLD}"'))}
        await self._create(name, {"main": pinned, "release": {**files, "NEWS": "new\n", "Gemfile": _gemfile(git)}})
        await self._run(self.origin(name), "git", "push", "--quiet", self.platform.apps[name].remote, "main:main")

    async def _create(self, name: str, branches: Mapping[str, Mapping[str, str]]) -> None:
        """Origin and somebody's clone of it; a Gemfile is locked before it is committed."""
        bare, work = self.origin(name), self.folder / "checkouts" / name
        await self._run(self.folder, "git", "-c", "init.defaultBranch=main", "init", "--quiet", "--bare", str(bare))
        await self._run(self.folder, "git", "clone", "--quiet", str(bare), str(work))
        for branch, files in branches.items():
            if branch != "main":
                await self._run(work, "git", "checkout", "--quiet", "-b", branch)
            _write(work, files)
            if "Gemfile" in files:
                await self._run(work, "bundle", "lock")
            await self._run(work, "git", "add", "--all")
            await self._run(work, "git", "commit", "--quiet", "--message", f"{name} on {branch}")
            await self._run(work, "git", "push", "--quiet", "origin", branch)

    async def _run(self, cwd: Path, *argv: str) -> None:
        who = {f"GIT_{k}_{f}": "ada@localhost" for k in ("AUTHOR", "COMMITTER") for f in ("NAME", "EMAIL")}
        await run(*argv, cwd=cwd, env={"GIT_CONFIG_NOSYSTEM": "1", **who, **self.tools})

    def _why_not(self, app: str, commit: str) -> str | None:
        """A satellite is never newer than its hub (spec 1)."""
        hub = self.platform.apps["office"].current
        main = (self.origin("office") / "refs" / "heads" / "main").read_text().strip()
        is_older = (self.folder / "laid-out").exists() and app != "office" and (hub is None or hub.commit != main)
        return f"{app} would be newer than office" if is_older else None

    def _write_config(self) -> None:
        (self.folder / "config").mkdir(exist_ok=True)
        for name, content in self._config().items():
            (self.folder / "config" / f"{name}.yml").write_text(json.dumps(content))

    def _config(self) -> Mapping[str, Any]:
        office, till = self.platform.apps["office"], self.platform.apps["till"]
        deploys: dict[str, Any] = {
            "office": {
                "strategy": "git_push_heroku",
                "smoke_url": office.url,
                "revision_path": "/up",
                "options": {"app": "office", "remote": office.remote, "boot_seconds": 20},
            },
            "till": {
                "strategy": "repo_script",
                "smoke_url": till.url,
                "revision_path": "/up",
                "options": {"script": "bin/deploy", "env": {"TILL_REMOTE": till.remote}},
            },
        }
        gem = {"ecosystem": "rubygems"}
        packages = {
            name: {**gem, "url": str(self.origin(name)), "version_file": f"lib/{name}/version.rb"} for name in GEMS
        }
        apps: dict[str, Any] = {name: {"url": str(self.origin(name)), "prod_deploy": deploys[name]} for name in APPS}
        apps["office"] |= {"hub": True, "test_cmd": "bin/test"}
        waits = {"install_poll_seconds": 0.05, "backoff_seconds": 0.2, "install_seconds": 20}
        ids = {"guild_id": 1, "channel_id": 2, "role_ids": {"operator": 3, "agent": 4, "reviewer": 5}}
        index = {"host": self.gems.url, "index_url": self.gems.url, "mirror": True}
        pages = {name: {"pages": [{"path": "/", "contains": f"ledger (= {NEW})"}]} for name in APPS}
        return {
            "release_repos": {"packages": packages, "apps": apps, "ecosystems": {"rubygems": index}},
            "bot": {"discord": ids, "train": {"waits": waits}},
            "devops_test_suites": {"suites": pages},
            "feature_shapes": {"shapes": {"any": ["unit"]}},
        }


class GemJourney(Journey[GemWorld]):
    """A journey in a world of gems."""

    tasks: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "fees": {"shape": "any", "repositories": ["money", "ledger"]},
        "seats": {"shape": "any", "repositories": ["office"], "depends_on": ["fees"]},
        "receipts": {"shape": "any", "repositories": ["till"], "depends_on": ["fees"]},
    }

    def __init__(self, folder: Path) -> None:
        transcript = Transcript()
        super().__init__(GemWorld(folder, transcript), transcript)

    async def installed(self, app: str) -> list[str]:
        """The versions that a frozen `bundle install` in the checkout of `app` gives to its code."""
        work, show = self.checkout(app), 'require "ledger"; puts Money::VERSION, Ledger::VERSION'
        env = {**self.world.tools, "BUNDLE_FROZEN": "true", "BUNDLE_PATH": str(work / ".git" / "gems")}
        await run("bundle", "install", "--quiet", cwd=work, env=env)
        return (await run("bundle", "exec", "ruby", "-e", show, cwd=work, env=env)).split()

    def locked(self, lock: bytes) -> Mapping[str, str]:
        """See `Journey`."""
        gems = lock.decode().partition("GEM\n")[2].partition("\n\n")[0]
        assert "GIT\n" not in lock.decode()
        return dict(re.findall(r"^ {4}(\w+) \((.+)\)$", gems, re.MULTILINE))


_BRANCHES = {"main": OLD, "release": NEW}
_TEST = """\
#!/bin/sh
# What the gate saw is what ships: the new gems, and from nowhere else.
test "$(grep -c '(= 1.1.0)$' Gemfile.lock)" = 2 && ! grep -q '^GIT' Gemfile.lock
"""


def _gem(name: str, version: str, author: str) -> dict[str, str]:
    module = name.capitalize()
    words = {"name": name, "module": module, "author": author, "needs": NEEDS.get(name, "").format(version=version)}
    return {
        f"lib/{name}/version.rb": f'module {module}\n  VERSION = "{version}"\nend\n',
        f"lib/{name}.rb": f'require "{name}/version"\n' + ('require "money"\n' if name in NEEDS else ""),
        f"{name}.gemspec": _GEMSPEC.format(**words),
    }


def _gemfile(sources: Mapping[str, str]) -> str:
    return 'source "https://rubygems.org"\n\n' + "".join(f'gem "{gem}", {how}\n' for gem, how in sources.items())


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
        if path.startswith("bin/"):
            (folder / path).chmod(0o755)
