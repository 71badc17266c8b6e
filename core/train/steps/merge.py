"""Push what the merge queue made of one release branch: compare-and-swap, never forced (spec 4.1, 4.4)."""

from __future__ import annotations

from core.errors import Refused
from core.observations import Already, CannotTell, Facts, NotYet, Observation
from core.ports import Ports
from core.registry import App, Package, Sha
from core.repositories import Relation
from core.train.queue import BranchQueue, rebuilt
from core.train.step import Results, Step
from core.words import short


class Merge(Step, frozen=True, tag="merge"):
    """One repository. Its merges are made again, to the letter, on a machine that does not have them."""

    repository: Package | App
    queue: BranchQueue

    @property
    def id(self) -> str:
        return f"merge:{self.repository.name}"

    @property
    def title(self) -> str:
        branch = f"{self.repository.release_branch} of {self.repository.name}"
        if self.queue.merges:
            return f"merge {', '.join(one.task for one in self.queue.merges)} into {branch}"
        return f"bring {branch} up to {self.repository.main_branch}"

    @property
    def identity(self) -> tuple[str, ...]:
        return (self.queue.expected or "", self.queue.tip)

    async def observe(self, ports: Ports, results: Results) -> Observation:
        repository, tip = self.repository, self.queue.tip
        head = await ports.repositories.branch_head(repository, repository.release_branch)
        if head == self.queue.expected and head != tip:
            return NotYet()
        match await self._relation(ports, head) if head else Relation.BEHIND:
            case Relation.EQUAL | Relation.AHEAD:
                return Already({"sha": tip})
            case Relation.UNKNOWN:
                return CannotTell(f"whether {short(head or '')} contains {short(tip)}, which is not here")
            case Relation.BEHIND | Relation.DIVERGED:
                where = f"is {short(head)}" if head else "is gone"
                raise Refused(
                    f"{repository.release_branch} of {repository.name} has moved since the merges were made",
                    f"it {where}, expected was {short(self.queue.expected or 'no branch')}",
                    "release prepare",
                )

    async def perform(self, ports: Ports, results: Results) -> Facts:
        repository, tip = self.repository, self.queue.tip
        if await ports.repositories.relation(repository, tip, self.queue.base) is Relation.UNKNOWN:
            await rebuilt(repository, self.queue, ports)
        await ports.repositories.push(repository, tip, repository.release_branch, expected=self.queue.expected)
        return {"sha": tip, "merged": len(self.queue.merges)}

    async def _relation(self, ports: Ports, head: Sha) -> Relation:
        """How origin's branch stands to the merges, which another machine may have made."""
        relation = await ports.repositories.relation(self.repository, head, self.queue.tip)
        if relation is Relation.UNKNOWN:
            await rebuilt(self.repository, self.queue, ports)
            relation = await ports.repositories.relation(self.repository, head, self.queue.tip)
        return relation
