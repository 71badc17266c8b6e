"""A package index like PyPI on loopback: legacy upload, Simple API (JSON), `/pypi/NAME/json`, downloads.

It speaks Warehouse's words, refuses what cannot be true (a package before its dependencies), and forgets nothing that
it answered: its state lies in a folder and is read again at start.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Self

import msgspec
from aiohttp import encode_basic_auth, web
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from bot.demo.faults import Fault, faulty
from bot.demo.listening import listen

_LARGEST_BYTES = 64 * 1024 * 1024


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """One distribution file; the Simple API shows it from `visible_at` on (seconds since 1970)."""

    filename: str
    name: str
    version: str
    sha256: str
    author: str
    requires: list[str]
    requires_python: str | None
    visible_at: float
    yanked: bool | str = False
    deleted: bool = False


class PackageIndex:
    """The server. `expected`: distributions that belong to this index even before their first upload.

    `record` hears of each effect (`index.published`, `index.impossible`, `index.yanked`, `index.deleted`).
    `is_full(name)` is asked at each upload; True answers 503.
    `violations`: moments at which something installable had a dependency that was not.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        record: Callable[[str, Mapping[str, object]], None] = lambda kind, payload: None,
        expected: Collection[str] = (),
        port: int = 0,
        token: str = "pypi-loopback",
        is_full: Callable[[str], bool] = lambda name: False,
    ) -> None:
        self.token = token
        self.index_delay_seconds = 0.0
        self.violations: list[str] = []
        self._is_full = is_full
        self._record, self.port, self._state = record, port, state_dir / "state.json"
        self._files = state_dir / "files"
        self._expected = {canonicalize_name(name) for name in expected}
        self._uploads: dict[str, Upload] = {}
        self._faults: list[Fault] = []

    @property
    def simple_url(self) -> str:
        """The Simple API."""
        return f"http://127.0.0.1:{self.port}/simple/"

    @property
    def publish_url(self) -> str:
        """The upload endpoint."""
        return f"http://127.0.0.1:{self.port}/legacy/"

    async def start(self) -> None:
        """Read the state and listen; port 0 becomes a free one."""
        self._files.mkdir(parents=True, exist_ok=True)
        if self._state.exists():
            self._uploads = msgspec.json.decode(self._state.read_bytes(), type=dict[str, Upload])
        app = web.Application(client_max_size=_LARGEST_BYTES, middlewares=[faulty(self._faults)])
        app.router.add_post("/legacy/", self._upload)
        app.router.add_get("/simple/{name}/", self._simple)
        app.router.add_get("/pypi/{name}/json", self._project)
        app.router.add_static("/files/", self._files)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        self.port = await listen(self._runner, self.port)

    async def stop(self) -> None:
        """Close the port; the state stays."""
        await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    def script_fault(
        self,
        method: str,
        path_regex: str,
        *,
        status: int = 503,
        times: int = 1,
        after: bool = False,
        drop: bool = False,
    ) -> Fault:
        """Go wrong on purpose, until the `times` of the returned fault are used up (`bot.demo.faults`)."""
        self._faults.append(fault := Fault(method, path_regex, status, times, after, drop))
        return fault

    def yank(self, name: str, version: str, reason: str) -> None:
        """Yank every file of a version (PEP 592); it can still be downloaded."""
        self._change("index.yanked", name, version, yanked=reason or True)

    def delete(self, name: str, version: str) -> None:
        """Delete every file of a version; their names are used up."""
        self._change("index.deleted", name, version, deleted=True)

    def look(self) -> None:
        """Does everything installable have its dependencies now? Looked at after each change; a delay shows later."""
        for one in self._visible():
            if one.yanked is False and (missing := self._missing(one)):
                self.violations.append(f"{one.filename} is installable without {', '.join(missing)}")

    def _change(self, kind: str, name: str, version: str, **change: object) -> None:
        for one in self._of(name):
            if Version(one.version) == Version(version):
                self._uploads[one.filename] = msgspec.structs.replace(one, **change)
        self._save(kind, {"name": name, "version": version, **change})

    async def _upload(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != encode_basic_auth("__token__", self.token):
            return _refusal(403, "Invalid or non-existent authentication information.")
        form = await request.post()
        content = form["content"]
        assert isinstance(content, web.FileField)
        body = content.file.read()
        upload = Upload(
            filename=Path(content.filename).name,
            name=canonicalize_name(str(form["name"])),
            version=str(form["version"]),
            sha256=hashlib.sha256(body).hexdigest(),
            author=str(form.get("author") or form.get("author_email", "")),
            requires=[str(text) for text in form.getall("requires_dist", [])],
            requires_python=str(form.get("requires_python", "")) or None,
            visible_at=time.time() + self.index_delay_seconds,
        )
        if self._is_full(upload.name):
            return _refusal(503, "No space left on device.")
        return self._accept(upload, body)

    def _accept(self, upload: Upload, body: bytes) -> web.Response:
        before = self._uploads.get(upload.filename)
        if before and before.deleted:
            return _refusal(400, "This filename has already been used, use a different version.")
        if before and before.sha256 != upload.sha256:
            digest = hashlib.blake2b(body, digest_size=32).hexdigest()
            return _refusal(400, f"File already exists ('{upload.filename}', with blake2_256 hash '{digest}').")
        if before:
            return web.Response()
        if missing := self._missing(upload):
            self._record("index.impossible", {"filename": upload.filename, "missing": missing})
            return _refusal(400, f"No package before its dependencies: {', '.join(missing)} cannot be installed.")
        _write(self._files / upload.filename, body)
        self._uploads[upload.filename] = upload
        told = ("name", "version", "filename", "sha256")
        self._save("index.published", {field: getattr(upload, field) for field in told})
        return web.Response()

    async def _simple(self, request: web.Request) -> web.Response:
        name = canonicalize_name(request.match_info["name"])
        if not (uploads := [one for one in self._visible() if one.name == name]):
            raise web.HTTPNotFound
        page = {"meta": {"api-version": "1.0"}, "name": name, "files": [_listed(one) for one in uploads]}
        return web.Response(
            body=msgspec.json.encode(page),
            content_type="application/vnd.pypi.simple.v1+json",
            headers={"Cache-Control": "max-age=600, public"},  # as PyPI: clients may hold it that long
        )

    async def _project(self, request: web.Request) -> web.Response:
        if not (uploads := self._of(request.match_info["name"])):
            raise web.HTTPNotFound
        newest = max(uploads, key=lambda one: Version(one.version))
        return web.json_response({"info": {"version": newest.version, "author": newest.author}})

    def _of(self, name: str) -> list[Upload]:
        return [one for one in self._uploads.values() if one.name == canonicalize_name(name) and not one.deleted]

    def _visible(self) -> list[Upload]:
        return [one for one in self._uploads.values() if one.visible_at <= time.time() and not one.deleted]

    def _missing(self, upload: Upload) -> list[str]:
        """Requirements of `upload` on distributions of this index that nobody could install now."""
        known = self._expected | {one.name for one in self._uploads.values()}
        live = [one for one in self._visible() if one.yanked is False]

        def is_missing(wanted: Requirement) -> bool:
            name = canonicalize_name(wanted.name)
            if name not in known or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
                return False
            return not any(one.name == name and wanted.specifier.contains(one.version, True) for one in live)

        return [text for text in upload.requires if is_missing(Requirement(text))]

    def _save(self, kind: str, payload: Mapping[str, object]) -> None:
        """Save first, then tell, then look."""
        _write(self._state, msgspec.json.encode(self._uploads))
        self._record(kind, payload)
        self.look()


def _listed(one: Upload) -> dict[str, object]:
    file = {"filename": one.filename, "url": f"/files/{one.filename}", "hashes": {"sha256": one.sha256}}
    return {**file, "requires-python": one.requires_python, "yanked": one.yanked}


def _refusal(status: int, text: str) -> web.Response:
    return web.Response(status=status, reason=text[:120], text=f"{status} {text}")


def _write(path: Path, body: bytes) -> None:
    """All of it or nothing, whenever the process dies."""
    draft = path.with_name(path.name + ".draft")
    draft.write_bytes(body)
    draft.replace(path)
