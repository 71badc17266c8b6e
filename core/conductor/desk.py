"""What every room of the conductor has: the registry, the outside, and how a release and its members are found."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from core.board import existing_task
from core.errors import NotFound, Reason, Refused
from core.events import EventKind, event_of
from core.journal import Run, RunKind, RunState
from core.observations import Value
from core.people import People
from core.permissions import Actor
from core.ports import Ports
from core.records import Transaction
from core.registry import Registry
from core.releases import Release
from core.reviews import Seat, by_one_person, unseen
from core.tasks import Task
from core.train.proposal import Proposal
from core.train.reviewed import changed_since_review
from core.words import nearest


class Desk:
    """The base of the rooms; does nothing by itself."""

    def __init__(self, registry: Registry, ports: Ports, quorum: Collection[Seat] = tuple(Seat)) -> None:
        """`quorum`: the seats that must approve a change."""
        self.registry, self._ports, self._quorum = registry, ports, quorum

    async def _release(self, tx: Transaction, slug: str | None, *, any_state: bool = False) -> Release:
        if slug is None:
            found = await tx.active_release()
            if found is None and any_state:
                found = next(iter(await tx.releases(limit=1)), None)
            if found is None:
                raise Refused("no release is active", "there is nothing to act on", "release open NAME")
            return found
        found = await tx.release(slug)
        if found is None:
            guess = nearest(slug, [release.slug for release in await tx.releases(limit=None)])
            next_ = f"did you mean {guess}?" if guess else "release status"
            raise NotFound(f"unknown release {slug!r}", "no release has this name", next_)
        return found

    async def _resting(self, tx: Transaction, slug: str | None) -> Release:
        """The release, when no run of it is on its way (spec 6.10)."""
        release = await self._release(tx, slug)
        run = await tx.latest_run(release.slug)
        if run and run.state is RunState.RUNNING:
            holder = await tx.lease_holder()
            by = f"{holder.holder} holds the train since {holder.since:%H:%M:%S} UTC" if holder else "nobody drives it"
            why = f"confirmed by {run.confirmed_by} at {run.confirmed_at:%H:%M:%S} UTC; {by}"
            next_ = "release status" if holder else "release resume, which takes it over"
            doing = "shipping" if run.kind is RunKind.SHIP else "being prepared"
            raise Refused(f"{release.slug} is {doing} already", why, next_)
        return release

    async def _let_go(
        self, tx: Transaction, release: Release, kind: RunKind, proposal: Proposal, actor: Actor, origin: str = ""
    ) -> Run:
        """Store the run that `actor` starts of what was proposed, and say so."""
        assert proposal.plan
        last, now = await tx.latest_run(release.slug), self._ports.clock.now()
        run = await tx.insert_run(
            Run(
                release=release.slug,
                kind=kind,
                plan=proposal.plan.encoded(),
                plan_digest=proposal.plan.digest,
                digest=proposal.digest,
                configuration=proposal.configuration,
                state=RunState.RUNNING,
                attempt=last.attempt + 1 if last else 1,
                confirmed_by=actor.name,
                confirmed_at=now,
                mention=actor.mention,
                origin=origin or actor.face,
            )
        )
        facts: dict[str, Value] = {"run": run.id, "kind": run.kind, "digest": run.digest}
        await tx.append_event(event_of(EventKind.RUN_CONFIRMED, release, actor, now, **facts))
        return run

    async def _changed(self, release: Release, tasks: Sequence[Task]) -> tuple[Reason, ...]:
        """What of `tasks` rides beyond the commits that were approved. Asks origin: in no transaction."""
        async with self._ports.records.reading() as tx:
            reviews = {task.slug: await tx.reviews(task.slug) for task in tasks}
        return await changed_since_review(release, tasks, reviews, self._quorum, self.registry, self._ports)

    async def _unseen(self, tx: Transaction, tasks: Sequence[Task]) -> tuple[Reason, ...]:
        """What of `tasks` rides although not everybody has looked at it."""
        found, people = list[Reason](), People(await tx.links())
        for task in tasks:
            moves, remarks = await tx.moves(task.slug), await tx.remarks(task.slug)
            reviews = await tx.reviews(task.slug)
            found += unseen(task, moves, remarks, reviews, self._quorum)
            found += by_one_person(task, remarks, reviews, people)
        return tuple(found)


async def members(tx: Transaction, release: Release) -> list[Task]:
    """The tasks that ride, in the order of attachment."""
    return [await existing_task(tx, slug) for slug in release.members]
