"""Filling a train: open it, attach, eject, give it up. One transaction each (spec 3)."""

from __future__ import annotations

from collections.abc import Sequence

from core.board import existing_task, moved
from core.conductor.desk import Desk, members
from core.conversation import blocking
from core.errors import Reason, Refused
from core.events import EventKind, event_of
from core.permissions import Actor, Role, require
from core.records import Transaction
from core.releases import Release, ReleaseState, attach, close
from core.tasks import Stage, TrainMove
from core.train.ejecting import take_off
from core.words import checked_slug


class Filling(Desk):
    """Who rides."""

    async def open(self, actor: Actor, slug: str, tasks: Sequence[str] = ()) -> Release:
        """Open the one active train, with its first tasks in the same transaction (L24)."""
        require(actor, Role.OPERATOR, "open a release")
        now = self._ports.clock.now()
        release = Release(slug=checked_slug(slug), opened_by=actor.name, opened_at=now)
        async with self._ports.records.transaction() as tx:
            await tx.insert_release(release)
            await tx.append_event(event_of(EventKind.RELEASE_OPENED, release, actor, now))
            for task in tasks:
                release = await self._attach(tx, actor, release, task)
        return release

    async def add(self, actor: Actor, task: str, slug: str | None = None) -> Release:
        """Attach a reviewed task; an assembled release is reopened and must be frozen again (spec 3.2)."""
        require(actor, Role.OPERATOR, "attach tasks")
        async with self._ports.records.transaction() as tx:
            release = await self._resting(tx, slug)
            return await self._attach(tx, actor, release, task)

    async def eject(self, actor: Actor, task: str, slug: str | None = None) -> Release:
        """Take one member off; the rest ride on (spec 3.4). Refused while another member depends on it (spec 2.1)."""
        require(actor, Role.OPERATOR, "eject tasks")
        async with self._ports.records.transaction() as tx:
            release = await self._resting(tx, slug)
            if needing := [one.slug for one in await members(tx, release) if task in one.depends_on]:
                why = f"{', '.join(needing)} ships with it or after it"
                raise Refused(
                    f"{release.slug} cannot go without {task}", why, f"release eject {needing[0]}, then again"
                )
            return await take_off(tx, release, task, actor, self._ports.clock.now())

    async def abandon(self, actor: Actor, slug: str | None = None) -> Release:
        """Return every member to reviewed and free the slot (spec 3.3)."""
        require(actor, Role.OPERATOR, "abandon a release")
        now = self._ports.clock.now()
        async with self._ports.records.transaction() as tx:
            release = await self._resting(tx, slug)
            changed = close(release, ReleaseState.ABANDONED, now)
            for task in release.members:
                await moved(tx, await existing_task(tx, task), Stage.REVIEWED, actor, now, TrainMove.RETURN)
            await tx.update_release(release, changed)
            await tx.append_event(event_of(EventKind.RELEASE_ABANDONED, release, actor, now))
        return changed

    async def _attach(self, tx: Transaction, actor: Actor, release: Release, slug: str) -> Release:
        task = await existing_task(tx, slug)
        changed = attach(release, slug)
        reasons = [
            Reason(f"{slug} names {name}", "not registered", "register it in config/release_repos.yml")
            for name in task.repositories
            if name not in self.registry.repositories
        ]
        for needed in task.depends_on:
            stage = (await existing_task(tx, needed)).stage
            if needed not in release.members and stage not in (Stage.SHIPPED, Stage.ARCHIVED):
                reasons.append(
                    Reason(f"{slug} depends on {needed}", f"{needed} is {stage}", f"release add {needed}, then again")
                )
        # Also what ejected it: nobody boards again before it was mended and handed off.
        if reasons := [*reasons, *blocking(await tx.remarks(slug))]:
            raise Refused.all(reasons)
        now = self._ports.clock.now()
        await moved(tx, task, Stage.ASSEMBLED, actor, now, TrainMove.ATTACH, rides=release.slug)
        await tx.update_release(release, changed)
        await tx.append_event(event_of(EventKind.TASK_ATTACHED, release, actor, now, task=slug))
        return changed
