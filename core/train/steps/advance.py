"""Fast-forward a repository's main to the commit that ships; divergence is a refusal (spec 4.4, 6.3)."""

from __future__ import annotations

from core.errors import Refused
from core.observations import Already, CannotTell, Facts, NotYet, Observation
from core.ports import Ports
from core.registry import App, Package
from core.repositories import Relation
from core.train.step import Commit, Results, Step
from core.words import short


class Advance(Step, frozen=True, tag="advance"):
    """One repository."""

    repository: Package | App
    commit: Commit

    @property
    def id(self) -> str:
        return f"advance:{self.repository.name}"

    @property
    def title(self) -> str:
        return f"advance {self.repository.main_branch} of {self.repository.name}"

    @property
    def identity(self) -> tuple[str, ...]:
        return self.commit.identity

    @property
    def irreversible(self) -> bool:
        return True

    async def observe(self, ports: Ports, results: Results) -> Observation:
        repository, sha = self.repository, self.commit.sha(results)
        main = await ports.repositories.branch_head(repository, repository.main_branch)
        if main is None:
            return NotYet(f"origin has no {repository.main_branch} yet")
        # Before the re-pin only the frozen commit is known; main must be behind it all the same.
        target = sha or self.commit.frozen
        match await ports.repositories.relation(repository, main, target):
            case Relation.EQUAL:
                return Already({"sha": target}) if sha else NotYet("goes to the re-pinned commit")
            case Relation.AHEAD if results.get(self.id, {}).get("sha") == target:
                return Already({"sha": target, "main": main})  # ours, and somebody built on it since
            case Relation.AHEAD:
                raise Refused(
                    f"{repository.main_branch} of {repository.name} already contains {short(target)} and more",
                    f"it is at {short(main)}: what was frozen is older",
                    f"merge {repository.main_branch} into {repository.release_branch}, then release prepare",
                )
            case Relation.BEHIND:
                return NotYet(f"from {short(main)}")
            case Relation.DIVERGED:
                raise Refused(
                    f"{repository.main_branch} of {repository.name} has diverged",
                    f"{short(main)} is not contained in {short(target)}",
                    f"merge {repository.main_branch} into {repository.release_branch}, then release prepare",
                )
            case Relation.UNKNOWN:
                return CannotTell(f"{short(main)} or {short(target)} of {repository.name} could not be fetched")

    async def perform(self, ports: Ports, results: Results) -> Facts:
        sha = self.commit.required(results)
        repository = self.repository
        main = await ports.repositories.branch_head(repository, repository.main_branch)
        await ports.repositories.push(repository, sha, repository.main_branch, expected=main)
        return {"sha": sha, **({"was": main} if main and main != sha else {})}
