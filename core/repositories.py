"""What the core needs of git: engine-owned bare mirrors and disposable clones, never a person's checkout (L33)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import msgspec

from core.registry import Repository, Sha


class Relation(StrEnum):
    """How `ours` stands to `theirs`: five answers, never two (L36)."""

    EQUAL = "equal"
    AHEAD = "ahead"
    BEHIND = "behind"
    DIVERGED = "diverged"
    UNKNOWN = "unknown"


class Conflict(msgspec.Struct, frozen=True):
    """A merge that needs a person: the paths that both sides changed, sorted."""

    paths: tuple[str, ...]


class Logged(msgspec.Struct, frozen=True, kw_only=True):
    """One commit of a history."""

    sha: Sha
    parents: tuple[Sha, ...]
    author: str
    message: str


class Patch(msgspec.Struct, frozen=True):
    """What a commit did to its first parent, by its content: equal for whatever does the same elsewhere.

    `inverse` is the `id` of whatever takes it back.
    """

    id: str
    inverse: str


class Repositories(Protocol):
    """Engine-owned bare mirrors and disposable worktrees; never a person's checkout (L33)."""

    async def branch_head(self, repository: Repository, branch: str) -> Sha | None:
        """Where origin's `branch` is now (asks origin, fetches the commit); None: origin has no such branch."""
        ...

    async def branch_heads(self, repository: Repository, branches: Collection[str]) -> dict[str, Sha]:
        """Where origin's `branches` are now, in one question; those that origin does not have are left out."""
        ...

    async def tag_commit(self, repository: Repository, tag: str) -> Sha | None:
        """The commit that origin's `tag` names (peeled); None: no such tag."""
        ...

    async def relation(self, repository: Repository, ours: Sha, theirs: Sha) -> Relation:
        """How two commits of the mirror stand to each other; UNKNOWN when one of them is not there."""
        ...

    async def read(self, repository: Repository, commit: Sha, path: str) -> bytes | None:
        """The bytes of `path` at `commit` (L10); None: no such file there.

        A symbolic link is followed once, to a file of the same commit; Refused where it leads anywhere else.
        """
        ...

    async def paths(self, repository: Repository, commit: Sha) -> frozenset[str]:
        """Every file and symbolic link at `commit`, from the root of the repository."""
        ...

    async def mode(self, repository: Repository, commit: Sha, path: str) -> str:
        """What `path` is at `commit`, as git writes it; blank: nothing is there.

        `100755` a program, `100644` another file, `120000` a link, `040000` a folder, `160000` a submodule.
        """
        ...

    async def parents(self, repository: Repository, commit: Sha) -> tuple[Sha, ...]: ...
    async def changed_paths(self, repository: Repository, old: Sha, new: Sha) -> frozenset[str]: ...
    async def history(self, repository: Repository, tip: Sha, *without: Sha) -> tuple[Logged, ...]:
        """Every commit that `tip` contains and none of `without` does, children before their parents."""
        ...

    async def patches(self, repository: Repository, commits: Collection[Sha]) -> dict[Sha, Patch]:
        """What each of `commits` did; one that changed nothing is left out. Line numbers do not count, blanks do."""
        ...

    async def commit_epoch(self, repository: Repository, commit: Sha) -> int:
        """The committer date of `commit` in seconds since 1970, for reproducible builds."""
        ...

    def checkout(self, repository: Repository, commit: Sha) -> AbstractAsyncContextManager[Path]:
        """A private, detached, clean worktree at `commit`, gone afterwards (L39)."""
        ...

    async def derive(self, repository: Repository, parent: Sha, files: Mapping[str, bytes], message: str) -> Sha:
        """A child of `parent` in the mirror with `files` replaced; the same input gives the same commit. Not pushed.

        Refused when one of them is a symbolic link there.
        """
        ...

    async def merge(self, repository: Repository, ours: Sha, theirs: Sha, message: str) -> Sha | Conflict:
        """What `git merge --no-ff` of `theirs` into `ours` makes, in the mirror only; `ours` when it has it already.

        The same input gives the same commit on any machine. Refused when the two have no common history.
        """
        ...

    async def push(self, repository: Repository, commit: Sha, branch: str, *, expected: Sha | None) -> None:
        """Fast-forward origin's `branch` from `expected` to `commit`, then read it back (L34).

        Raises StepFailed when origin refuses or the branch is not where `expected` says. Safe to call again.
        """
        ...

    async def push_tag(self, repository: Repository, tag: str, commit: Sha) -> None:
        """Put an annotated tag on origin; equal is success, another commit under that name is StepFailed."""
        ...
