"""A loopback rubygems.org for the real `gem` and `bundle`: push, yank, JSON API, compact index, downloads.

It speaks rubygems.org's words with its status codes, forgets no number, and writes down every impossible order it sees.
"""

from __future__ import annotations

import hashlib
import io
import math
import operator as op
import re
import tarfile
import time
import zlib
from collections.abc import Awaitable, Callable, Collection, Iterable
from itertools import takewhile
from typing import Any, Self, cast

import msgspec
import yaml
from aiohttp import web

from adapters.ecosystems.gem_versions import compare_versions
from bot.demo.listening import listen

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Requirements = tuple[tuple[str, str], ...]  # ((sign, version), …), all of which must hold
_ORDERS = {"=": op.eq, "!=": op.ne, ">": op.gt, "<": op.lt, ">=": op.ge, "<=": op.le}
_NO_REPUSH = "Repushing of gem versions is not allowed.\nPlease use a new version and retry"


class Gem(msgspec.Struct, frozen=True, kw_only=True):
    """A pushed gem: its metadata, its bytes, when it came and went (seconds of the monotonic clock)."""

    name: str
    number: str
    platform: str
    authors: str
    dependencies: tuple[tuple[str, Requirements], ...]
    body: bytes
    sha256: str
    pushed_at: float
    yanked_at: float = math.inf

    @property
    def token(self) -> str:
        """The version as the compact index writes it."""
        return self.number if self.platform == "ruby" else f"{self.number}-{self.platform}"


class Fault(msgspec.Struct):
    """Answers the next `times` requests of `method` whose path matches `path` with `status`; 0 cuts the connection.

    With `after` the work is done all the same and only its answer is lost. `agent`: only for who calls itself that.
    """

    method: str
    path: str
    status: int = 503
    times: float = 1
    body: str = ""
    after: bool = False
    agent: str = ""

    def hits(self, request: web.Request) -> bool:
        """True when it is for `request`."""
        is_meant = self.agent in request.headers.get("User-Agent", "")
        return (
            self.times > 0 and is_meant and self.method == request.method and bool(re.search(self.path, request.path))
        )


