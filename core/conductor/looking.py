"""Looking at trains: nothing here changes anything."""

from __future__ import annotations

import asyncio

import msgspec

from core.conductor.desk import Desk, members
from core.deployments import Deployment, deployments
from core.errors import Refused
from core.events import Event
from core.journal import LeaseHolder, SealRecord
from core.notes import ReleaseNotes, decoded
from core.order import riding
from core.registry import App, Package
from core.releases import Release, ReleaseState
from core.tasks import Task
from core.train.plan import legible
from core.train.progress import Progress, progress
from core.train.sightings import Sighting, sight
from core.train.standing import Standing, standing


class Status(msgspec.Struct, frozen=True):
    """A release with its members, its newest run, its seals, and who holds the train now."""

    release: Release
    tasks: tuple[Task, ...]
    progress: Progress | None
    seals: tuple[SealRecord, ...]
    holder: LeaseHolder | None


class Looking(Desk):
    """How things stand."""

    async def status(self, slug: str | None = None) -> Status:
        """A release as it stands; without a slug the active one, else the newest."""
        async with self._ports.records.reading() as tx:
            release = await self._release(tx, slug, any_state=True)
            run, entries = await tx.latest_run(release.slug), await tx.entries(release.slug)
            return Status(
                release,
                tuple(await members(tx, release)),
                progress(run, legible(run.plan), entries) if run else None,
                tuple(await tx.seals(release.slug)),
                await tx.lease_holder(),
            )

    async def standing(self, slug: str | None = None) -> Standing:
        """Where every task of a release is, repository by repository: asks the world, for some seconds at the most."""
        async with self._ports.records.reading() as tx:
            release = await self._release(tx, slug, any_state=True)
            tasks, journal = await members(tx, release), await tx.entries(release.slug)
            unseen = await self._unseen(tx, tasks)
        slots = asyncio.Semaphore(self._ports.lanes_at_once)

        async def seen(repository: Package | App) -> Sighting:
            async with slots:
                return await sight(repository, release, tasks, journal, self._ports)

        sightings = await asyncio.gather(*(seen(one) for one in riding(tasks, self.registry)))
        unseen += await self._changed(release, tasks) if release.is_active else ()
        return standing(release, sightings, unseen)

    async def releases(self, limit: int | None = 25) -> list[Release]:
        """The newest releases."""
        async with self._ports.records.reading() as tx:
            return await tx.releases(limit=limit)

    async def events(self, release: str | None, after: int) -> list[Event]:
        """What happened on a release, or anywhere, after the event `after`."""
        async with self._ports.records.reading() as tx:
            return await tx.events(after=after, release=release)

    async def wait_for_events(self, after: int, timeout_seconds: float) -> bool:
        """True as soon as something happened after the event `after`."""
        return await self._ports.records.wait_for_events(after, timeout_seconds)

    async def notes(self, slug: str | None = None) -> ReleaseNotes:
        """The notes of the newest shipped release, or of `slug`; Refused before it shipped."""
        async with self._ports.records.reading() as tx:
            if slug is None:
                shipped = [one for one in await tx.releases(limit=None) if one.state is ReleaseState.SHIPPED]
                if not shipped:
                    raise Refused("there are no notes yet", "nothing was shipped", "release ship")
                return decoded(shipped[0].notes)
            release = await self._release(tx, slug, any_state=True)
        if release.state is not ReleaseState.SHIPPED:
            raise Refused(f"{release.slug} has no notes", f"it is {release.state}", "notes are written when it ships")
        return decoded(release.notes)

    async def deployments(self) -> list[Deployment]:
        """What every app got last, from the journal and the seals."""
        async with self._ports.records.reading() as tx:
            return await deployments(tx, self.registry)
