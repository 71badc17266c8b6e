"""What a mirror says at a commit, read through GitPython: files, history, and what a commit did. Blocks."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Collection, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from adapters.mirrors import ISOLATION
from core.errors import Refused, StepFailed
from core.registry import Sha
from core.repositories import Logged, Patch

if TYPE_CHECKING:
    from git import Commit, Tree

_T = TypeVar("_T")
LINK = 0o120000


def look_in(mirror: Path, commit: Sha, look: Callable[[Commit], _T]) -> _T:
    """Let `look` read `commit`; blocks. The Repo is closed, for it holds a git process."""
    _forget_what_git_was_told()
    from git import Commit, Repo  # importing it runs git, which must not happen before it is needed
    from git.exc import GitError, ODBError

    here = {"GIT_DIR": str(mirror), "GIT_COMMON_DIR": str(mirror), "GIT_OBJECT_DIRECTORY": str(mirror / "objects")}
    try:
        with Repo(mirror, expand_vars=False) as repo:
            repo.git.update_environment(**here, GIT_ALTERNATE_OBJECT_DIRECTORIES="")
            return look(Commit(repo, bytes.fromhex(commit)))  # asking for its kind would start another process
    except (GitError, ODBError, ValueError, OSError) as error:
        why, next_ = str(error), f"remove {mirror}, then resume: it is made again"
        raise StepFailed(f"{commit} cannot be read in {mirror.name}", why, next_) from error


@cache
def _forget_what_git_was_told() -> None:
    """GitPython and its children heed our whole environment: a hook's, or a person's, must not lead it elsewhere."""
    for name in [one for one in os.environ if one.startswith("GIT_")]:
        del os.environ[name]
    os.environ |= ISOLATION


def history(at: Commit, without: Collection[Sha]) -> tuple[Logged, ...]:
    from git import Commit

    rows = str(at.repo.git.rev_list("--topo-order", at.hexsha, *(f"^{other}" for other in without))).split()
    found = (Commit(at.repo, bytes.fromhex(sha)) for sha in rows)
    return tuple(
        Logged(
            sha=Sha(one.hexsha),
            parents=tuple(Sha(parent.hexsha) for parent in one.parents),
            author=one.author.name or "",
            message=str(one.message),
        )
        for one in found
    )


def patches(at: Commit, commits: Sequence[Sha]) -> dict[Sha, Patch]:
    """By `git patch-id`, of the diff and of the same one the other way round."""
    plain, inverse = _patch_ids(at, commits), _patch_ids(at, commits, "-R")
    return {sha: Patch(patch, inverse[sha]) for sha, patch in plain.items() if sha in inverse}


def _patch_ids(at: Commit, commits: Sequence[Sha], *more: str) -> dict[Sha, str]:
    # Nobody's configuration, and no attribute of a tree, may make another text of a diff.
    exact = ("--full-index", "--binary", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color", "--no-prefix")
    # A revert that needed no hand has the next lines unchanged, and maybe none beyond them.
    words = (
        "--no-walk=unsorted",
        "-p",
        "--unified=1",
        "--diff-merges=first-parent",
        "--format=commit %H",
        *exact,
        *more,
        *commits,
    )
    shown = at.repo.git.log(*words, as_process=True)
    rows = str(at.repo.git.patch_id("--verbatim", istream=shown.stdout)).splitlines()
    shown.wait()  # a list that broke off would say that the rest changed nothing
    return {Sha(sha): patch for patch, sha in (row.split() for row in rows)}


def changed(at: Commit, other: Sha) -> frozenset[str]:
    return frozenset(path for diff in at.diff(other) for path in (diff.a_path, diff.b_path) if path)


def blob(tree: Tree, path: str) -> bytes | None:
    """The content of a file; a symbolic link is followed once, and to a plain file of the same tree only."""
    content, mode = _content(tree, path)
    if content is None or mode != LINK:
        return content
    target = posixpath.normpath(posixpath.join(posixpath.dirname(path), content.decode(errors="replace")))
    found, mode = (None, 0) if target[:1] in "/." else _content(tree, target)
    if found is None or mode == LINK:
        why = f"it leads to {target}, which is no file of the same commit"
        raise Refused(f"{path} is a symbolic link that cannot be followed", why, "put the file in its place")
    return found


def _content(tree: Tree, path: str) -> tuple[bytes | None, int]:
    """The bytes of what is at `path` and its mode; None where that is no file and no link."""
    try:
        found = tree / path
    except KeyError:
        return None, 0
    return (cast(bytes, found.data_stream.read()), found.mode) if found.type == "blob" else (None, found.mode)


def entry(tree: Tree, path: str) -> tuple[str, str]:
    """Mode and id of what is at `path`; blank where nothing is."""
    try:
        return f"{(tree / path).mode:06o}", (tree / path).hexsha
    except KeyError:
        return "", ""