class GemServer:
    """The server, on a free port of 127.0.0.1; `url` is push host, API and index in one.

    `index_delay_seconds` and `api_delay_seconds`: how far the compact index and the JSON API lag behind; lowering one
    shows everything at once. `expected`: names that belong here before their first push. `requests`: every
    "METHOD path" so far. `violations`: something was live while a dependency of it could not be installed.
    """

    def __init__(self, *, expected: Collection[str] = (), api_key: str = "gem-loopback-key") -> None:
        self.api_key = api_key
        self.index_delay_seconds = self.api_delay_seconds = 0.0
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.violations: list[str] = []
        self.url, self._port = "", 0
        self._expected = set(expected)
        self._gems: list[Gem] = []

    async def start(self) -> None:
        """Listen; after a `stop`, at the same port."""
        app = web.Application(client_max_size=64 * 1024 * 1024, middlewares=[self._faulty])
        app.router.add_post("/api/v1/gems", self._push)
        app.router.add_delete("/api/v1/gems/yank", self._delete)
        app.router.add_get("/api/v1/versions/{name}.json", self._listing)
        app.router.add_get("/versions", self._versions)
        app.router.add_get("/info/{name}", self._info)
        app.router.add_get("/gems/{file}.gem", self._download)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        self._port = await listen(self._runner, self._port)
        self.url = f"http://127.0.0.1:{self._port}"

    async def stop(self) -> None:
        """Refuse every connection from now on; what was pushed stays."""
        await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    def yank(self, name: str, number: str) -> None:
        """Yank a version; its number is never free again."""
        for index, gem in enumerate(self._gems):
            if (gem.name, gem.number, gem.yanked_at) == (name, number, math.inf):
                self._gems[index] = msgspec.structs.replace(gem, yanked_at=time.monotonic())
        self._look()

    @web.middleware
    async def _faulty(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path}")
        for fault in self.faults:
            if fault.hits(request):
                fault.times -= 1
                if fault.after:
                    await handler(request)
                if not fault.status and request.transport:
                    request.transport.abort()
                return _plain(fault.status or 500, fault.body or f"HTTP {fault.status} page")
        if request.method != "GET" and request.headers.get("Authorization") != self.api_key:
            return _plain(401, "Access Denied. Please sign up for an account at https://rubygems.org")
        return await handler(request)

    async def _push(self, request: web.Request) -> web.Response:
        gem = _read_gem(await request.read())
        for other in self._gems:
            if (other.name, other.token) == (gem.name, gem.token):
                if other.yanked_at < math.inf:
                    return _plain(409, f"A yanked version already exists ({gem.name}-{gem.token}).\n{_NO_REPUSH}")
                if other.sha256 != gem.sha256:
                    return _plain(409, _NO_REPUSH)
                return _plain(200, f"Gem was already pushed: {gem.name} ({gem.number})")
        self._gems.append(gem)
        self._look()
        return _plain(200, f"Successfully registered gem: {gem.name} ({gem.number})")

    async def _delete(self, request: web.Request) -> web.Response:
        form = {**request.query, **(await request.post())}
        name, number = str(form["gem_name"]), str(form["version"])
        found = [gem for gem in self._gems if (gem.name, gem.number) == (name, number)]
        if not found:
            return _plain(404, f"The version {number} does not exist.")
        if found[0].yanked_at < math.inf:
            return _plain(422, f"The version {number} has already been deleted.")
        self.yank(name, number)
        return _plain(200, f"Successfully deleted gem: {name} ({number})")

    def _look(self) -> None:
        """The honest rule, looked at whenever something changes: what is live can be installed."""
        known = self._expected | {gem.name for gem in self._gems}
        visible = self._seen(self.index_delay_seconds)
        for gem in self._seen(0):
            for name, wanted in gem.dependencies:
                if name in known and not any(one.name == name and _satisfies(one.number, wanted) for one in visible):
                    text = f"{gem.name} {gem.number} is live, {name} ({_text(wanted)}) cannot be installed"
                    self.violations += [text] if text not in self.violations else []

    def _seen(self, delay_seconds: float) -> list[Gem]:
        return _alive(self._gems, time.monotonic() - delay_seconds)

    async def _listing(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        found = [
            {"number": gem.number, "platform": gem.platform, "authors": gem.authors, "sha": gem.sha256}
            for gem in reversed(self._seen(self.api_delay_seconds))
            if gem.name == name
        ]
        if not found:
            return _plain(404, "This rubygem could not be found.")
        return web.json_response(found)

    async def _versions(self, request: web.Request) -> web.Response:
        """One line per push and yank, each with the md5 of the info file as it was then; only ever appended to."""
        pushes = [(gem.pushed_at, gem.name, gem.token) for gem in self._gems]
        yanks = [(gem.yanked_at, gem.name, f"-{gem.token}") for gem in self._gems]
        lines = [
            f"{name} {token} {hashlib.md5(_info_file(name, _alive(self._gems, at))).hexdigest()}\n"
            for at, name, token in sorted(pushes + yanks)
            if at <= time.monotonic() - self.index_delay_seconds
        ]
        return _ranged(request, ("created_at: 2026-01-01T00:00:00Z\n---\n" + "".join(lines)).encode())

    async def _info(self, request: web.Request) -> web.Response:
        name, until = request.match_info["name"], time.monotonic() - self.index_delay_seconds
        if not any(gem.name == name and gem.pushed_at <= until for gem in self._gems):
            return _plain(404, "This gem could not be found")
        return _ranged(request, _info_file(name, self._seen(self.index_delay_seconds)))

    async def _download(self, request: web.Request) -> web.Response:
        for gem in self._seen(0):
            if f"{gem.name}-{gem.token}" == request.match_info["file"]:
                return web.Response(body=gem.body, content_type="application/octet-stream")
        return _plain(404, "Not Found")


def _plain(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text)


def _alive(gems: Iterable[Gem], at: float) -> list[Gem]:
    return [gem for gem in gems if gem.pushed_at <= at < gem.yanked_at]


def _ranged(request: web.Request, body: bytes) -> web.Response:
    """Bundler takes a part on trust only when the ETag is the md5 of the whole file."""
    headers = {"ETag": f'"{hashlib.md5(body).hexdigest()}"'}
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return web.Response(status=304, headers=headers)
    if not (start := request.http_range.start or 0):
        return web.Response(body=body, headers=headers)
    return web.Response(status=206 if start < len(body) else 416, body=body[start:], headers=headers)


def _info_file(name: str, gems: Iterable[Gem]) -> bytes:
    lines = [
        f"{gem.token} {','.join(f'{on}:{_text(wanted)}' for on, wanted in gem.dependencies)}|checksum:{gem.sha256}"
        for gem in gems
        if gem.name == name
    ]
    return "\n".join(["---", *lines, ""]).encode()


def _text(wanted: Requirements) -> str:
    return "&".join(f"{sign} {number}" for sign, number in wanted)


def _satisfies(number: str, wanted: Requirements) -> bool:
    return all(_holds(number, sign, limit) for sign, limit in wanted)


def _holds(number: str, sign: str, limit: str) -> bool:
    order = compare_versions(number, limit)
    if sign in _ORDERS:
        return _ORDERS[sign](order, 0)
    release, kept = (list(takewhile(str.isdigit, text.split("."))) for text in (number, limit))  # ~>
    *kept, last = kept[:-1] or kept
    return order >= 0 and compare_versions(".".join(release), ".".join([*kept, str(int(last) + 1)])) < 0


def _read_gem(body: bytes) -> Gem:
    """A .gem is a tar with metadata.gz, the YAML of a Ruby object: read as plain text, nothing in it is ever built."""
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        packed = tar.extractfile("metadata.gz")
        assert packed
        text = zlib.decompress(packed.read(), wbits=31)
    spec = cast("dict[str, Any]", yaml.load(text, Loader=yaml.BaseLoader))  # every scalar stays a string
    return Gem(
        name=spec["name"],
        number=spec["version"]["version"],
        platform=spec["platform"],
        authors=", ".join(spec["authors"]),
        dependencies=tuple(
            (one["name"], tuple((sign, limit["version"]) for sign, limit in one["requirement"]["requirements"]))
            for one in spec["dependencies"]
            if one["type"] == ":runtime"
        ),
        body=body,
        sha256=hashlib.sha256(body).hexdigest(),
        pushed_at=time.monotonic(),
    )
