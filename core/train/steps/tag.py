"""The tag that follows a publication; its failure is a warning (spec 6.4)."""

from __future__ import annotations

from core.errors import Refused, StepFailed, Trouble
from core.observations import Already, Facts, NotYet, Observation
from core.ports import Ports
from core.registry import Package, Sha
from core.train.step import Results, Step
from core.words import short


class Tag(Step, frozen=True, tag="tag"):
    """`v<version>` on origin, at the frozen commit."""

    soft = True
    package: Package
    version: str
    frozen: Sha

    @property
    def id(self) -> str:
        return f"tag:{self.package.name}"

    @property
    def name(self) -> str:
        """The tag."""
        return self.package.tag_for(self.version)

    @property
    def title(self) -> str:
        return f"tag {self.package.name} {self.name}"

    @property
    def identity(self) -> tuple[str, ...]:
        return (self.name, self.frozen)

    async def observe(self, ports: Ports, results: Results) -> Observation:
        there = await ports.repositories.tag_commit(self.package, self.name)
        if there is None:
            return NotYet()
        if there == self.frozen:
            return Already({"tag": self.name})
        why = f"origin's {self.name} is {short(there)}, published was {short(self.frozen)}"
        raise Refused(
            f"the tag {self.name} of {self.package.name} names another commit", why, "move or delete it by hand"
        )

    async def perform(self, ports: Ports, results: Results) -> Facts:
        try:
            await ports.repositories.push_tag(self.package, self.name, self.frozen)
        except Trouble as trouble:
            # The ship goes on without it, and a ship that is done is never resumed.
            [first, *_] = trouble.reasons
            next_ = f"mend that, then git push {self.package.url} {self.frozen}:refs/tags/{self.name}"
            raise StepFailed(first.what, first.why, next_) from trouble
        return {"tag": self.name}
