"""A checkout: a clone of its own at one commit, as a person would have it, and thrown away afterwards (spec 5.5, L39).

It shares objects with our mirror, which it reads through `alternates`; config, refs, index and stash are its own, so
nothing that repository code does to them is seen by a later checkout, merge, lock or build. Whoever runs as the same
user can still write into the mirror's folder: `adapters.mirrors` trusts nothing there but objects, whose names are
their hashes.
"""

from __future__ import annotations

import asyncio
import posixpath
import re
import secrets
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from adapters.mirrors import Mirrors
from adapters.pushing import last_words, plain
from core.errors import Reason, Refused, Unreachable
from core.ports import Processes
from core.registry import Repository, Sha
from core.words import short

_CONFIG = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
\tlogallrefupdates = true
\tautocrlf = false
[gc]
\tauto = 0
[remote "origin"]
\turl = {url}
\tfetch = +refs/heads/*:refs/remotes/origin/*
"""
_OF_ORIGIN = ("+refs/heads/*:refs/origin/heads/*", "+refs/tags/*:refs/origin/tags/*")
_REFS = "%(objectname) %(refname)%(if)%(*objectname)%(then) %(*objectname)%(end)"
_GITLINK, _SCHEMES = "160000", ("http", "https", "ssh")
_POINTER = r"^version https://git-lfs\.github\.com/spec/v1$"
_DEEPEST = 8
_LFS_PUSH = "git lfs push --all origin, in a clone that has it"
_LFS_MISSING = "install git-lfs where stationmaster runs, or take the files out of LFS"


class Checkouts:
    """Clones below the folder of `mirrors`. `projects`: where submodules may be read from a path; None: nowhere."""

    def __init__(self, mirrors: Mirrors, processes: Processes, projects: Path | None, network_seconds: float) -> None:
        self._mirrors, self._processes, self._network_seconds = mirrors, processes, network_seconds
        self._projects = projects.resolve() if projects else None

    @asynccontextmanager
    async def clone(self, mirror: Path, repository: Repository, commit: Sha) -> AsyncGenerator[Path]:
        """A clone of `repository` with `commit` checked out, with its tags, submodules and LFS content.

        Refused when it cannot be what a person would have; Unreachable when origin does not answer.
        """
        # What lies beside a checkout is its own, too.
        around = await self._mirrors.own_folder(f"{mirror.stem}-{commit[:12]}-{secrets.token_hex(3)}")
        try:
            tree = around / mirror.stem
            packed = await self._refs_of_origin(mirror, repository)
            await asyncio.to_thread(_lay, tree, mirror, repository, commit, packed)
            await self._mirrors.git(tree, "reset", "--quiet", "--hard", env=_at(tree))
            await self._fetch_large(tree, repository, commit)
            await self._fetch_modules(tree, repository.name, repository.url)
            yield tree
        finally:
            await self._mirrors.remove(around)

    async def _refs_of_origin(self, mirror: Path, repository: Repository) -> str:
        """Origin's tags and branches as they are now, as a `packed-refs` of a clone."""
        options = ("--quiet", "--prune", "--no-tags", "--no-write-fetch-head", "--end-of-options")
        async with self._mirrors.alone(mirror):
            await self._mirrors.ask(
                repository, mirror, ("fetch", *options, plain(repository.url), *_OF_ORIGIN), self._network_seconds
            )
            rows = await self._mirrors.git(mirror, "for-each-ref", f"--format={_REFS}", "refs/origin")
        return _packed(row.split(" ") for row in rows.splitlines())

    async def _fetch_large(self, tree: Path, repository: Repository, commit: Sha) -> None:
        """LFS content in place of its pointers; Refused, naming the files, where it cannot be had."""
        grep = ("git", "grep", "--cached", "-z", "-lE", _POINTER)
        alike = [path for path in (await self._mirrors.run(tree, grep, env=_at(tree))).stdout.split("\0") if path]
        if not alike:
            return
        filters = await self._mirrors.git(tree, "check-attr", "-z", "filter", "--", *alike, env=_at(tree))
        said = filters.split("\0")
        # A text about LFS, which no attribute gives to its filter, is left as it is.
        pointers = [path for path, value in zip(said[::3], said[2::3], strict=False) if value == "lfs"]
        if not pointers:
            return
        what = f"{repository.name} has LFS content at {short(commit)} that cannot be had"
        if not self._processes.finds("git-lfs"):
            raise Refused(what, f"git-lfs is not installed; {_listed(pointers)}", _LFS_MISSING)
        only = () if len(pointers) == len(alike) else ("--include", ",".join(pointers))
        for argv in (("git", "lfs", "install", "--local", "--skip-repo"), ("git", "lfs", "pull", *only)):
            done = await self._mirrors.run_outside(tree, argv, env=_at(tree), timeout_seconds=self._network_seconds)
            if done.exit_code:
                why = f"{last_words(done.stderr)}; {_listed(pointers)}"
                raise Refused(what, why, _LFS_PUSH)
        if left := [path for path in pointers if _is_pointer(tree / path)]:
            raise Refused(what, _listed(left), _LFS_PUSH)

    async def _fetch_modules(self, tree: Path, name: str, url: str, depth: int = 0) -> None:
        """Submodules, recursively; Refused, naming all of them, when one may not or cannot be read."""
        rows = await self._mirrors.git(tree, "ls-files", "--stage", "-z", env=_at(tree))
        links = [row.partition("\t")[2] for row in rows.split("\0") if row.startswith(_GITLINK)]
        if not links:
            return
        said = ""
        if (file := tree / ".gitmodules").is_file() and not file.is_symlink():
            said = await self._mirrors.git(tree, "config", "--file", str(file), "--null", "--list", env=_at(tree))
        modules = _modules(said, links, url)
        if problems := [reason for one in modules if (reason := self._refusal(one, name, depth))]:
            raise Refused.all(problems)
        for one in modules:
            await self._fetch_module(tree, name, one)
            await self._fetch_modules(tree / one.path, f"{name}/{one.path}", one.url, depth + 1)

    async def _fetch_module(self, tree: Path, name: str, module: _Module) -> None:
        said = ("-c", f"submodule.{module.name}.url={module.url}", "-c", "protocol.file.allow=always")
        argv = ("git", *said, "submodule", "--quiet", "update", "--init", "--checkout", "--", module.path)
        done = await self._mirrors.run_outside(tree, argv, env=_at(tree), timeout_seconds=self._network_seconds)
        if done.exit_code:
            what = f"the submodule {module.path} of {name} cannot be read"
            raise Unreachable(what, last_words(done.stderr), f"see that {module.url} has its commit and may be read")

    def _refusal(self, module: _Module, name: str, depth: int) -> Reason | None:
        """Why a submodule may not be read from where it says it is."""
        what, next_ = f"the submodule {module.path} of {name} is not taken", "mend .gitmodules, then release prepare"
        if depth >= _DEEPEST:
            return Reason(what, f"it is {depth} levels deep", "nest them less deeply")
        if not module.url:
            return Reason(what, ".gitmodules says no address for it", next_)
        if module.url.startswith("-") or re.search(r"[\x00-\x20\x7f]", module.url):
            return Reason(what, f"{module.url[:80]!r} is no address", next_)
        parts = urlsplit(module.url)
        if re.match(r"[a-z0-9+.-]+::", module.url, re.IGNORECASE):
            return Reason(what, f"{module.url.partition('::')[0]}:: would run a program", next_)
        if parts.scheme in _SCHEMES or re.match(r"(?:[\w.-]+@)?[\w.-]+:(?!//)", module.url):
            return None
        if parts.scheme not in ("", "file"):
            return Reason(what, f"{parts.scheme}:// is not among {', '.join(_SCHEMES)} and file", next_)
        path = Path(unquote(parts.path)).resolve()
        if self._projects is None or not path.is_relative_to(self._projects):
            where = self._projects or "PROJECTS_DIR, which is not set"
            return Reason(what, f"{path} is not below {where}", "give it an address that others can read, too")
        return None


class _Module(msgspec.Struct, frozen=True):
    """A submodule by its path in the tree; `url` is resolved, blank where .gitmodules does not say it."""

    path: str
    name: str
    url: str


def _at(tree: Path) -> dict[str, str]:
    return {"GIT_DIR": str(tree / ".git"), "GIT_WORK_TREE": str(tree)}


def _lay(tree: Path, mirror: Path, repository: Repository, commit: Sha, packed: str) -> None:
    """The folder of a clone that nobody has worked in."""
    git = tree / ".git"
    for folder in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info"):
        (git / folder).mkdir(parents=True)
    (git / "HEAD").write_text(f"{commit}\n")
    (git / "config").write_text(_CONFIG.format(url=_quoted(repository.url)))
    (git / "objects/info/alternates").write_text(f"{mirror / 'objects'}\n")
    (git / "packed-refs").write_text(packed)
    if f" refs/remotes/origin/{repository.main_branch}\n" in packed:
        head = git / "refs/remotes/origin/HEAD"
        head.parent.mkdir(parents=True)
        head.write_text(f"ref: refs/remotes/origin/{repository.main_branch}\n")


def _packed(rows: Iterator[list[str]]) -> str:
    found: dict[str, list[str]] = {}
    for sha, ref, *peeled in rows:
        name = ref.replace("refs/origin/tags/", "refs/tags/", 1).replace(
            "refs/origin/heads/", "refs/remotes/origin/", 1
        )
        found[name] = [f"{sha} {name}\n", *(f"^{one}\n" for one in peeled)]
    lines = (line for name in sorted(found) for line in found[name])
    return "".join(["# pack-refs with: peeled fully-peeled sorted \n", *lines])


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _modules(said: str, links: Sequence[str], parent: str) -> list[_Module]:
    """What .gitmodules (`git config --list`, with NUL) says of `links`, against the address of `parent` as git does."""
    sections: dict[str, dict[str, str]] = {}
    for key, _, value in (row.partition("\n") for row in said.split("\0")):
        if found := re.fullmatch(r"submodule\.(.+)\.(path|url)", key, re.DOTALL):
            sections.setdefault(found[1], {})[found[2]] = value
    by_path = {one.get("path", ""): (name, one.get("url", "")) for name, one in sections.items()}
    named = ((path, *by_path.get(path, ("", ""))) for path in links)
    return [_Module(path, name, _resolved(url, parent)) for path, name, url in named]


def _resolved(url: str, parent: str) -> str:
    if not url.startswith(("./", "../")):
        return url
    head, mark, path = parent.rstrip("/").rpartition("://")
    host, slash, rest = path.partition("/") if mark else path.partition(":") if ":" in path else ("", "", path)
    joined = posixpath.normpath(posixpath.join(rest, url))
    return f"{head}{mark}{host}{slash}{joined}"


def _is_pointer(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(43).startswith(b"version https://git-lfs.github.com/spec/v1")


def _listed(paths: Sequence[str]) -> str:
    return ", ".join(paths[:5]) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
