"""PyPI through uv: how a Python package is built, published and seen, and how its consumers are locked.

An exit code is never the answer: outcomes are told apart by what uv says, and whoever calls looks at the index and at
the lock afterwards. The texts themselves are read and written in `pyproject.py`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from urllib.parse import urljoin

import msgspec
from packaging.version import Version

from adapters.ecosystems import pyproject, python_version, uv_lock, wheel
from adapters.ecosystems.unread import is_unread, named_in
from adapters.ecosystems.uv_policy import SETTINGS
from adapters.ecosystems.wheel import file_identity
from adapters.web import Web
from core.errors import Refused, StepFailed, Trouble, Unreachable
from core.ports import Declared, Dependency, Finished, Listing, Locked, Pin, Processes
from core.registry import Argv, Package
from core.releases import Artefact

_TAKEN = re.compile(r"do not match|File already exists|filename has already been used")
_DENIED = re.compile(r"status code 40[13]|Missing credentials|401 Unauthorized|403 Forbidden")
_REJECTED = re.compile(r"status code 4(?!08|09|25|29)\d\d")
_YANKED = re.compile(r"`([^`=]+)==([^`]+)` is yanked")
_POLICY = re.compile(r"exclude-newer|filtered by .exclude")
_LATER = re.compile(
    r"there is no version of|only \S+ is available|not found in the package registry|Failed to fetch|timed out"
    r"|error sending request|HTTP status server error|\(404 Not Found\)|\(429 Too Many Requests\)"
)


class PyPISettings(msgspec.Struct, frozen=True):
    """Where to publish, and the Simple API to read."""

    publish_url: str = "https://upload.pypi.org/legacy/"
    index_url: str = "https://pypi.org/simple/"


class _Hashes(msgspec.Struct):
    sha256: str


class _File(msgspec.Struct):
    filename: str
    hashes: _Hashes
    yanked: bool | str = False


class _Simple(msgspec.Struct):
    """A PEP 691 page. A file without a sha256 does not decode: a hash that nobody knows is never ours."""

    files: list[_File]


class _Info(msgspec.Struct):
    author: str | None = None
    author_email: str | None = None


class _Project(msgspec.Struct):
    info: _Info


class PyPI:
    """See `core.ports.Ecosystem`. Names of distributions come out normalised (PEP 503)."""

    name = "pypi"
    manifest = pyproject.MANIFEST
    lock = pyproject.LOCK
    credentials: tuple[str, ...] = ("UV_PUBLISH_TOKEN",)
    tools: tuple[str, ...] = ("uv",)
    repinned = staticmethod(pyproject.repinned)
    accepts = staticmethod(wheel.accepts)

    def __init__(self, processes: Processes, web: Web, settings: PyPISettings) -> None:
        self._processes, self._web, self._settings = processes, web, settings
        # Trying again is the train's business: it looks before it does.
        self._env = {"UV_DEFAULT_INDEX": settings.index_url, "UV_PYTHON_DOWNLOADS": "never", "UV_HTTP_RETRIES": "1"}

    version = staticmethod(python_version.declared)

    def declared(self, package: Package, files: Sequence[Path]) -> Declared:
        return wheel.declared(files, self._settings.publish_url)

    def consumer_files(self, paths: Collection[str]) -> tuple[str, ...]:
        """Every manifest (the root's says which are of its workspace), uv's settings, the lock, and what only others
        read.
        """
        wanted, manifest = {self.manifest, self.lock, SETTINGS}, f"/{self.manifest}"
        return tuple(sorted(path for path in paths if path in wanted or path.endswith(manifest) or is_unread(path)))

    def dependencies(self, files: Mapping[str, bytes]) -> tuple[Dependency, ...]:
        """See the port; then whatever files of other kinds may name."""
        return (*pyproject.dependencies(files), *named_in(files, self.manifest))

    def locked(self, files: Mapping[str, bytes]) -> tuple[Locked, ...]:
        return uv_lock.entries(files.get(self.lock, b""))

    def is_newer(self, version: str, than: str) -> bool:
        return Version(version) > Version(than)

    async def build(
        self, package: Package, worktree: Path, out: Path, *, epoch: int, log: Path
    ) -> tuple[Artefact, ...]:
        """Wheel and sdist, into an empty `out`. uv's own backend needs no network; others come from the index."""
        # Whatever else lay in `out` would count as an artefact.
        argv = ("uv", "build", "--no-create-gitignore", "--out-dir", str(out))
        env = {**self._env, "SOURCE_DATE_EPOCH": str(epoch)}
        done = await self._processes.run(argv, cwd=worktree, env=env, log=log)
        if done.exit_code:
            raise StepFailed(
                f"{package.name} does not build", _said(done), f"mend it, then release prepare; its log is {log}"
            )
        return tuple(_artefact(path) for path in sorted(out.iterdir()))

    async def listing(self, package: Package, version: str) -> Listing:
        """The files of `version` in the Simple API; yanked only when all of them are."""
        files = await self._files(package, version)
        if not files:
            return Listing()
        hashes = {file.filename: file.hashes.sha256 for file in files}
        return Listing(hashes, all(file.yanked for file in files), await self._owner(package))

    async def available(self, package: Package) -> frozenset[str]:
        """Every version of which the Simple API offers a file that is not yanked."""
        offered = [file for file in await self._page(package) if not file.yanked]
        return frozenset(str(version) for file in offered if (version := file_identity(file.filename)[1]))

    async def is_installable(self, package: Package, version: str) -> bool:
        """True when the Simple API, which uv reads, offers files of `version` and none of them is yanked."""
        files = await self._files(package, version)
        return bool(files) and not any(file.yanked for file in files)

    def publish_commands(self, package: Package, names: Sequence[str]) -> tuple[Argv, ...]:
        """`--check-url` skips what is there with our bytes, and nothing else."""
        where = ("--publish-url", self._settings.publish_url, "--check-url", self._settings.index_url)
        return (("uv", "publish", *where, *names),)

    async def publish(self, package: Package, files: Sequence[Path], *, log: Path) -> None:
        """See the port. Safe to call again with the same bytes; the token goes to this one child only."""
        [argv] = self.publish_commands(package, [file.name for file in files])
        done = await self._processes.run(
            argv, cwd=files[0].parent, env=self._env, credentials=self.credentials, log=log
        )
        if done.exit_code:
            raise _publish_trouble(package, _said(done))

    def lock_commands(self, pins: Sequence[Pin]) -> tuple[Argv, ...]:
        """All is revalidated, not only the pins: what they require may be as new as they are."""
        return (
            ("uv", "lock", "--refresh", *(word for pin in pins for word in ("--upgrade-package", pin.distribution))),
        )

    async def refresh_lock(self, worktree: Path, pins: Sequence[Pin], *, log: Path) -> None:
        """See the port."""
        [argv] = self.lock_commands(pins)
        done = await self._processes.run(argv, cwd=worktree, env=self._env, log=log)
        said = _said(done)
        if done.exit_code and _POLICY.search(said):
            next_ = "exempt what rides in [tool.uv]: exclude-newer-package = { NAME = false }, then release prepare"
            raise Refused("a policy of the team keeps uv from what is new", said, next_)
        if done.exit_code and _LATER.search(said) and not _DENIED.search(said):
            raise StepFailed("uv lock cannot resolve yet", said, "release resume, in a few minutes")
        if done.exit_code:
            raise Refused("uv lock failed", said, "correct what it names, then release prepare")
        wanted = {pin.distribution: pin.commit or str(Version(pin.version)) for pin in pins}
        # An exact pin of what was yanked locks all the same, with a warning (toolchains.md 3).
        if yanked := [f"{name} {version}" for name, version in _YANKED.findall(said) if wanted.get(name) == version]:
            raise Refused(f"{', '.join(yanked)} is yanked", said, "bump the version, then release prepare")
        locked = self.locked({self.lock: (worktree / self.lock).read_bytes()})
        moved = {one.name for one in locked if one.exact == wanted.get(one.name)}
        # uv keeps an old version and exits 0.
        if stuck := sorted(wanted.keys() - moved):
            raise StepFailed(
                f"the lock did not move to the new {', '.join(stuck)}", said, "release resume, in a few minutes"
            )

    async def _files(self, package: Package, version: str) -> list[_File]:
        return [file for file in await self._page(package) if file_identity(file.filename)[1] == Version(version)]

    async def _page(self, package: Package) -> list[_File]:
        """Everything that the Simple API lists of it."""
        url = f"{self._settings.index_url.rstrip('/')}/{package.distribution}/"
        # A cache may keep a page for ten minutes.
        headers = {"Accept": "application/vnd.pypi.simple.v1+json", "Cache-Control": "no-cache"}
        answer = await self._web.get(url, headers)
        if answer.status == 404:
            return []
        if answer.status != 200:
            raise Unreachable(f"{url} answered {answer.status}", "that is neither yes nor no", "try again in a minute")
        try:
            return msgspec.json.decode(answer.body, type=_Simple).files
        except msgspec.DecodeError as error:
            raise Unreachable(f"{url} is no PEP 691 page with sha256 hashes", str(error), "look at it") from error

    async def _owner(self, package: Package) -> str:
        """Whose it seems to be. Only ever shown, so not knowing is fine."""
        url = urljoin(f"{self._settings.index_url.rstrip('/')}/", f"../pypi/{package.distribution}/json")
        try:
            info = msgspec.json.decode((await self._web.get(url)).body, type=_Project).info
        except (Unreachable, msgspec.DecodeError):
            return ""
        return info.author or info.author_email or ""


def _publish_trouble(package: Package, said: str) -> Trouble:
    """Refused where trying again can never help; else StepFailed, and the caller looks at the index first."""
    if _TAKEN.search(said):
        return Refused(f"{package.name}: version taken by other bytes", said, "bump the version, then release prepare")
    if _DENIED.search(said):
        return Refused(f"{package.name}: the index denies us", said, "set UV_PUBLISH_TOKEN to one that may upload")
    if _REJECTED.search(said):
        return Refused(f"{package.name}: the index rejects it", said, "correct what it names, then release prepare")
    return StepFailed(f"{package.name} was not published", said, "release resume")


def _said(done: Finished) -> str:
    """What uv complained about, on one line: from its first `error:` on, else all it said."""
    text = " ".join(done.stderr.split())
    return text[max(text.find("error: "), 0) :][:600]


def _artefact(path: Path) -> Artefact:
    body = path.read_bytes()
    return Artefact(path.name, hashlib.sha256(body).hexdigest(), len(body))
