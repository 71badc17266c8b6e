"""One app on the demo's platform: its releases, the web process of the moment, and the router in front of it.

Its state lies in a file and is read again at start, so that a kill loses neither port nor release.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import msgspec
import yarl
from aiohttp import web

from bot.demo import dynos
from bot.demo.dynos import Dyno, procfile
from bot.demo.listening import listen

Record = Callable[[str, Mapping[str, object]], None]
_MARKER = "\uffff heroku-command-exit-status: "
_OF_THE_CONNECTION = ("connection", "keep-alive", "transfer-encoding", "content-length")


class Release(msgspec.Struct, frozen=True):
    """One release; a failed one never becomes current. `slug`: the folder of its tree."""

    version: int
    commit: str
    slug: str
    description: str
    status: str


class Memory(msgspec.Struct):
    """All that survives a kill; releases are oldest first."""

    port: int = 0
    releases: list[Release] = []


@dataclass
class Knobs:
    """How the app behaves from now on. Without `preboot` the old process ends before the new one starts."""

    boot_delay_seconds: float = 0
    preboot: bool = True
    loses_exit_codes: bool = False
    env: dict[str, str] = field(default_factory=dict[str, str])


class HostedApp:
    """`record` hears of each effect; `remote` is where git pushes to; hold `releasing` to build and release."""

    def __init__(self, name: str, folder: Path, record: Record) -> None:
        self.name, self.folder, self.knobs = name, folder, Knobs()
        self.remote, self.releasing = str(folder / "remote.git"), asyncio.Lock()
        self._record, self._memory = record, Memory()
        self._dyno: Dyno | None = None
        self._booting: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it serves; the same after a restart."""
        return f"http://127.0.0.1:{self._memory.port}"

    @property
    def releases(self) -> list[Release]:
        """Oldest first."""
        return self._memory.releases

    @property
    def current(self) -> Release | None:
        """The newest release that did not fail."""
        return next((one for one in reversed(self.releases) if one.status == "succeeded"), None)

    async def start(self, boots: asyncio.TaskGroup) -> None:
        """Remember, listen, and boot what was running; booting happens in `boots`."""
        self._boots = boots
        with suppress(FileNotFoundError):
            self._memory = msgspec.json.decode((self.folder / "memory.json").read_bytes(), type=Memory)
        self._runner, self._memory.port = await serve(self._route, self._memory.port)
        connector = aiohttp.TCPConnector(force_close=True)
        self._client = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        self._remember()
        self._boot_soon()

    async def stop(self) -> None:
        """Close the port and end the process; the memory stays."""
        if self._booting:
            self._booting.cancel()
        await self._take_down()
        await self._runner.cleanup()
        await self._client.close()

    async def build(self, slug: Path, commit: str) -> tuple[int, str]:
        """Run `build:` of the Procfile: exit code and output."""
        return await dynos.finish(procfile(slug).get("build", "echo Nothing to compile."), slug, self._env(commit))

    async def release(self, commit: str, slug: str, description: str) -> tuple[Release, str]:
        """Run `release:` of the Procfile, then boot in the background; what failed is listed and never booted."""
        command = procfile(Path(slug)).get("release")
        code, said = await dynos.finish(command, Path(slug), self._env(commit)) if command else (0, "")
        release = Release(len(self.releases) + 1, commit, slug, description, "failed" if code else "succeeded")
        self.releases.append(release)
        self._remember()
        if not code:
            self._record("platform.release", {"app": self.name, "commit": commit, "version": release.version})
            self._boot_soon()
        return release, f"{said}Waiting for release.... {'failed' if code else 'done'}.\n" if command else ""

    async def run(self, current: Release, command: str) -> tuple[int | None, str]:
        """Run a command as one dyno would; only the marker tells the exit code, so a shell that dies leaves none."""
        marked = f'{command} ; echo "{_MARKER}$?"'
        _, output = await dynos.finish(marked, Path(current.slug), self._env(current.commit))
        output, marker, digits = output.rpartition(_MARKER) if _MARKER in output else (output, "", "")
        code = int(digits) if marker else None
        self._record("platform.run", {"app": self.name, "command": command, "exit": code})
        return None if self.knobs.loses_exit_codes else code, output

    def _remember(self) -> None:
        draft = self.folder / "memory.draft"
        draft.write_bytes(msgspec.json.encode(self._memory))
        draft.replace(self.folder / "memory.json")

    def _env(self, commit: str) -> dict[str, str]:
        return {"REVISION": commit, "HEROKU_SLUG_COMMIT": commit, **self.knobs.env}

    def _boot_soon(self) -> None:
        if self._booting:
            self._booting.cancel()
        if current := self.current:
            self._booting = self._boots.create_task(self._boot(current), name=f"boot {self.name} v{current.version}")

    async def _boot(self, release: Release) -> None:
        """Put the new process in the place of the old one; one that crashes leaves the place empty."""
        if not self.knobs.preboot:
            await self._take_down()
        await asyncio.sleep(self.knobs.boot_delay_seconds)
        slug, log = Path(release.slug), self.folder / "web.log"
        dyno = await dynos.boot(procfile(slug).get("web", "false"), slug, self._env(release.commit), log)
        try:
            boots = await dyno.boots()
            await self._take_down()
            self._dyno = dyno if boots else None
            self._record("platform.boot", {"app": self.name, "commit": release.commit, "boots": boots})
        finally:
            if self._dyno is not dyno:
                await dyno.end()

    async def _take_down(self) -> None:
        if dyno := self._dyno:
            await dyno.end()  # a boot that is cut off here leaves it to whoever stops the app
            if self._dyno is dyno:
                self._dyno = None

    async def _route(self, request: web.Request) -> web.Response:
        if self._dyno is None:
            return web.Response(status=503, text="Application error")
        url = yarl.URL(f"http://127.0.0.1:{self._dyno.port}{request.raw_path}", encoded=True)
        body, headers = await request.read(), request.headers
        try:
            async with self._client.request(
                request.method, url, headers=headers, data=body, allow_redirects=False
            ) as answer:
                kept = {name: text for name, text in answer.headers.items() if name.lower() not in _OF_THE_CONNECTION}
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)
        except (aiohttp.ClientError, OSError):
            return web.Response(status=503, text="Application error")


async def serve(handler: Callable[[web.Request], Awaitable[web.Response]], port: int) -> tuple[web.AppRunner, int]:
    """Serve every path by `handler`; port 0 becomes a free one. Returns the port too."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    return runner, await listen(runner, port)
