"""Deploy an app to QA or to production through its strategy (spec 5.1, 6.7)."""

from __future__ import annotations

from core.observations import Blind, CannotTell, Facts, NotYet, Observation
from core.ports import Needs, Ports
from core.registry import App, Argv, Place, Sha
from core.train.on_target import OnTarget
from core.train.step import Results


class Deploy(OnTarget, frozen=True, tag="deploy"):
    """One app that has a target at `place`."""

    @property
    def id(self) -> str:
        return f"{'qa-' if self.place is Place.QA else ''}deploy:{self.app.name}"

    @property
    def title(self) -> str:
        return f"deploy {self.app.name}" + (" to QA" if self.place is Place.QA else "")

    @property
    def identity(self) -> tuple[str, ...]:
        return (self.target.strategy, *self.commit.identity)

    @property
    def source(self) -> tuple[App, Sha]:
        return self.app, self.commit.frozen

    def needs(self, ports: Ports) -> Needs:
        return self.strategy(ports).needs(self.app, self.target)

    def subject(self, results: Results) -> Facts:
        sha = self.commit.sha(results)
        return {"sha": sha} if sha else {}

    def commands(self, ports: Ports, results: Results) -> tuple[Argv, ...]:
        return self.strategy(ports).commands(self.app, self.target, self.commit.sha(results) or "<re-pinned commit>")

    async def observe(self, ports: Ports, results: Results) -> Observation:
        sha = self.commit.sha(results)
        if sha is None:
            return NotYet("deploys the re-pinned commit")
        seen = await self.strategy(ports).observe(self.app, self.target, sha)
        # An app that is down must stay deployable: what it cannot tell now, only the journal knows.
        return Blind(seen.why) if isinstance(seen, CannotTell) else seen

    async def perform(self, ports: Ports, results: Results) -> Facts:
        sha = self.commit.required(results)
        return await self.strategy(ports).deploy(self.app, self.target, sha, log=ports.log)
