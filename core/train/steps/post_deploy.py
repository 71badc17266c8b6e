"""A task's command on the app, after all apps are on QA or in production (spec 7)."""

from __future__ import annotations

import shlex

from core.errors import LeaseLost, NeedsOperator, Refused, Trouble
from core.observations import Blind, Facts, Observation
from core.permissions import ENGINE
from core.ports import Needs, Ports
from core.registry import Argv, Place
from core.train.on_target import OnTarget
from core.train.step import Results


class PostDeploy(OnTarget, frozen=True, tag="post-deploy"):
    """One task's command, split already."""

    task: str
    command: Argv

    @property
    def id(self) -> str:
        return f"{'qa-' if self.place is Place.QA else ''}post-deploy:{self.task}"

    @property
    def title(self) -> str:
        return f"post-deploy of {self.task} on {self._where}"

    @property
    def identity(self) -> tuple[str, ...]:
        # In production it runs once in a release; on QA once for every commit, which is what it proves something of.
        commit = self.commit.identity if self.place is Place.QA else ()
        return (self.app.name, *self.command, *commit)

    def check(self, outcome: str) -> str:
        """The line for the task's checks run (spec 7.3)."""
        return f"[post-deploy] {shlex.join(self.command)} on {self._where}: {outcome}"

    def needs(self, ports: Ports) -> Needs:
        needs = self.strategy(ports).needs(self.app, self.target)
        return Needs(credentials=needs.credentials, tools=tuple(argv[0] for argv in self.commands(ports, {})))

    def commands(self, ports: Ports, results: Results) -> tuple[Argv, ...]:
        argv = self.strategy(ports).run_argv(self.app, self.target, self.command)
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
            facts = await self.strategy(ports).run(
                self.app, self.target, self.command, self.commit.required(results), log=ports.log
            )
        except NeedsOperator:
            await self._write_check(ports, results, "nobody can tell how it ended")
            raise
        except Trouble as trouble:
            await self._write_check(ports, results, f"failed: {trouble.reasons[0].what}")
            raise
        await self._write_check(ports, results, "ok")
        return facts

    async def _write_check(self, ports: Ports, results: Results, outcome: str) -> None:
        """The outcome stands in the task's checks before anything else happens (spec 7.3)."""
        text = self.check(outcome)
        try:
            async with ports.fenced() as tx:
                commit, now = self.commit.sha(results), ports.clock.now()
                await tx.add_check(self.task, text, commit=commit, at=now, by=ENGINE.name, machine=True)
        except LeaseLost:
            raise
        except Trouble as trouble:
            # Never "failed": that would run it once more.
            next_ = "release resume --answer happened, or --answer again to run it again"
            raise NeedsOperator(text, f"this could not be written down: {trouble.reasons[0]}", next_) from trouble

    @property
    def _where(self) -> str:
        return self.app.name + (" (QA)" if self.place is Place.QA else "")
