"""A task's command on the production app, after all apps are live (spec 7)."""

from __future__ import annotations

import shlex

from core.errors import LeaseLost, NeedsOperator, Refused, Trouble
from core.observations import Blind, Facts, Observation
from core.ports import Needs, Ports, Strategy
from core.registry import App, Argv, Target
from core.train.step import Results, Step


class PostDeploy(Step, frozen=True, tag="post-deploy"):
    """One task's command, split already."""

    irreversible = True
    task: str
    app: App
    command: Argv

    @property
    def id(self) -> str:
        return f"post-deploy:{self.task}"

    @property
    def title(self) -> str:
        return f"post-deploy of {self.task} on {self.app.name}"

    @property
    def identity(self) -> tuple[str, ...]:
        return (self.app.name, *self.command)

    @property
    def target(self) -> Target:
        """Production."""
        assert self.app.prod_deploy
        return self.app.prod_deploy

    def needs(self, ports: Ports) -> Needs:
        needs = self._strategy(ports).needs(self.app, self.target)
        return Needs(credentials=needs.credentials, tools=needs.tools)

    def commands(self, ports: Ports, results: Results) -> tuple[Argv, ...]:
        argv = self._strategy(ports).run_argv(self.app, self.target, self.command)
        return (argv,) if argv else ()

    async def observe(self, ports: Ports, results: Results) -> Observation:
        if not self.commands(ports, results):
            raise Refused(
                f"the post-deploy command of {self.task} has nowhere to run",
                f"{self.app.name} is deployed by {self.target.strategy}, which offers no way to run a command there",
                "remove the command from the task, or configure how commands run there",
            )
        return Blind("the platform keeps no record of one-off commands")

    async def perform(self, ports: Ports, results: Results) -> Facts:
        try:
            facts = await self._strategy(ports).run(self.app, self.target, self.command, log=ports.log)
        except NeedsOperator:
            await self._write_check(ports, "nobody can tell how it ended")
            raise
        except Trouble as trouble:
            await self._write_check(ports, f"failed: {trouble.reasons[0].what}")
            raise
        await self._write_check(ports, "ok")
        return facts

    async def _write_check(self, ports: Ports, outcome: str) -> None:
        """The outcome stands in the task's checks before anything else happens (spec 7.3)."""
        text = f"[post-deploy] {shlex.join(self.command)} on {self.app.name}: {outcome}"
        try:
            async with ports.fenced() as tx:
                await tx.add_check(self.task, text, commit=None, at=ports.clock.now(), by="engine")
        except LeaseLost:
            raise
        except Trouble as trouble:
            # Never "failed": that would run it once more.
            next_ = "release resume --answer happened, or --answer again to run it again"
            raise NeedsOperator(text, f"this could not be written down: {trouble.reasons[0]}", next_) from trouble

    def _strategy(self, ports: Ports) -> Strategy:
        return ports.strategies[self.target.strategy]
