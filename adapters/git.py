"""`core.repositories.Repositories` over real git: looks at origin, reads, derives, merges, pushes and reads back (L34).

GitPython reads files and history at a commit; everything that writes or talks to a network goes through the one door
to child processes. Nothing here ever forces a ref.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, Unpack

from adapters.checkouts import Checkouts
from adapters.git_reading import LINK, blob, changed, entry, history, look_in, patches
from adapters.git_tokens import NO_TOKENS, GitTokens
from adapters.merging import merged_tree
from adapters.mirrors import Mirrors
from adapters.pushing import PushReport, not_taken, plain, push_argv, ref_name, refspec_push, verdict
from core.errors import Refused, StepFailed, Unreachable
from core.ports import How, Processes
from core.registry import Argv, Repository, Sha
from core.repositories import Conflict, Logged, Patch, Relation

if TYPE_CHECKING:
    from git import Commit

_T = TypeVar("_T")
_AT_ONCE = 500  # commits on one command line
_WHO = "Stationmaster <stationmaster@localhost>"
_NO_REF = "refs/derived"  # git insists on a name while it imports
_DEPLOY_SECONDS = 3600.0  # a platform builds while we push
_ADVICE = {
    Relation.EQUAL: "resume: it is there",
    Relation.AHEAD: "it contains this commit already: look at what came on top, then resume",
    Relation.BEHIND: "somebody moved it: when that was meant, release prepare",
    Relation.DIVERGED: "bring what is there into the release branch, then release prepare",
    Relation.UNKNOWN: "put the branch back where it was, or release prepare",
}


class MirrorRepositories:
    """Mirrors and checkouts under `folder`; `network_seconds` bounds every call to an origin.

    `projects`: the folder below which submodules may be read from a path.
    """

    def __init__(
        self,
        processes: Processes,
        folder: Path,
        *,
        projects: Path | None = None,
        tokens: GitTokens = NO_TOKENS,
        network_seconds: float = 900,
    ) -> None:
        self._mirrors = Mirrors(processes, folder, tokens)
        self._checkouts = Checkouts(self._mirrors, processes, projects, network_seconds)
        self._network_seconds = network_seconds
        self._patches: dict[Sha, Patch | None] = {}
        self._relations: dict[tuple[Sha, Sha], Relation] = {}  # two commits never change how they stand

    async def branch_head(self, repository: Repository, branch: str) -> Sha | None:
        return (await self.branch_heads(repository, (branch,))).get(branch)

    async def branch_heads(self, repository: Repository, branches: Collection[str]) -> dict[str, Sha]:
        refs = {ref_name("heads", branch): branch for branch in branches}
        rows = await self._remote_refs(repository, repository.url, tuple(refs)) if refs else {}
        heads = {refs[ref]: sha for ref, sha in rows.items() if ref in refs}
        await self._having(repository, *heads.values())
        return heads

    async def head_of(self, repository: Repository, url: str, branch: str, **how: Unpack[How]) -> Sha | None:
        """Where `branch` is at `url`, which need not be origin; None: there is no such branch. Fetches nothing."""
        ref = ref_name("heads", branch)
        return (await self._remote_refs(repository, url, (ref,), **how)).get(ref)

    async def tag_commit(self, repository: Repository, tag: str) -> Sha | None:
        ref = ref_name("tags", tag)
        found = await self._remote_refs(repository, repository.url, (ref, f"{ref}^{{}}"))
        return found.get(f"{ref}^{{}}") or found.get(ref)  # what an annotated tag points at comes first

    async def relation(self, repository: Repository, ours: Sha, theirs: Sha) -> Relation:
        """See the port. A commit that this machine never saw is asked for first."""
        try:
            mirror = await self._having(repository, ours)
            await self._having(repository, theirs)
        except Unreachable:
            return Relation.UNKNOWN
        if ours == theirs:
            return Relation.EQUAL
        if known := self._relations.get((ours, theirs)):
            return known
        only = ("git", "rev-list", "--left-right", "--count", f"{ours}...{theirs}")
        match (await self._mirrors.run(mirror, only)).stdout.split():
            case [_, "0"]:
                found = Relation.AHEAD
            case ["0", _]:
                found = Relation.BEHIND
            case [_, _]:
                found = Relation.DIVERGED
            case _:
                return Relation.UNKNOWN
        self._relations[ours, theirs] = found
        return found

    async def read(self, repository: Repository, commit: Sha, path: str) -> bytes | None:
        return await self._look(repository, commit, lambda at: blob(at.tree, path))

    async def mode(self, repository: Repository, commit: Sha, path: str) -> str:
        return await self._look(repository, commit, lambda at: entry(at.tree, path)[0])

    async def paths(self, repository: Repository, commit: Sha) -> frozenset[str]:
        """See the port."""
        mirror = await self._having(repository, commit)
        told = await self._mirrors.git(mirror, "ls-tree", "-r", "-z", "--full-tree", commit)
        rows = (row.partition("\t") for row in told.split("\0") if row)
        return frozenset(path for what, _, path in rows if what.split()[1] == "blob")

    async def parents(self, repository: Repository, commit: Sha) -> tuple[Sha, ...]:
        """In the order of the commit; none for the first commit of all."""
        return await self._look(repository, commit, lambda at: tuple(Sha(parent.hexsha) for parent in at.parents))

    async def changed_paths(self, repository: Repository, old: Sha, new: Sha) -> frozenset[str]:
        """Paths that differ between two commits; a renamed file counts under both names."""
        await self._having(repository, new)
        return await self._look(repository, old, lambda at: changed(at, new))

    async def history(self, repository: Repository, tip: Sha, *without: Sha) -> tuple[Logged, ...]:
        """See the port."""
        await self._having(repository, *without)
        return await self._look(repository, tip, lambda at: history(at, without))

    async def patches(self, repository: Repository, commits: Collection[Sha]) -> dict[Sha, Patch]:
        """See the port. What a commit did never changes, so each is looked at once."""
        if unseen := [one for one in dict.fromkeys(commits) if one not in self._patches]:
            for first in range(0, len(unseen), _AT_ONCE):
                some = unseen[first : first + _AT_ONCE]
                found = await self._look(repository, some[0], lambda at, some=some: patches(at, some))
                self._patches |= {sha: found.get(sha) for sha in some}
        return {sha: patch for sha in commits if (patch := self._patches.get(sha))}

    async def commit_epoch(self, repository: Repository, commit: Sha) -> int:
        return await self._look(repository, commit, lambda at: at.committed_date)

    @asynccontextmanager
    async def checkout(self, repository: Repository, commit: Sha) -> AsyncGenerator[Path, None]:
        async with self._checkouts.clone(await self._having(repository, commit), repository, commit) as tree:
            yield tree

    async def derive(self, repository: Repository, parent: Sha, files: Mapping[str, bytes], message: str) -> Sha:
        """See the port. Dated one second after its parent; a file that was there keeps its mode."""
        mirror, git = await self._having(repository, parent), self._mirrors.git
        before, epoch = await self._look(
            repository, parent, lambda at: ({path: entry(at.tree, path) for path in files}, at.committed_date)
        )
        if links := sorted(path for path, (mode, _) in before.items() if mode == f"{LINK:06o}"):
            what = f"{', '.join(links)} of {repository.name} cannot be written"
            raise Refused(what, "it is a symbolic link", "put the file in its place, then release prepare")
        stored = await self._stored(mirror, parent, files)
        modes = {path: "100755" if before[path][0] == "100755" else "100644" for path in files}
        after = {path: (modes[path], stored.get(path) or _id(files[path])) for path in files}
        changes = [(mode, path, stored.get(path) or files[path]) for path, (mode, _) in after.items()]
        stdin = _import(parent, epoch + 1, message, changes)
        made = Sha(await git(mirror, "fast-import", "--quiet", "--done", stdin=stdin))
        # git itself judges every path: fast-import does not. It locks an index, so that one is ours.
        index = self._mirrors.private_path("index")
        await git(mirror, "read-tree", "--dry-run", made, env={"GIT_INDEX_FILE": str(index)})
        # It lets a file take the place of a folder, and a folder that of a file.
        told = (await git(mirror, "diff-tree", "-r", "-z", "--raw", "--no-renames", parent, made)).split("\0")
        changed = {(path, *what.split()[1:4:2]) for what, path in zip(told[::2], told[1::2], strict=False)}
        wrong = {path for path, *_ in changed ^ {(path, *it) for path, it in after.items() if it != before[path]}}
        if wrong:
            why = f"git would not write just these files: {', '.join(sorted(wrong))}"
            raise StepFailed(f"no commit was made for {repository.name}", why, "mend the paths in the configuration")
        self._mirrors.known[mirror].add(made)
        return made

    async def _stored(self, mirror: Path, parent: Sha, files: Mapping[str, bytes]) -> dict[str, str]:
        """Path → id, as `git add` stores `files`: line ends and encodings as the attributes of `parent` have it.

        What could be no file there is left out.
        """
        stored: dict[str, str] = {}
        async with self._mirrors.attributes(mirror, parent) as tree:
            where = {"GIT_DIR": str(mirror), "GIT_WORK_TREE": str(tree), "GIT_INDEX_FILE": str(tree / ".index")}
            await self._mirrors.git(tree, "read-tree", parent, env=where)
            for path in (path for path in files if _is_plain(path) and not (tree / path).is_dir()):
                (tree / path).parent.mkdir(parents=True, exist_ok=True)
                (tree / path).write_bytes(files[path])
                await self._mirrors.git(tree, "add", "--force", "--", f":(literal){path}", env=where)
                told = await self._mirrors.git(tree, "ls-files", "--stage", "--", f":(literal){path}", env=where)
                stored[path] = told.split()[1]
        return stored

    async def merge(self, repository: Repository, ours: Sha, theirs: Sha, message: str) -> Sha | Conflict:
        """See the port. Dated one second after the younger of its parents."""
        mirror, git = await self._having(repository, ours, theirs), self._mirrors.git
        if ours == theirs:
            return ours
        dates = ("log", "--no-walk=unsorted", "--format=%T %ct", ours, theirs)
        rows, tree = await asyncio.gather(git(mirror, *dates), merged_tree(self._mirrors, mirror, ours, theirs))
        if isinstance(tree, Conflict):
            return tree
        (before, _, our_epoch), (_, _, their_epoch) = (row.partition(" ") for row in rows.splitlines())
        # The tree alone does not tell: commits that undo each other are merged all the same.
        if tree == before and await self.relation(repository, ours, theirs) is Relation.AHEAD:
            return ours
        # Of a date that git cannot read, in whoever's commit, it says nothing.
        who = f"{_WHO} {max(int(our_epoch or 0), int(their_epoch or 0)) + 1} +0000"
        text = f"tree {tree}\nparent {ours}\nparent {theirs}\nauthor {who}\ncommitter {who}\n\n{message}"
        made = Sha(await git(mirror, "hash-object", "-t", "commit", "-w", "--stdin", stdin=text.encode()))
        self._mirrors.known[mirror].add(made)
        return made

    async def push(self, repository: Repository, commit: Sha, branch: str, *, expected: Sha | None) -> None:
        """See the port. The lease only repeats what the ancestor check proved: never a force."""
        mirror, ref = await self._having(repository, commit), ref_name("heads", branch)
        if expected and await self.relation(repository, expected, commit) is not Relation.BEHIND:
            why = f"{commit} does not contain {expected}, where the branch is"
            raise StepFailed(f"{branch} of {repository.name} was not pushed", why, _ADVICE[Relation.DIVERGED])
        argv = refspec_push(repository.url, commit, ref, f"--force-with-lease={ref}:{expected or ''}")
        report = await self._report(mirror, argv, ref, timeout_seconds=self._network_seconds)
        found = await self.branch_head(repository, branch)
        # Also when somebody built upon it in the meantime, it did arrive.
        arrived = (Relation.EQUAL,) if report.status == "rejected" else (Relation.EQUAL, Relation.AHEAD)
        if found and await self.relation(repository, found, commit) in arrived:
            return
        if found != expected:
            raise await self._moved(repository, branch, commit, expected, found)
        raise not_taken(f"{branch} of {repository.name}", report)

    async def push_tag(self, repository: Repository, tag: str, commit: Sha) -> None:
        """See the port. The same tag of the same commit is the same object anywhere."""
        mirror, ref = await self._having(repository, commit), ref_name("tags", tag)
        epoch = await self.commit_epoch(repository, commit)
        text = f"object {commit}\ntype commit\ntag {tag}\ntagger {_WHO} {epoch} +0000\n\n{tag}\n"
        made = await self._mirrors.git(mirror, "mktag", stdin=text.encode())
        argv = refspec_push(repository.url, made, ref)
        report = await self._report(mirror, argv, ref, timeout_seconds=self._network_seconds)
        if not await self._is_tagged(repository, tag, commit):
            raise not_taken(f"tag {tag} of {repository.name}", report)

    async def push_to(
        self, repository: Repository, commit: Sha, url: str, branch: str, **how: Unpack[How]
    ) -> PushReport:
        """Run `push_argv` from the mirror, for remotes that deploy what they get; the caller looks what came of it.

        `env` wins over our settings, so GIT_CONFIG_GLOBAL may name a file with a credential helper.
        """
        mirror, argv = await self._having(repository, commit), push_argv(url, commit, branch)
        return await self._report(
            mirror, argv, ref_name("heads", branch), **{"timeout_seconds": _DEPLOY_SECONDS, **how}
        )

    async def _having(self, repository: Repository, *commits: Sha) -> Path:
        """The mirror, with `commits` in it: fetched when they are not there, as on a machine that never saw them."""
        for commit in commits:
            if not re.fullmatch("[0-9a-f]{40}", commit):
                raise Refused(f"{commit!r} is no commit", "40 hexadecimal digits name one", "give the full id")
        mirror = await self._mirrors.mirror(repository.name)
        if await self._missing(mirror, commits):
            async with self._mirrors.alone(mirror):
                if missing := await self._missing(mirror, commits):
                    # A ref named after its commit never moves and never clashes, and tells origin what we have.
                    options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--end-of-options")
                    kept = (f"{commit}:refs/kept/{commit}" for commit in missing)
                    await self._ask(repository, mirror, ("fetch", *options, plain(repository.url), *kept))
        self._mirrors.known[mirror].update(commits)
        return mirror

    async def _missing(self, mirror: Path, commits: Collection[Sha]) -> list[Sha]:
        unknown = [commit for commit in dict.fromkeys(commits) if commit not in self._mirrors.known[mirror]]
        if not unknown:
            return []
        asked = "".join(f"{commit}^{{commit}}\n" for commit in unknown).encode()
        found = (await self._mirrors.run(mirror, ("git", "cat-file", "--batch-check"), stdin=asked)).stdout
        return [commit for commit in unknown if f"{commit} commit " not in found]

    async def _remote_refs(
        self, repository: Repository, url: str, refs: tuple[str, ...], **how: Unpack[How]
    ) -> dict[str, Sha]:
        mirror = await self._mirrors.mirror(repository.name)
        args = ("ls-remote", "--quiet", "--end-of-options", plain(url), *refs)
        rows = (await self._ask(repository, mirror, args, **how)).splitlines()
        return {ref: Sha(sha) for sha, _, ref in (row.partition("\t") for row in rows)}

    async def _ask(self, repository: Repository, mirror: Path, args: Argv, **how: Unpack[How]) -> str:
        return await self._mirrors.ask(repository, mirror, args, self._network_seconds, **how)

    async def _look(self, repository: Repository, commit: Sha, look: Callable[[Commit], _T]) -> _T:
        return await asyncio.to_thread(look_in, await self._having(repository, commit), commit, look)

    async def _is_tagged(self, repository: Repository, tag: str, commit: Sha) -> bool:
        found = await self.tag_commit(repository, tag)
        if found and found != commit:
            what = f"tag {tag} of {repository.name} names another commit"
            raise StepFailed(what, f"expected {commit}, found {found}", "bump the version, then release prepare")
        return found == commit

    async def _report(self, mirror: Path, argv: Argv, ref: str, **how: Unpack[How]) -> PushReport:
        try:
            return verdict(await self._mirrors.run_outside(mirror, argv, **how), ref)
        except StepFailed as late:
            return PushReport("unknown", late.reasons[0].why, "")

    async def _moved(
        self, repository: Repository, branch: str, commit: Sha, expected: Sha | None, found: Sha | None
    ) -> StepFailed:
        relation = await self.relation(repository, found, commit) if found else Relation.UNKNOWN
        why = f"expected {expected or 'no such branch'}, found {found or 'no such branch'} ({relation} to {commit})"
        return StepFailed(f"{branch} of {repository.name} has moved", why, _ADVICE[relation])


def _import(parent: Sha, epoch: int, message: str, changes: Iterable[tuple[str, str, bytes | str]]) -> bytes:
    """What `git fast-import` makes one commit of, printing its id; no ref is left.

    `changes`: mode, path, and the content or the id that git has it under.
    """
    text = message.encode()
    lines = [f"commit {_NO_REF}\nmark :1\nauthor {_WHO} {epoch} +0000\ncommitter {_WHO} {epoch} +0000\n".encode()]
    lines += [b"data %d\n%s\nfrom %s\n" % (len(text), text, parent.encode())]
    for mode, path, content in changes:
        quoted = re.sub(r'["\\]', r"\\\g<0>", path).replace("\n", "\\n")
        if isinstance(content, str):
            lines.append(f'M {mode} {content} "{quoted}"\n'.encode())
        else:
            lines += [f'M {mode} inline "{quoted}"\ndata {len(content)}\n'.encode(), content, b"\n"]
    return b"".join([*lines, f"get-mark :1\nreset {_NO_REF}\nfrom {'0' * 40}\ndone\n".encode()])


def _is_plain(path: str) -> bool:
    """True for a path that can lead nowhere but below the folder that it starts from."""
    parts = path.split("/")
    return not any(part.lower() in ("", ".", "..", ".git", ".index") for part in parts)


def _id(content: bytes) -> str:
    """What git calls a file with this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
