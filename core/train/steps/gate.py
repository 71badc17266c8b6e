"""A command that must succeed on the exact commit before anything irreversible happens to it (spec 6.6)."""

from __future__ import annotations

import shlex

from core.errors import Refused, StepFailed
from core.journal import Evidence
from core.observations import Already, Facts, NotYet, Observation
from core.permissions import ENGINE
from core.ports import Needs, Ports
from core.records import Transaction
from core.registry import App, Argv, Package, Sha, own_file
from core.tasks import TaskQuery
from core.train.own_scripts import unrunnable
from core.train.step import Commit, Results, Step
from core.words import short


class Gate(Step, frozen=True, tag="gate"):
    """`test_cmd` of an app, or `release_check` of a package."""

    repository: Package | App
    commit: Commit
    argv: Argv

    @property
    def id(self) -> str:
        return f"gate:{self.repository.name}"

    @property
    def title(self) -> str:
        return f"gate {self.repository.name}"

    @property
    def identity(self) -> tuple[str, ...]:
        return (*self.commit.identity, *self.argv)

    @property
    def source(self) -> tuple[Package | App, Sha]:
        return self.repository, self.commit.frozen

    def needs(self, ports: Ports) -> Needs:
        file = own_file(self.argv)
        return Needs(files=(file,)) if file else Needs()  # it must be there at the commit that ships (L40)

    def commands(self, ports: Ports, results: Results) -> tuple[Argv, ...]:
        return (self.argv,)

    async def observe(self, ports: Ports, results: Results) -> Observation:
        sha = self.commit.sha(results)
        if sha is None:
            return NotYet("runs on the re-pinned commit")
        async with ports.records.reading() as tx:
            seen = await tx.evidence(self.repository.name, sha, self.argv)
        if seen and seen.green:
            return Already({"sha": sha, "green_at": seen.at.isoformat()})
        return NotYet(f"red on {short(sha)}: runs again" if seen else "")

    async def perform(self, ports: Ports, results: Results) -> Facts:
        sha = self.commit.required(results)
        file = own_file(self.argv)
        if file and (reason := await unrunnable(ports.repositories, self.repository, sha, file)):
            raise Refused(reason)
        async with ports.repositories.checkout(self.repository, sha) as tree:
            ended = await ports.processes.run(
                self.argv, cwd=tree, log=ports.log, timeout_seconds=ports.waits.gate_seconds
            )
        now = ports.clock.now()
        verdict = Evidence(
            repository=self.repository.name, commit=sha, argv=self.argv, green=ended.exit_code == 0, at=now
        )
        async with ports.fenced() as tx:
            await tx.add_evidence(verdict)
            await self._write_checks(tx, verdict)
        if not verdict.green:
            why = f"{self.argv[0]} exited {ended.exit_code} on {short(sha)}"
            next_ = "fix it, then release prepare; if it was chance, release resume"
            raise StepFailed(f"the gate of {self.repository.name} is red", why, next_)
        return {"sha": sha, "green_at": now.isoformat()}

    async def _write_checks(self, tx: Transaction, verdict: Evidence) -> None:
        """A line for every task that is in this commit: who came aboard after the run was confirmed is not (L53)."""
        text = f"[gate] {shlex.join(self.argv)}: {'green' if verdict.green else 'red'}"
        for run in await tx.unfinished_runs():
            riders = TaskQuery(repository=self.repository.name, release=run.release, limit=None)
            for task in await tx.tasks(riders):
                if (await tx.moves(task.slug))[-1].at <= run.confirmed_at:
                    await tx.add_check(
                        task.slug, text, commit=verdict.commit, at=verdict.at, by=ENGINE.name, machine=True
                    )
