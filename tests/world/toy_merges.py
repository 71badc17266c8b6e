"""Merges in the toy world: whole files are what conflicts, and the same merge is the same commit."""

from __future__ import annotations

from collections.abc import Collection

from core.errors import Refused
from core.registry import Repository, Sha
from core.repositories import Conflict, Logged, Patch
from tests.world.toy import Place, World


class ToyMerges(Place):
    """The part of git that the merge queue uses."""

    async def branch_heads(self, repository: Repository, branches: Collection[str]) -> dict[str, Sha]:
        await self._world.ask(f"git {repository.name}")
        found = {branch: self._world.refs.get((repository.name, branch)) for branch in branches}
        return {branch: sha for branch, sha in found.items() if sha}

    async def history(self, repository: Repository, tip: Sha, *without: Sha) -> tuple[Logged, ...]:
        world = self._world
        hidden = set[Sha]().union(*(world.ancestors(one) for one in without))
        shown = sorted(world.ancestors(tip) - hidden, key=lambda sha: (-len(world.ancestors(sha)), sha))
        return tuple(_logged(world, sha) for sha in shown)

    async def patches(self, repository: Repository, commits: Collection[Sha]) -> dict[Sha, Patch]:
        world, found = self._world, dict[Sha, Patch]()
        for sha in commits:
            parents, after = world.commits[sha]
            before = world.commits[parents[0]][1] if parents else {}
            paths = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
            if paths:
                there, back = ([(p, a.get(p), b.get(p)) for p in paths] for a, b in ((before, after), (after, before)))
                found[sha] = Patch(repr(there), repr(back))
        return found

    async def merge(self, repository: Repository, ours: Sha, theirs: Sha, message: str) -> Sha | Conflict:
        world = self._world
        left, right = world.ancestors(ours), world.ancestors(theirs)
        if theirs in left:
            return ours
        if not (common := left & right):
            raise Refused(f"{theirs[:7]} cannot be merged into {ours[:7]}", "they have no commit in common")
        base = max(common, key=lambda sha: (len(world.ancestors(sha)), sha))
        before, mine, other = (world.commits[sha][1] for sha in (base, ours, theirs))
        paths = before.keys() | mine.keys() | other.keys()
        both = {path for path in paths if mine.get(path) != before.get(path) != other.get(path)}
        if conflicts := {path for path in both if mine.get(path) != other.get(path)}:
            return Conflict(tuple(sorted(conflicts)))
        changed = {path for path in paths if mine.get(path) == before.get(path)}
        files = {path: (other if path in changed else mine).get(path) for path in paths}
        made = world.commit({path: text for path, text in files.items() if text is not None}, ours, theirs)
        world.messages[made] = ("Stationmaster", message)
        return made


def _logged(world: World, sha: Sha) -> Logged:
    author, message = world.messages.get(sha, ("somebody", "A change by somebody"))
    return Logged(sha=sha, parents=world.commits[sha][0], author=author, message=message)
