"""Programs of a repository that a train runs: each is in the commit that ships, as a file that may be run (L40)."""

from __future__ import annotations

import posixpath
import shlex

from core.errors import Reason
from core.registry import Repository, Sha
from core.repositories import Repositories
from core.words import short

_WHAT = {"120000": "a link, which can lead anywhere", "040000": "a folder", "160000": "a submodule"}


async def unrunnable(repositories: Repositories, repository: Repository, commit: Sha, path: str) -> Reason | None:
    """Why `path` cannot be run at `commit`: nothing is there, it leaves the tree, or it is no executable file."""
    where, next_ = f"{path} of {repository.name}", "mend that, then release prepare"
    normal = posixpath.normpath(path)
    if normal.startswith(("../", "/")):
        return Reason(f"{where} leaves the repository", "only what is in the commit is confirmed", next_)
    match await repositories.mode(repository, commit, normal):
        case "":
            what = f"{repository.name} has no {path} at the commit that ships"
            return Reason(what, short(commit), "add it, then release prepare")
        case "100755":
            return None
        case "100644":
            chmod = f"git update-index --chmod=+x {shlex.quote(normal)}, commit, then release prepare"
            return Reason(f"{where} cannot be run", f"at {short(commit)} it is not executable", chmod)
        case mode:
            return Reason(f"{where} is no program", f"at {short(commit)} it is {_WHAT.get(mode, mode)}", next_)
