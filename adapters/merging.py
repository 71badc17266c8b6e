"""The tree of a merge, made in a bare mirror as `git merge` would make it in a checkout (spec 4.4).

`merge-tree` knows everything but the attributes of a tree: a bare repository has no checkout to read them from.
"""

from __future__ import annotations

import re
from pathlib import Path

from adapters.mirrors import Mirrors
from core.errors import Refused, StepFailed
from core.ports import Finished
from core.registry import Sha
from core.repositories import Conflict

_MERGE_TREE = ("git", "merge-tree", "--write-tree", "-z", "--name-only")
_CLEAN = re.compile("([0-9a-f]{40})\0+")
_UNRELATED = "refusing to merge unrelated histories"


async def merged_tree(mirrors: Mirrors, mirror: Path, ours: Sha, theirs: Sha) -> str | Conflict:
    """The id of the merged tree, written to `mirror`; Refused when the two have no common history.

    Attributes have a say only where git had to look into a file, and then it says so.
    """
    done = await mirrors.run(mirror, (*_MERGE_TREE, "--messages", ours, theirs))
    if clean := _CLEAN.fullmatch(done.stdout):
        return clean[1]
    if _UNRELATED in done.stderr + done.stdout:
        why = "they have no commit in common"
        raise Refused(f"{theirs[:7]} cannot be merged into {ours[:7]}", why, "start the branch from main, and push it")
    async with mirrors.attributes(mirror, ours) as tree:
        where = {"GIT_DIR": str(mirror), "GIT_WORK_TREE": str(tree)}
        done = await mirrors.run(tree, (*_MERGE_TREE, "--no-messages", ours, theirs), env=where)
    verdict = _verdict(done, mirror)
    if isinstance(verdict, str):
        return verdict
    # What makes room for a folder is put aside under the name of its side.
    return Conflict(tuple(sorted({path.removesuffix(f"~{ours}").removesuffix(f"~{theirs}") for path in verdict})))


def _verdict(done: Finished, mirror: Path) -> str | list[str]:
    """0: a tree. 1: a tree with markers, then the paths; of very many paths the first may be cut off."""
    if done.exit_code == 0 and (clean := _CLEAN.fullmatch(done.stdout)):
        return clean[1]
    if done.exit_code == 1 and not done.stderr:
        return [path for path in done.stdout.split("\0")[1:] if path]
    why = done.stderr.strip() or f"exit {done.exit_code}"
    raise StepFailed(f"git merge-tree failed in {mirror.name}", why, "see why, then resume")
