"""What merging costs: the queue of a train of many branches, beside `git merge --no-ff` in a worktree."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from time import perf_counter

from adapters.credentials import Secrets
from adapters.git import MirrorRepositories
from adapters.process import ChildProcesses
from core.registry import App, Sha
from core.repositories import Conflict
from core.train.branch import merge_message
from tests.benchmarks.figures import Figure, figure
from tests.benchmarks.team import git

_FOLDERS = 500


def many_branches(folder: Path, *, files: int = 50_000, branches: int = 50) -> list[Figure]:
    """Both sides merge the same branches in the same order, and come to the same tree."""
    origin = _origin(folder, files, branches)
    by_hand, tree = _in_a_worktree(folder, origin, branches)
    ours, same = asyncio.run(_in_the_mirror(folder, origin, branches))
    assert tree == same, "the two sides came to different trees"
    name = f"{branches} branches merged, {files:,} files"
    baseline = f"{ours:.2f} s beside {by_hand:.2f} s with git merge --no-ff"
    return [figure(name, ours / by_hand, "× a worktree", bar=0.1, baseline=baseline)]


def _origin(folder: Path, files: int, branches: int) -> Path:
    """A bare repository with main, and branches that each change two files, one of them new."""
    origin, stream = folder / "many.git", list[str]()
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(origin))
    stream.append(_commit("refs/heads/main", "", {_path(n, files): f"file {n}\n" for n in range(files)}))
    for n in range(branches):
        changed = {_path(n * (files // branches), files): f"changed by {n}\n", f"new/{n}": "new\n"}
        stream.append(_commit(f"refs/heads/feat/{n}", "refs/heads/main", changed))
    (folder / "stream").write_text("".join(stream))
    git(origin, "config", "fastimport.unpackLimit", "1")
    with (folder / "stream").open("rb") as file:
        asyncio.run(_fed(origin, file.fileno()))
    return origin


async def _fed(origin: Path, stream: int) -> None:
    child = await asyncio.create_subprocess_exec("git", "fast-import", "--quiet", cwd=origin, stdin=stream)
    assert await child.wait() == 0


def _path(number: int, files: int) -> str:
    return f"src/{number * _FOLDERS // files}/{number}.py"


def _commit(ref: str, parent: str, files: dict[str, str]) -> str:
    lines = [f"commit {ref}\ncommitter ada <ada@localhost> 1760000000 +0000\ndata 4\nwork\n"]
    lines += [f"from {parent}\n"] if parent else []
    lines += [f"M 100644 inline {path}\ndata {len(text)}\n{text}\n" for path, text in files.items()]
    return "".join(lines)


def _in_a_worktree(folder: Path, origin: Path, branches: int) -> tuple[float, str]:
    """Seconds of the merges alone; the worktree is there already."""
    mirror, tree = folder / "by-hand.git", folder / "by-hand"
    git(folder, "clone", "--quiet", "--bare", str(origin), str(mirror))
    git(mirror, "worktree", "add", "--quiet", "--detach", str(tree), "main")
    begun = perf_counter()
    for n in range(branches):
        git(tree, "merge", "--quiet", "--no-ff", "-m", merge_message(f"t{n}", f"feat/{n}"), f"feat/{n}")
    return perf_counter() - begun, git(tree, "rev-parse", "HEAD^{tree}")


async def _in_the_mirror(folder: Path, origin: Path, branches: int) -> tuple[float, str]:
    """Seconds of the merges alone; the mirror has the branches already."""
    processes = ChildProcesses(folder / "home", Secrets({}), os.environ)
    repositories, app = MirrorRepositories(processes, folder / "state"), App(name="many", url=str(origin))
    heads = await repositories.branch_heads(app, ["main", *(f"feat/{n}" for n in range(branches))])
    begun, tip = perf_counter(), heads["main"]
    for n in range(branches):
        made = await repositories.merge(app, tip, heads[f"feat/{n}"], merge_message(f"t{n}", f"feat/{n}"))
        assert not isinstance(made, Conflict)
        tip = Sha(made)
    took = perf_counter() - begun
    return took, git(folder / "state" / "mirrors" / "many.git", "rev-parse", f"{tip}^{{tree}}")
