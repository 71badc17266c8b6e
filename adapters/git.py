"""`core.ports.Repositories` over real git: looks at origin, reads at a commit, derives, pushes and reads back (L34).

GitPython reads files and history at a commit; everything that writes or talks to a network goes through the one door
to child processes. Nothing here ever forces a ref.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, Unpack, cast

import msgspec

from adapters.mirrors import ISOLATION, How, Mirrors
from core.errors import Refused, StepFailed, Unreachable
from core.ports import Finished, Processes, Relation
from core.registry import Argv, Repository, Sha

if TYPE_CHECKING:
    from git import Commit, Tree

_T = TypeVar("_T")
_WHO = "Stationmaster <stationmaster@localhost>"
_DEPLOY_SECONDS = 3600.0  # a platform builds while we push
# git itself waits for ever. Not for pushes: a hook may be silent for minutes.
_IMPATIENT = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60")
# The connection ended before the remote reported; or the ref was not where the remote had just said, which also happens
# when our own push did it: curl sends it again when the first connection ends without one byte of answer.
_UNDECIDED = (
    "[remote failure]",
    *(f"[remote rejected] ({why}" for why in ("failed to", "reference al", "incorrect old")),
)
_ADVICE = {
    Relation.EQUAL: "resume: it is there",
    Relation.AHEAD: "it contains this commit already: look at what came on top, then resume",
    Relation.BEHIND: "somebody moved it: when that was meant, prepare again: release freeze",
    Relation.DIVERGED: "bring what is there into the release branch, then prepare again: release freeze",
    Relation.UNKNOWN: "put the branch back where it was, or prepare again: release freeze",
}


class PushReport(msgspec.Struct, frozen=True):
    """What git said of one ref. `unknown`: no verdict reached us, so only the remote can tell what happened."""

    status: Literal["moved", "up to date", "rejected", "unknown"]
    summary: str
    stderr: str


def push_argv(url: str, commit: str, branch: str) -> Argv:
    """The fast-forward push of `commit` (a full sha, or a word that stands for one). Pure."""
    return _push(url, commit, _ref("heads", branch))


class MirrorRepositories:
    """Mirrors and worktrees under `folder`; `network_seconds` bounds every call to an origin."""

    def __init__(self, processes: Processes, folder: Path, *, network_seconds: float = 900) -> None:
        self._mirrors = Mirrors(processes, folder)
        self._network_seconds = network_seconds

    async def branch_head(self, repository: Repository, branch: str) -> Sha | None:
        """See `core.ports.Repositories`."""
        head = await self.head_of(repository, repository.url, branch)
        if head:
            await self._having(repository, head)
        return head

    async def head_of(self, repository: Repository, url: str, branch: str, **how: Unpack[How]) -> Sha | None:
        """Where `branch` is at `url`, which need not be origin; None: there is no such branch. Fetches nothing."""
        ref = _ref("heads", branch)
        return (await self._remote_refs(repository, url, (ref,), **how)).get(ref)

    async def tag_commit(self, repository: Repository, tag: str) -> Sha | None:
        """See `core.ports.Repositories`."""
        ref = _ref("tags", tag)
        found = await self._remote_refs(repository, repository.url, (ref, f"{ref}^{{}}"))
        return found.get(f"{ref}^{{}}") or found.get(ref)

    async def relation(self, repository: Repository, ours: Sha, theirs: Sha) -> Relation:
        """See `core.ports.Repositories`. A commit that this machine never saw is asked for first."""
        try:
            mirror = await self._having(repository, ours)
            await self._having(repository, theirs)
        except Unreachable:
            return Relation.UNKNOWN
        if ours == theirs:
            return Relation.EQUAL
        only = ("git", "rev-list", "--left-right", "--count", f"{ours}...{theirs}")
        match (await self._mirrors.run(mirror, only)).stdout.split():
            case [_, "0"]:
                return Relation.AHEAD
            case ["0", _]:
                return Relation.BEHIND
            case [_, _]:
                return Relation.DIVERGED
            case _:
                return Relation.UNKNOWN

    async def read(self, repository: Repository, commit: Sha, path: str) -> bytes | None:
        """See `core.ports.Repositories`."""
        return await self._look(repository, commit, lambda at: _blob(at.tree, path))

    async def parents(self, repository: Repository, commit: Sha) -> tuple[Sha, ...]:
        """In the order of the commit; none for the first commit of all."""
        return await self._look(repository, commit, lambda at: tuple(Sha(parent.hexsha) for parent in at.parents))

    async def changed_paths(self, repository: Repository, old: Sha, new: Sha) -> frozenset[str]:
        """Paths that differ between two commits; a renamed file counts under both names."""
        await self._having(repository, new)
        return await self._look(repository, old, lambda at: _changed(at, new))

    async def commit_epoch(self, repository: Repository, commit: Sha) -> int:
        """See `core.ports.Repositories`."""
        return await self._look(repository, commit, lambda at: at.committed_date)

    @asynccontextmanager
    async def checkout(self, repository: Repository, commit: Sha) -> AsyncGenerator[Path, None]:
        """See `core.ports.Repositories`."""
        async with self._mirrors.worktree(await self._having(repository, commit), commit) as tree:
            yield tree

    async def derive(self, repository: Repository, parent: Sha, files: Mapping[str, bytes], message: str) -> Sha:
        """See `core.ports.Repositories`. Dated one second after its parent; a file that was there keeps its mode."""
        mirror, git = await self._having(repository, parent), self._mirrors.git
        modes, epoch = await self._look(
            repository, parent, lambda at: ({path: _mode(at.tree, path) for path in files}, at.committed_date)
        )
        index = mirror / f"index-{secrets.token_hex(4)}"
        env = {"GIT_INDEX_FILE": str(index), **_signature(epoch + 1)}
        blobs = await asyncio.gather(*(git(mirror, "hash-object", "-w", "--stdin", stdin=it) for it in files.values()))
        entries = [f"{modes[path]} {blob}\t{path}\0" for path, blob in zip(files, blobs, strict=True)]
        try:
            await git(mirror, "read-tree", parent, env=env)
            await git(mirror, "update-index", "-z", "--index-info", env=env, stdin="".join(entries).encode())
            tree = await git(mirror, "write-tree", env=env)
        finally:
            index.unlink(missing_ok=True)
        made = Sha(await git(mirror, "commit-tree", tree, "-p", parent, "-F", "-", env=env, stdin=message.encode()))
        # git drops an impossible path with exit code 0, and lets a file take the place of a folder.
        wrong = await self._look(
            repository,
            made,
            lambda at: (
                _changed(at, parent) - files.keys() | {p for p, text in files.items() if _blob(at.tree, p) != text}
            ),
        )
        if wrong:
            why = f"git would not write just these files: {', '.join(sorted(wrong))}"
            raise StepFailed(f"no commit was made for {repository.name}", why, "mend the paths in the configuration")
        return made

    async def push(self, repository: Repository, commit: Sha, branch: str, *, expected: Sha | None) -> None:
        """See `core.ports.Repositories`. The lease only repeats what the ancestor check proved: never a force."""
        mirror, ref = await self._having(repository, commit), _ref("heads", branch)
        if expected and await self.relation(repository, commit, expected) is not Relation.AHEAD:
            why = f"{commit} does not contain {expected}, where the branch is"
            raise StepFailed(f"{branch} of {repository.name} was not pushed", why, _ADVICE[Relation.DIVERGED])
        argv = _push(repository.url, commit, ref, f"--force-with-lease={ref}:{expected or ''}")
        report = await self._report(mirror, argv, ref, timeout_seconds=self._network_seconds)
        found = await self.branch_head(repository, branch)
        # Also when somebody built upon it in the meantime, it did arrive.
        arrived = (Relation.EQUAL,) if report.status == "rejected" else (Relation.EQUAL, Relation.AHEAD)
        if found and await self.relation(repository, found, commit) in arrived:
            return
        if found != expected:
            raise await self._moved(repository, branch, commit, expected, found)
        raise _not_taken(f"{branch} of {repository.name}", report)

    async def push_tag(self, repository: Repository, tag: str, commit: Sha) -> None:
        """See `core.ports.Repositories`. The same tag of the same commit is the same object anywhere."""
        mirror, ref = await self._having(repository, commit), _ref("tags", tag)
        epoch = await self.commit_epoch(repository, commit)
        text = f"object {commit}\ntype commit\ntag {tag}\ntagger {_WHO} {epoch} +0000\n\n{tag}\n"
        made = await self._mirrors.git(mirror, "mktag", stdin=text.encode())
        argv = _push(repository.url, made, ref)
        report = await self._report(mirror, argv, ref, timeout_seconds=self._network_seconds)
        if not await self._is_tagged(repository, tag, commit):
            raise _not_taken(f"tag {tag} of {repository.name}", report)

    async def push_to(
        self, repository: Repository, commit: Sha, url: str, branch: str, **how: Unpack[How]
    ) -> PushReport:
        """Run `push_argv` from the mirror, for remotes that deploy what they get; the caller looks what came of it.

        `env` wins over our settings, so GIT_CONFIG_GLOBAL may name a file with a credential helper.
        """
        mirror, argv = await self._having(repository, commit), push_argv(url, commit, branch)
        return await self._report(mirror, argv, _ref("heads", branch), **{"timeout_seconds": _DEPLOY_SECONDS, **how})

    async def _having(self, repository: Repository, commit: Sha) -> Path:
        """The mirror, with `commit` in it: fetched when it is not there, as on a machine that never saw it."""
        if not re.fullmatch("[0-9a-f]{40}", commit):
            raise Refused(f"{commit!r} is no commit", "40 hexadecimal digits name one", "give the full id")
        mirror = await self._mirrors.mirror(repository.name)
        known, present = self._mirrors.known[mirror], ("git", "cat-file", "-e", f"{commit}^{{commit}}")
        if commit not in known and (await self._mirrors.run(mirror, present)).exit_code:
            async with self._mirrors.alone(mirror):
                if (await self._mirrors.run(mirror, present)).exit_code:
                    # A ref named after its commit never moves and never clashes, and tells origin what we have.
                    options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--end-of-options")
                    refspec = f"{commit}:refs/kept/{commit}"
                    await self._ask(repository, mirror, ("fetch", *options, _plain(repository.url), refspec))
        known.add(commit)
        return mirror

    async def _remote_refs(
        self, repository: Repository, url: str, refs: tuple[str, ...], **how: Unpack[How]
    ) -> dict[str, Sha]:
        mirror = await self._mirrors.mirror(repository.name)
        args = ("ls-remote", "--quiet", "--end-of-options", _plain(url), *refs)
        rows = (await self._ask(repository, mirror, args, **how)).splitlines()
        return {ref: Sha(sha) for sha, _, ref in (row.partition("\t") for row in rows)}

    async def _ask(self, repository: Repository, mirror: Path, args: Argv, **how: Unpack[How]) -> str:
        """What a question over the network printed; every way of getting no answer is Unreachable (L11)."""
        try:
            how.setdefault("timeout_seconds", self._network_seconds)
            done = await self._mirrors.run(mirror, ("git", *_IMPATIENT, *args), **how)
            why = _last_words(done.stderr) if done.exit_code else ""
        except StepFailed as late:
            done, why = Finished(1, "", ""), late.reasons[0].why
        if done.exit_code:
            next_ = f"check the url of {repository.name} and who may read it, then resume"
            raise Unreachable(f"{args[0]} for {repository.name} got no answer", why, next_)
        return done.stdout

    async def _look(self, repository: Repository, commit: Sha, look: Callable[[Commit], _T]) -> _T:
        return await asyncio.to_thread(_look, await self._having(repository, commit), commit, look)

    async def _is_tagged(self, repository: Repository, tag: str, commit: Sha) -> bool:
        found = await self.tag_commit(repository, tag)
        if found and found != commit:
            what = f"tag {tag} of {repository.name} names another commit"
            raise StepFailed(what, f"expected {commit}, found {found}", "bump the version, then release freeze")
        return found == commit

    async def _report(self, mirror: Path, argv: Argv, ref: str, **how: Unpack[How]) -> PushReport:
        try:
            return _verdict(await self._mirrors.run(mirror, argv, **how), ref)
        except StepFailed as late:
            return PushReport("unknown", late.reasons[0].why, "")

    async def _moved(
        self, repository: Repository, branch: str, commit: Sha, expected: Sha | None, found: Sha | None
    ) -> StepFailed:
        relation = await self.relation(repository, found, commit) if found else Relation.UNKNOWN
        why = f"expected {expected or 'no such branch'}, found {found or 'no such branch'} ({relation} to {commit})"
        return StepFailed(f"{branch} of {repository.name} has moved", why, _ADVICE[relation])


def _plain(text: str, forbidden: str = "") -> str:
    """`text`, unless git would take it for an option (`--upload-pack=CMD` as an url runs CMD) or for a pattern."""
    if not text or text.startswith("-") or re.search(rf"[\x00-\x1f\x7f{forbidden}]", text):
        raise Refused(f"git may not be given {text!r}", "it would be read as something else", "mend the configuration")
    return text


def _ref(kind: Literal["heads", "tags"], name: str) -> str:
    return f"refs/{kind}/" + _plain(name, r" ~^:?*\[\\")


def _push(url: str, commit: str, ref: str, *options: str) -> Argv:
    return ("git", "push", "--porcelain", *options, "--end-of-options", _plain(url), f"{_plain(commit)}:{ref}")


def _verdict(done: Finished, ref: str) -> PushReport:
    """The status line of `ref` decides: git prints `Done`, and even exits 0, for what did not happen."""
    for line in done.stdout.splitlines():
        flag, _, rest = line.partition("\t")
        names, _, summary = rest.partition("\t")
        if names.endswith(f":{ref}") and not summary.startswith(_UNDECIDED):
            status = "rejected" if flag == "!" else "up to date" if flag == "=" else "moved"
            return PushReport(status, summary, done.stderr)
    return PushReport("unknown", _last_words(done.stderr) or f"git exited with {done.exit_code}", done.stderr)


def _not_taken(what: str, report: PushReport) -> StepFailed | Unreachable:
    """The remote was read back and does not have it."""
    if report.status == "unknown":
        return Unreachable(f"{what} was not pushed", report.summary, "see that origin can be reached, then resume")
    why = f"origin said {report.summary}: {_last_words(report.stderr)}"
    return StepFailed(f"{what} was not taken", why, "see what protects it on origin, then resume")


def _last_words(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and not line.startswith("hint:")]
    return " / ".join(lines[-4:])


def _signature(epoch: int) -> dict[str, str]:
    name, _, email = _WHO.rstrip(">").partition(" <")
    who = {"NAME": name, "EMAIL": email, "DATE": f"{epoch} +0000"}
    return {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()}


def _look(mirror: Path, commit: Sha, look: Callable[[Commit], _T]) -> _T:
    """Let `look` read `commit`; blocks. The Repo is closed, for it holds a git process."""
    from git import Commit, Repo  # importing it runs git, which must not happen before it is needed
    from git.exc import GitError, ODBError

    # What it runs inherits our whole environment: what a hook set there must not lead it to another repository.
    here = {"GIT_DIR": str(mirror), "GIT_COMMON_DIR": str(mirror), "GIT_OBJECT_DIRECTORY": str(mirror / "objects")}
    try:
        with Repo(mirror, expand_vars=False) as repo:
            repo.git.update_environment(**ISOLATION, **here, GIT_ALTERNATE_OBJECT_DIRECTORIES="")
            return look(Commit(repo, bytes.fromhex(commit)))  # asking for its kind would start another process
    except (GitError, ODBError, ValueError, OSError) as error:
        why, next_ = str(error), f"remove {mirror}, then resume: it is made again"
        raise StepFailed(f"{commit} cannot be read in {mirror.name}", why, next_) from error


def _changed(at: Commit, other: Sha) -> frozenset[str]:
    return frozenset(path for diff in at.diff(other) for path in (diff.a_path, diff.b_path) if path)


def _blob(tree: Tree, path: str) -> bytes | None:
    try:
        entry = tree / path
    except KeyError:
        return None
    return cast(bytes, entry.data_stream.read()) if entry.type == "blob" else None


def _mode(tree: Tree, path: str) -> str:
    try:
        return "100755" if (tree / path).mode == 0o100755 else "100644"
    except KeyError:
        return "100644"
