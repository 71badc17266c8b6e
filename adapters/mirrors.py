"""The folder of bare mirrors and worktrees: who may use what, and what a dead process left behind (spec 4.4, L33).

Several processes of one host may share the folder. Each owns its worktrees by a kernel lock that it holds until it
dies, which no recycled pid and no other container can fake (L07).
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import secrets
import shutil
import weakref
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Unpack
from urllib.parse import quote

from adapters.git_tokens import GitTokens, as_variables
from adapters.pushing import is_denied, last_words
from core.errors import Refused, StepFailed, Unreachable
from core.ports import Finished, How, Processes
from core.registry import Argv, Repository

_BUSY_SECONDS = 1800.0  # longer than the longest fetch
_POLL_SECONDS = 0.05
# git itself waits for ever. Not for pushes: a hook may be silent for minutes.
_IMPATIENT = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60")
_logger = logging.getLogger(__name__)
# Nobody's hooks and configuration; what we write survives a power cut; what comes is there whole or not at all.
_SETTINGS = {
    **{"gc.auto": "0", "maintenance.auto": "false", "core.commitGraph": "false", "core.fsmonitor": "false"},
    **{"fetch.unpackLimit": "1", "fastimport.unpackLimit": "1", "core.fsync": "committed", "core.autocrlf": "false"},
    **dict.fromkeys(("core.hooksPath", "core.attributesFile", "core.excludesFile"), os.devnull),
}
ISOLATION = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": f"{os.devnull}/none",  # a file that is there would be complained of
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
    **as_variables(list(_SETTINGS.items())),
    "GIT_ATTR_NOSYSTEM": "1",
    "LC_ALL": "C",  # its words are read by programs
}

_CONFIG = b"[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n[gc]\n\tauto = 0\n"
# Whatever else may stand in a repository's folder and change what its objects seem to say.
_NOT_OURS = (
    *("hooks", "info", "shallow", "worktrees", "modules", "rr-cache", "logs", "branches", "remotes", "commondir"),
    *("config.worktree", "objects/info", "refs/replace", "refs/stash", "refs/heads", "refs/tags", "refs/remotes"),
)


class Mirrors:
    """Bare mirrors by repository name, made when first asked for; a broken one is made again."""

    def __init__(self, processes: Processes, folder: Path, tokens: GitTokens) -> None:
        self._processes, self._tokens = processes, tokens
        folder = folder.absolute()  # git runs elsewhere
        self._mirrors, self._worktrees = folder / "mirrors", folder / "worktrees"
        self._own = self._worktrees / f"{os.getpid()}-{secrets.token_hex(4)}"
        self._locks: defaultdict[Path, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.known: dict[Path, set[str]] = {}
        """The commits that were seen in each mirror that is ready; nothing is ever pruned there."""

    async def run(self, mirror: Path, argv: Argv, **how: Unpack[How]) -> Finished:
        """Run a git command line in `mirror` to its end, whatever that is; `env` wins over our isolation."""
        how["env"] = {"HOME": os.devnull, **ISOLATION, "GIT_DIR": str(mirror), **how.get("env", {})}
        return await self._processes.run(argv, cwd=mirror, **how)

    async def run_outside(self, mirror: Path, argv: Argv, **how: Unpack[How]) -> Finished:
        """As `run`, for what speaks to another host: with the tokens that the configuration names."""
        with self._tokens.configured(_SETTINGS, self._own) as variables:
            return await self.run(mirror, argv, **{**how, "env": {**variables, **how.get("env", {})}})

    async def git(self, mirror: Path, *args: str, **how: Unpack[How]) -> str:
        """What git printed; StepFailed when it exits with anything but 0 (L34)."""
        done = await self.run(mirror, ("git", *args), **how)
        if done.exit_code:
            why = done.stderr.strip() or f"exit {done.exit_code}"
            raise StepFailed(f"git {args[0]} failed in {mirror.name}", why, "see why, then resume")
        return done.stdout.strip()

    async def mirror(self, name: str) -> Path:
        """The bare mirror of the repository `name`, sound and free of what dead processes left in it."""
        mirror = self._mirrors / f"{quote(name, safe='')}.git"
        if mirror not in self.known or not mirror.is_dir():
            await self._claim_worktrees()
            async with self.alone(mirror):
                await self._restore(mirror)
            self.known[mirror] = set()
        if await asyncio.to_thread(_nailed, mirror):
            _logger.warning("%s held what was not ours", mirror, extra={"action": "mirror.nailed"})
        return mirror

    @asynccontextmanager
    async def alone(self, mirror: Path) -> AsyncGenerator[None, None]:
        """Nobody else, here or in another process, fetches, prunes, adds or removes in `mirror` meanwhile."""
        # Side by side, most fetches fail: they lock the same refs (toolchains.md 6).
        async with self._locks[mirror], _locked(mirror.with_suffix(".lock")):
            yield

    async def ask(self, repository: Repository, mirror: Path, args: Argv, seconds: float, **how: Unpack[How]) -> str:
        """What a question over the network printed; every way of getting no answer is Unreachable (L11)."""
        try:
            how.setdefault("timeout_seconds", seconds)
            done = await self.run_outside(mirror, ("git", *_IMPATIENT, *args), **how)
            why = last_words(done.stderr) if done.exit_code else ""
        except StepFailed as late:
            done, why = Finished(1, "", ""), late.reasons[0].why
        if done.exit_code and is_denied(done.stderr):
            raise self._denied(repository, why)
        if done.exit_code:
            next_ = f"check the url of {repository.name} and who may read it"
            raise Unreachable(f"{args[0]} for {repository.name} got no answer", why, next_)
        return done.stdout

    def _denied(self, repository: Repository, why: str) -> Refused:
        """A host that wants to know who asks has answered: it is no riddle, and names what to give it."""
        what, name = f"{repository.name} may not be read", self._tokens.name_for(repository.url)
        if name:
            return Refused(what, why, f"give {name} a token that may read and write {repository.url}")
        host = repository.url.partition("://")[2].partition("/")[0].rpartition("@")[2] or "HOST"
        line = f"git: {{{host}: {{token_env: GIT_TOKEN}}}}"
        return Refused(what, why, f"add `{line}` to release_repos.yml and export GIT_TOKEN=…, or use an ssh address")

    def private_path(self, name: str) -> Path:
        """A path of this process where nothing is, once `mirror` was asked for."""
        return self._own / f"{name}-{secrets.token_hex(6)}"

    async def own_folder(self, name: str) -> Path:
        """A new folder of this process, which is removed with all in it when the process is gone."""
        await self._claim_worktrees()
        folder = self._own / name
        await asyncio.to_thread(folder.mkdir, parents=True)
        return folder

    @asynccontextmanager
    async def attributes(self, mirror: Path, commit: str) -> AsyncGenerator[Path, None]:
        """A folder with the .gitattributes of `commit` and nothing else: a work tree for git to read them from.

        In the mirror's own info/attributes they would also rule over checkouts of other commits.
        """
        tree = self._own / f"{mirror.stem}-attributes-{secrets.token_hex(6)}"
        where = {"GIT_DIR": str(mirror), "GIT_WORK_TREE": str(tree), "GIT_INDEX_FILE": str(tree / ".index")}
        try:
            tree.mkdir(parents=True)
            argv = ("git", "checkout", "--quiet", commit, "--", ":(glob)**/.gitattributes")
            done = await self.run(tree, argv, env=where)
            if done.exit_code and "did not match any file" not in done.stderr:
                why = done.stderr.strip()
                raise StepFailed(f"the attributes of {commit} cannot be read in {mirror.name}", why, "resume")
            yield tree
        finally:
            await self.remove(tree)

    async def _restore(self, mirror: Path) -> None:
        """Make `mirror` where it is not, or not whole; forget locks and worktrees of the dead. We are alone in it."""
        if mirror.is_dir():
            await asyncio.to_thread(_nailed, mirror)
        question = ("git", "rev-parse", "--is-bare-repository")
        if not mirror.is_dir() or (await self.run(mirror, question)).stdout != "true\n":
            new = mirror.with_suffix(".new")
            await self.remove(new)
            new.mkdir()
            await self.git(new, "init", "--quiet", "--bare", "--template=", "--initial-branch=main")
            await asyncio.to_thread(_nailed, new)
            await self.remove(mirror)
            new.rename(mirror)
        for left in (*mirror.glob("*.lock"), *(mirror / "refs").rglob("*.lock")):
            left.unlink()

    async def _claim_worktrees(self) -> None:
        """At first use: remove the worktrees of every process that is proven gone, and own a folder for ours."""
        async with self.alone(self._worktrees):
            if self._own.exists():
                return
            for lock in self._worktrees.glob("*.lock"):
                if (held := _try_lock(lock)) is not None:
                    await self.remove(lock.with_suffix(""))
                    lock.unlink()
                    os.close(held)
            self._own.mkdir(parents=True)
            if (held := _try_lock(self._own.with_suffix(".lock"))) is not None:
                weakref.finalize(self, os.close, held)

    async def remove(self, folder: Path) -> None:
        """Remove `folder`, also when a build made parts of it read-only."""
        for argv in (("rm", "-rf"), ("chmod", "-R", "u+rwX"), ("rm", "-rf")):
            if (
                not (await self._processes.run((*argv, "--", str(folder)), env={"HOME": os.devnull})).exit_code
                and argv[0] == "rm"
            ):
                return


def _nailed(mirror: Path) -> bool:
    """Make `mirror` say nothing but its objects and our refs; True when it had to be made so.

    Repository code runs as the same user as we do, so it can reach this folder; whatever it may have left is gone
    before git reads it.
    """
    changed = False
    for name, text in (("config", _CONFIG), ("HEAD", b"ref: refs/heads/main\n")):
        path = mirror / name
        if path.is_symlink() or not path.is_file() or path.read_bytes() != text:
            new = mirror / f"{name}-{secrets.token_hex(4)}"  # whoever runs git here meanwhile sees one or the other
            new.write_bytes(text)
            new.replace(path)
            changed = True
    for name in _NOT_OURS:
        path = mirror / name
        if path.is_symlink() or path.is_file():
            path.unlink(missing_ok=True)
        elif path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            continue
        changed = True
    return changed


@asynccontextmanager
async def _locked(path: Path) -> AsyncGenerator[None, None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = asyncio.get_running_loop().time() + _BUSY_SECONDS
    while (held := _try_lock(path)) is None:
        if asyncio.get_running_loop().time() > deadline:
            why = f"another process has held it for {_BUSY_SECONDS:g} s"
            raise Unreachable(f"{path.stem} is in use", why, f"find it with: fuser {path}")
        await asyncio.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        os.close(held)


def _try_lock(path: Path) -> int | None:
    """A descriptor that holds `path` until it is closed or we die; None while somebody else holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
