"""Freeze exactly the commits that QA saw, and assemble the release: last, in one transaction (spec 5.2, 5.5)."""

from __future__ import annotations

import msgspec

from core.errors import Refused
from core.observations import Already, Facts, NotYet, Observation
from core.permissions import ENGINE
from core.ports import Ports
from core.records import Transaction
from core.registry import App, Package, Sha
from core.releases import Release, ReleaseState
from core.train.freeze import freeze, record
from core.train.step import Commit, Results, Step
from core.words import counted, short


class Ridden(msgspec.Struct, frozen=True):
    """A repository of the train, and its commit that QA saw."""

    repository: Package | App
    commit: Commit


class Freeze(Step, frozen=True, tag="freeze"):
    """The whole release. `members`: who rides, ejections taken off; `packages`: all that are registered."""

    release: str
    members: tuple[str, ...]
    riding: tuple[Ridden, ...]
    packages: tuple[Package, ...]

    @property
    def id(self) -> str:
        return f"freeze:{self.release}"

    @property
    def title(self) -> str:
        return f"freeze what QA saw of {counted(len(self.riding), 'repository')}"

    @property
    def identity(self) -> tuple[str, ...]:
        commits = (f"{one.repository.name} {' '.join(one.commit.identity)}" for one in self.riding)
        return (*self.members, *commits)

    async def observe(self, ports: Ports, results: Results) -> Observation:
        async with ports.records.reading() as tx:
            release = await tx.release(self.release)
        assert release
        if release.state is not ReleaseState.ASSEMBLED or release.members != self.members:
            return NotYet()
        frozen = {one.repository: one.sha for one in release.frozen}
        return Already(_facts(release)) if frozen == self._seen(results) else NotYet()

    async def perform(self, ports: Ports, results: Results) -> Facts:
        async with ports.records.reading() as tx:
            before = self._require_members(await tx.release(self.release))  # refused before the builds
            tasks = [task for slug in before.members if (task := await tx.task(slug))]
        seen = {name: sha for name, sha in self._seen(results).items() if sha}
        frozen = await freeze([one.repository for one in self.riding], self.packages, tasks, ports, seen=seen)
        async with ports.fenced() as tx:
            before = self._require_members(await tx.release(self.release))
            after = await record(tx, before, frozen, ENGINE, ports.clock.now())
            await self._record_qa(tx)
        return _facts(after)

    async def _record_qa(self, tx: Transaction) -> None:
        """Every task gets the address at which QA sees it: the hub's, where it has work there."""
        urls = {one.repository.name: one.repository.qa_url for one in self.riding if isinstance(one.repository, App)}
        for slug in self.members:
            task = await tx.task(slug)
            assert task
            if url := next((url for name, url in urls.items() if url and name in task.repositories), None):
                await tx.update_task(task, msgspec.structs.replace(task, qa_url=url))

    def _seen(self, results: Results) -> dict[str, Sha | None]:
        return {one.repository.name: one.commit.sha(results) for one in self.riding}

    def _require_members(self, release: Release | None) -> Release:
        """The release, when those ride whose work QA has."""
        assert release
        if release.members == self.members:
            return release
        late = ", ".join(sorted(set(release.members) ^ set(self.members))) or "the order of its tasks"
        raise Refused(f"{release.slug} was changed since: {late}", "QA did not see it like this", "release prepare")


def _facts(release: Release) -> Facts:
    """What production will get, in words."""
    return {"frozen": ", ".join(f"{one.repository} {one.version or short(one.sha)}" for one in release.frozen)}
