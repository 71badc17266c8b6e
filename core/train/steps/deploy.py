"""Deploy an app to production through its strategy (spec 6.7)."""

from __future__ import annotations

from core.observations import Blind, CannotTell, Facts, NotYet, Observation
from core.ports import Needs, Ports, Strategy
from core.registry import App, Argv, Sha, Target
from core.train.step import Commit, Results, Step


class Deploy(Step, frozen=True, tag="deploy"):
    """One app that has a `prod_deploy`."""

    irreversible = True
    app: App
    commit: Commit

    @property
    def id(self) -> str:
        return f"deploy:{self.app.name}"

    @property
    def title(self) -> str:
        return f"deploy {self.app.name}"

    @property
    def identity(self) -> tuple[str, ...]:
        return (self.target.strategy, self.commit.frozen, self.commit.repinned_by or "")

    @property
    def target(self) -> Target:
        """Production."""
        assert self.app.prod_deploy
        return self.app.prod_deploy

    @property
    def source(self) -> tuple[App, Sha]:
        return self.app, self.commit.frozen

    def needs(self, ports: Ports) -> Needs:
        return self._strategy(ports).needs(self.app, self.target)

    def subject(self, results: Results) -> Facts:
        sha = self.commit.sha(results)
        return {"sha": sha} if sha else {}

    def commands(self, ports: Ports, results: Results) -> tuple[Argv, ...]:
        return self._strategy(ports).commands(self.app, self.target, self.commit.sha(results) or "<re-pinned commit>")

    async def observe(self, ports: Ports, results: Results) -> Observation:
        sha = self.commit.sha(results)
        if sha is None:
            return NotYet("deploys the re-pinned commit")
        seen = await self._strategy(ports).observe(self.app, self.target, sha)
        # An app that is down must stay deployable: what it cannot tell now, only the journal knows.
        return Blind(seen.why) if isinstance(seen, CannotTell) else seen

    async def perform(self, ports: Ports, results: Results) -> Facts:
        sha = self.commit.required(results)
        return await self._strategy(ports).deploy(self.app, self.target, sha, log=ports.log)

    def _strategy(self, ports: Ports) -> Strategy:
        return ports.strategies[self.target.strategy]
