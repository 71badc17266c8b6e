"""A platform like Heroku on loopback: what is pushed to an app's remote is built, released and really booted.

Here are the remotes with their hook, and the answers to the `heroku` command, in the words of the real one. A release
that cannot be true now (`may_release`) is refused and recorded.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import msgspec
from aiohttp import web

from bot.demo import heroku_command
from bot.demo.dynos import procfile
from bot.demo.hosted_app import HostedApp, Record, serve

Said = tuple[int, str, str]
"""What a command exits with, and prints on stdout and stderr."""

_HOOK = """#!/bin/sh
while read -r old new ref; do
  if [ "$ref" != refs/heads/main ]; then echo "Pushed to non-main branch, skipping build."; continue; fi
  slug=$(mktemp -d {slugs}/slug-XXXXXX) && git archive "$new" | tar -x -C "$slug" || exit 1
  HEROKU_API_KEY={key} {heroku} builds:create --app={app} "$new" "$slug" || exit 1
done
"""


class Asked(msgspec.Struct, frozen=True):
    """What `heroku_command` understood; `command` is for the remote shell."""

    name: str
    app: str
    n: int
    exit_code: bool
    words: list[str]
    command: str


class Platform:
    """The server, while entered; `bin` holds `heroku`, for PATH.

    `record` hears of each effect (`platform.release`, `.boot`, `.run`, `.impossible`). `may_release(app, commit)` says
    why not, or None.
    """

    def __init__(
        self,
        state_dir: Path,
        apps: Sequence[str],
        *,
        record: Record = lambda kind, payload: None,
        may_release: Callable[[str, str], str | None] = lambda app, commit: None,
        api_key: str = "heroku-loopback",
    ) -> None:
        folder = state_dir.resolve()
        self.api_key, self.bin = api_key, folder / "bin"
        self.apps = {name: HostedApp(name, folder / "apps" / name, record) for name in apps}
        self._record, self._may_release = record, may_release

    async def __aenter__(self) -> Self:
        """Listen, write what git and people need, and boot what was running."""
        self._boots = await asyncio.TaskGroup().__aenter__()
        self.bin.mkdir(parents=True, exist_ok=True)
        for app in self.apps.values():
            words = {"key": self.api_key, "slugs": app.folder, "heroku": self.bin / "heroku", "app": app.name}
            _make_remote(app.remote, _HOOK.format(**{name: shlex.quote(str(word)) for name, word in words.items()}))
            await app.start(self._boots)
        # After the apps: a port of any number must not be one that an app has to have again.
        self._runner, port = await serve(self._heroku, 0)
        start = (sys.executable, "-IS", heroku_command.__file__, f"127.0.0.1:{port}")
        _write_script(self.bin / "heroku", f'#!/bin/sh\nexec {shlex.join(start)} "$@"\n')
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close the ports and end every process; the state stays."""
        await self._runner.cleanup()
        await asyncio.gather(*(app.stop() for app in self.apps.values()))
        await self._boots.__aexit__(None, None, None)

    async def _heroku(self, request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=Asked)
        app = self.apps.get(asked.app)
        if request.headers.get("Authorization") != f"Bearer {self.api_key}":
            said = _failed(1, "The token provided to HEROKU_API_KEY is invalid.")
        elif app is None:
            said = _failed(2, "Couldn't find that app.")
        else:
            said = await self._answer(app, asked)
        return web.Response(body=msgspec.json.encode(said))

    async def _answer(self, app: HostedApp, asked: Asked) -> Said:
        match asked.name:
            case "run":
                return await _run(app, asked)
            case "releases":
                newest = app.releases[: -asked.n - 1 : -1]
                shown = [{**msgspec.to_builtins(one), "current": one == app.current} for one in newest]
                return 0, f"{msgspec.json.encode(shown).decode()}\n", ""
            case "builds:create":
                async with app.releasing:
                    return await self._build(app, *asked.words)
            case "releases:rollback" | "releases:retry":
                async with app.releasing:
                    return await _release_again(app, asked)
            case _:
                return _failed(127, f"{asked.name} is not a heroku command.")

    async def _build(self, app: HostedApp, commit: str, slug: str) -> Said:
        if why := self._may_release(app.name, commit):
            self._record("platform.impossible", {"app": app.name, "commit": commit, "why": why})
            return 1, f" !     Push rejected: {why}\n", ""
        code, output = await app.build(Path(slug), commit)
        if code:
            return 1, f"-----> Building\n{output}\n !     Push rejected, failed to compile {app.name}.\n", ""
        release, said = await app.release(commit, slug, f"Deploy {commit[:8]}")
        return 0, f"-----> Building\n{output}-----> Launching...\n       Released v{release.version}\n{said}", ""


async def _release_again(app: HostedApp, asked: Asked) -> Said:
    """The newest release, which may have failed, or the one before the current."""
    if asked.name == "releases:retry":
        old = next((one for one in app.releases[-1:] if "release" in procfile(Path(one.slug))), None)
        why, description = "App must have a release-phase command to use this command.", "Retry of"
    else:
        older = [one for one in app.releases if one.status == "succeeded"][:-1]
        old, why, description = (older[-1] if older else None), "Couldn't find that release.", "Rollback to"
    if old is None:
        return _failed(2, why)
    release, said = await app.release(old.commit, old.slug, f"{description} v{old.version}")
    return 0, said, f"{description} v{old.version} on {app.name}... done, v{release.version}\n"


async def _run(app: HostedApp, asked: Asked) -> Said:
    progress = f"Running {asked.command} on {app.name}..."
    if app.current is None:
        return 2, "", f"{progress} !\n{_failed(2, 'The app has no release.')[2]}"
    code, output = await app.run(app.current, asked.command)
    progress += " up, run.1000\n"
    if code == 0 or not asked.exit_code:
        return 0, output, progress
    if code is None:
        return 1, output, f"{progress}TypeError: No exit code returned\n"
    return code, output, progress + _failed(code, f"Process exited with code {code}")[2]


def _failed(code: int, message: str) -> Said:
    return code, "", f" ›   Error: {message}\n"


def _make_remote(path: str, hook: str) -> None:
    """A bare repository, whatever git is told by this machine's environment and configuration."""
    nobodys = {"PATH": os.environ.get("PATH", os.defpath), "HOME": path, "GIT_CONFIG_NOSYSTEM": "1"}
    argv = ("git", "-c", "init.defaultBranch=main", "init", "--quiet", "--bare", "--template=", path)
    subprocess.run(argv, check=True, env=nobodys)
    Path(path, "hooks").mkdir(exist_ok=True)
    _write_script(Path(path, "hooks", "pre-receive"), hook)


def _write_script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
