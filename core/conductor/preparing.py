"""Preparing a train: from the tasks that ride to the freeze, by way of QA (spec 4, 5)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from core.conductor.desk import Desk, members
from core.errors import Refused, Trouble
from core.journal import Run, RunKind
from core.order import riding
from core.permissions import Actor, Role, require
from core.releases import Release, assemble, reopen
from core.tasks import Task
from core.train.freeze import freeze, record
from core.train.prepare_plan import left_behind, not_on_qa, prepare_plan, prepare_problems
from core.train.proposal import Proposal, looked_over
from core.train.queue import Queue, queue_of


class Assembly(msgspec.Struct, frozen=True):
    """What a prepare would do: what merges and who is ejected (`queue`, None when that cannot be told), then its plan.

    `not_on_qa`: apps without a QA target. `waits`: task → the members that go before it.
    """

    queue: Queue | None
    proposal: Proposal
    not_on_qa: tuple[str, ...] = ()
    waits: Mapping[str, tuple[str, ...]] = {}


class Preparing(Desk):
    """From the merged tasks to the freeze."""

    async def assembly(self, slug: str | None = None) -> Assembly:
        """What would merge, conflict and go to QA, and every problem at once; changes nothing."""
        async with self._ports.records.reading() as tx:
            release = await self._release(tx, slug)
            tasks = await members(tx, release)
        return await self._assembly(release, tasks)

    async def prepare(self, actor: Actor, slug: str | None = None) -> Run:
        """Start to bring the train to QA and freeze it; it runs wherever a dispatcher lives (spec 5).

        Refused with every problem at once, or while another run is on its way. What an earlier prepare did is
        recognised, not repeated; a freeze that is there already is given up.
        """
        require(actor, Role.OPERATOR, "prepare a release")
        async with self._ports.records.reading() as tx:
            release = await self._resting(tx, slug)
            tasks = await members(tx, release)
        proposal = (await self._assembly(release, tasks)).proposal
        if proposal.problems:
            raise Refused.all(proposal.problems)
        async with self._ports.records.transaction() as tx:
            current = await self._resting(tx, release.slug)
            if current.revision != release.revision or await members(tx, current) != tasks:
                raise Refused(f"{release.slug} was changed just now", "its plan is another one", "release prepare")
            await tx.update_release(current, reopen(current))
            return await self._let_go(tx, current, RunKind.PREPARE, proposal, actor)

    async def freeze(self, actor: Actor, slug: str | None = None) -> Release:
        """For a team without QA: what every release branch of the train is now, is what production gets (spec 5.2).

        Builds every package that rides. Refused with every problem at once, while a run is on its way, and while
        another process holds the train.
        """
        require(actor, Role.OPERATOR, "freeze a release")
        async with self._ports.records.lease(f"{actor.name} (freeze)") as lease:
            async with self._ports.records.reading() as tx:
                release = await self._resting(tx, slug)
                assemble(release, (), self._ports.clock.now())  # what is refused is refused before the builds
                tasks = await members(tx, release)
            packages = list(self.registry.packages.values())
            frozen = await freeze(riding(tasks, self.registry), packages, tasks, self._ports)
            async with lease.transaction() as tx:
                await self._resting(tx, release.slug)  # a run may have been confirmed meanwhile
                return await record(tx, release, frozen, actor, self._ports.clock.now())

    async def _assembly(self, release: Release, tasks: list[Task]) -> Assembly:
        try:
            queue = await queue_of(release, tasks, self.registry, self._ports)
        except Trouble as trouble:
            return Assembly(None, Proposal(release.slug, None, (), trouble.reasons))
        aboard = [task.slug for task in tasks]
        waits = {task.slug: tuple(one for one in task.depends_on if one in aboard) for task in tasks}
        problems = prepare_problems(release, tasks, self.registry, queue)
        if problems:
            return Assembly(queue, Proposal(release.slug, None, (), tuple(problems)), waits=waits)
        async with self._ports.records.reading() as tx:
            journal, unseen = await tx.entries(release.slug), await self._unseen(tx, tasks)
        unseen += await self._changed(reopen(release), tasks)
        plan = prepare_plan(release, tasks, self.registry, queue)
        noted = (*unseen, *left_behind(queue))
        proposal = replace(await looked_over(plan, journal, self._ports), unseen=noted)
        return Assembly(queue, proposal, not_on_qa(plan), waits)
