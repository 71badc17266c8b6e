"""The use cases of the train: every face calls these and says who asks; no face decides anything."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from core.board import existing_task
from core.deployments import Deployment, deployments
from core.errors import Refused
from core.events import Event, EventKind
from core.journal import LeaseHolder, SealRecord, Ship, ShipState
from core.observations import Value
from core.permissions import Actor, Role, require
from core.ports import Ports
from core.records import Transaction
from core.registry import Registry
from core.releases import Release, ReleaseState, assemble, attach, close, eject
from core.tasks import Stage, Task, TrainMove, move
from core.train.answer import Answer, settle
from core.train.freeze import freeze
from core.train.plan import decoded, ship_plan
from core.train.progress import Progress, progress
from core.train.proposal import Proposal, propose
from core.words import checked_slug, nearest

OFFER_LASTS = timedelta(minutes=30)
_SPENT = "confirmed"


class PlanChanged(Refused):
    """The world is not what the confirmation was given for; `proposal` is what it is now (spec 6.2)."""

    def __init__(self, proposal: Proposal) -> None:
        super().__init__(
            "the plan has changed since it was shown", "nothing was started", "read the new plan and confirm it"
        )
        self.proposal = proposal


class Offer(msgspec.Struct, frozen=True):
    """A proposal that can be confirmed until `expires_at`; with problems in it, it cannot."""

    proposal: Proposal
    expires_at: datetime


class Status(msgspec.Struct, frozen=True):
    """A release with its members, its newest ship, its seals, and who holds the train now."""

    release: Release
    tasks: tuple[Task, ...]
    progress: Progress | None
    seals: tuple[SealRecord, ...]
    holder: LeaseHolder | None


class Conductor:
    """Opens, fills, freezes, ships and closes trains."""

    def __init__(self, registry: Registry, ports: Ports) -> None:
        self.registry, self._ports = registry, ports

    # ── filling a train ───────────────────────────────────────────────────────────────────────────────────────────

    async def open(self, actor: Actor, slug: str, tasks: Sequence[str] = ()) -> Release:
        """Open the one active train, with its first tasks in the same transaction (L24)."""
        require(actor, Role.OPERATOR, "open a release")
        now = self._ports.clock.now()
        release = Release(slug=checked_slug(slug), opened_by=actor.name, opened_at=now)
        async with self._ports.records.transaction() as tx:
            await tx.insert_release(release)
            await tx.append_event(_event(EventKind.RELEASE_OPENED, release, actor, now))
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
            changed = eject(release, task)
            if needing := [one.slug for one in await _members(tx, changed) if task in one.depends_on]:
                why = f"{', '.join(needing)} ships with it or after it"
                raise Refused(f"{release.slug} cannot go without {task}", why, f"release eject {needing[0]} first")
            await self._move_by_train(tx, actor, task, Stage.REVIEWED, TrainMove.RETURN, None)
            await tx.update_release(release, changed)
            await tx.append_event(_event(EventKind.TASK_EJECTED, release, actor, self._ports.clock.now(), task=task))
            return changed

    async def freeze(self, actor: Actor, slug: str | None = None) -> Release:
        """Record what every repository of the train is now, keep the packages' bytes, and assemble it (spec 5.2)."""
        require(actor, Role.OPERATOR, "freeze a release")
        records = self._ports.records
        async with records.lease(f"{actor.name} (freeze)") as lease:
            async with records.reading() as tx:
                release = await self._resting(tx, slug)
                assemble(release, (), self._ports.clock.now())  # what is refused is refused before the builds
                tasks = await _members(tx, release)
            frozen = await freeze(tasks, self.registry, self._ports)
            now = self._ports.clock.now()
            changed = assemble(release, frozen, now)
            async with lease.transaction() as tx:
                await self._resting(tx, release.slug)  # a ship may have been confirmed meanwhile
                await tx.update_release(release, changed)
                await tx.append_event(_event(EventKind.RELEASE_FROZEN, changed, actor, now, repositories=len(frozen)))
        return changed

    async def abandon(self, actor: Actor, slug: str | None = None) -> Release:
        """Return every member to reviewed and free the slot (spec 3.3)."""
        require(actor, Role.OPERATOR, "abandon a release")
        now = self._ports.clock.now()
        async with self._ports.records.transaction() as tx:
            release = await self._resting(tx, slug)
            changed = close(release, ReleaseState.ABANDONED, now)
            for task in release.members:
                await self._move_by_train(tx, actor, task, Stage.REVIEWED, TrainMove.RETURN, None)
            await tx.update_release(release, changed)
            await tx.append_event(_event(EventKind.RELEASE_ABANDONED, release, actor, now))
        return changed

    # ── shipping ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def plan(self, slug: str | None = None) -> Proposal:
        """What a ship would do now, and every reason not to start; changes nothing (spec 6.11)."""
        async with self._ports.records.reading() as tx:
            release = await self._release(tx, slug)
            tasks, journal = await _members(tx, release), await tx.entries(release.slug)
        return await propose(release, tasks, self.registry, journal, self._ports)

    async def offer(self, actor: Actor, slug: str | None = None) -> Offer:
        """The plan, to be confirmed within half an hour. Refused while a ship is running."""
        require(actor, Role.OPERATOR, "ship")
        async with self._ports.records.reading() as tx:
            await self._resting(tx, slug)
        proposal = await self.plan(slug)
        offer = Offer(proposal, self._ports.clock.now() + OFFER_LASTS)
        if not proposal.problems:
            async with self._ports.records.transaction() as tx:
                await tx.put_setting(_offer_key(proposal.release, proposal.digest), offer.expires_at.isoformat())
        return offer

    async def ship(self, actor: Actor, slug: str, digest: str, origin: str) -> Ship:
        """Start the ship that was offered under `digest`; it runs wherever a dispatcher lives (spec 6.2).

        Refused when it was never offered, has expired, or one is running; PlanChanged when the world has moved.
        """
        require(actor, Role.OPERATOR, "ship")
        async with self._ports.records.reading() as tx:
            await self._resting(tx, slug)
            expires = await tx.setting(_offer_key(slug, digest))
        if expires is None:
            raise Refused(f"no plan {digest!r} was offered for {slug}", "a confirmation names the plan", "release ship")
        if expires == _SPENT:
            raise _spent(slug)
        if self._ports.clock.now() > datetime.fromisoformat(expires):
            raise Refused(
                "the confirmation has expired", f"it was good until {expires}", "release ship shows a new plan"
            )
        proposal = await self.plan(slug)
        if proposal.digest != digest:
            raise PlanChanged(proposal)
        if proposal.problems or proposal.plan is None:
            raise Refused.all(proposal.problems)
        now = self._ports.clock.now()
        async with self._ports.records.transaction() as tx:
            release, last = await self._resting(tx, slug), await tx.latest_ship(slug)
            if ship_plan(release, await _members(tx, release), self.registry).digest != proposal.plan.digest:
                raise PlanChanged(proposal)
            if await tx.setting(_offer_key(slug, digest)) == _SPENT:
                raise _spent(slug)
            await tx.put_setting(_offer_key(slug, digest), _SPENT)
            ship = await tx.insert_ship(
                Ship(
                    release=slug,
                    plan=proposal.plan.encoded(),
                    plan_digest=proposal.plan.digest,
                    digest=digest,
                    state=ShipState.RUNNING,
                    attempt=last.attempt + 1 if last else 1,
                    confirmed_by=actor.name,
                    confirmed_at=now,
                    mention=actor.mention,
                    origin=origin,
                )
            )
            await tx.append_event(_event(EventKind.SHIP_CONFIRMED, release, actor, now, ship=ship.id, digest=digest))
        return ship

    async def resume(self, actor: Actor, slug: str | None = None, answer: Answer | None = None) -> Ship:
        """Go on with a stopped ship: every step looks at the world again (spec 6.9).

        `answer` settles the steps that nobody can tell of, also where a changed plan must be confirmed anew; without
        one they are looked at, and asked about, again.
        A ship whose process died is given back as it is: it runs on wherever it is driven next.
        """
        require(actor, Role.OPERATOR, "resume")
        now = self._ports.clock.now()
        async with self._ports.records.transaction() as tx:
            release = await self._release(tx, slug)
            ship = await tx.latest_ship(release.slug)
            if ship and ship.state is ShipState.RUNNING and answer is None and await tx.lease_holder() is None:
                return ship
            await self._resting(tx, release.slug)
            if ship is None or ship.state not in (ShipState.STOPPED, ShipState.ASKING):
                what = f"{release.slug} has no ship to resume"
                raise Refused(
                    what, f"its last ship is {ship.state}" if ship else "it was never shipped", "release ship"
                )
            if answer:
                await settle(tx, ship, answer, actor, now)
            resumed = None
            if await self._is_planned_still(tx, release, ship):
                resumed = msgspec.structs.replace(
                    ship, state=ShipState.RUNNING, attempt=ship.attempt + 1, reasons=(), ended_at=None
                )
                await tx.update_ship(ship, resumed)
                facts: dict[str, Value] = {"ship": ship.id, "attempt": resumed.attempt}
                await tx.append_event(_event(EventKind.SHIP_RESUMED, release, actor, now, **facts))
        if resumed is None:
            why = f"{release.slug} or what is registered was changed" + (
                "; your answer is written down" if answer else ""
            )
            raise Refused("the plan has changed since it was confirmed", why, "release ship")
        return resumed

    async def cancel(self, actor: Actor, slug: str | None = None) -> Ship:
        """Stop a ship before its point of no return; Refused after it."""
        require(actor, Role.OPERATOR, "cancel")
        now = self._ports.clock.now()
        async with self._ports.records.transaction() as tx:
            release = await self._release(tx, slug)
            ship = await tx.latest_ship(release.slug)
            if ship is None or ship.state is not ShipState.RUNNING:
                state = f"its last ship is {ship.state}" if ship else "it was never shipped"
                raise Refused(f"{release.slug} is not shipping", state, "release status")
            journal = await tx.entries(release.slug)
            begun = [step.title for step in decoded(ship.plan).steps if step.irreversible and step.key in journal]
            if begun:
                why = f"begun already: {', '.join(begun[:3])}"
                raise Refused("it is too late to cancel", why, "let it finish or stop; then release resume")
            cancelled = msgspec.structs.replace(ship, state=ShipState.CANCELLED, ended_at=now)
            await tx.update_ship(ship, cancelled)
            await tx.append_event(_event(EventKind.SHIP_CANCELLED, release, actor, now, ship=ship.id))
        return cancelled

    # ── looking ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def status(self, slug: str | None = None) -> Status:
        """A release as it stands; without a slug the active one, else the newest."""
        async with self._ports.records.reading() as tx:
            release = await self._release(tx, slug, any_state=True)
            ship, entries = await tx.latest_ship(release.slug), await tx.entries(release.slug)
            return Status(
                release,
                tuple(await _members(tx, release)),
                progress(ship, decoded(ship.plan), entries) if ship else None,
                tuple(await tx.seals(release.slug)),
                await tx.lease_holder(),
            )

    async def releases(self, limit: int = 25) -> list[Release]:
        """The newest releases."""
        async with self._ports.records.reading() as tx:
            return await tx.releases(limit=limit)

    async def events(self, release: str, after: int) -> list[Event]:
        """What happened on a release after the event `after`."""
        async with self._ports.records.reading() as tx:
            return await tx.events(after=after, release=release)

    async def wait_for_events(self, after: int, timeout_seconds: float) -> bool:
        """True as soon as something happened after the event `after`."""
        return await self._ports.records.wait_for_events(after, timeout_seconds)

    async def notes(self, slug: str | None = None) -> Release:
        """The newest shipped release, or `slug`, with its notes; Refused before it shipped."""
        async with self._ports.records.reading() as tx:
            if slug is None:
                shipped = [one for one in await tx.releases(limit=None) if one.state is ReleaseState.SHIPPED]
                if not shipped:
                    raise Refused("there are no notes yet", "nothing was shipped", "release ship")
                return shipped[0]
            release = await self._release(tx, slug, any_state=True)
        if release.state is not ReleaseState.SHIPPED:
            raise Refused(f"{release.slug} has no notes", f"it is {release.state}", "notes are written when it ships")
        return release

    async def deployments(self) -> list[Deployment]:
        """What every app got last, from the journal and the seals."""
        async with self._ports.records.reading() as tx:
            return await deployments(tx, self.registry)

    # ── how ───────────────────────────────────────────────────────────────────────────────────────────────────────

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
            raise Refused(f"unknown release {slug!r}", "no release has this name", next_)
        return found

    async def _resting(self, tx: Transaction, slug: str | None) -> Release:
        """The release, when no ship of it is running (spec 6.10)."""
        release = await self._release(tx, slug)
        ship = await tx.latest_ship(release.slug)
        if ship and ship.state is ShipState.RUNNING:
            holder = await tx.lease_holder()
            by = f"{holder.holder} holds the train since {holder.since:%H:%M:%S} UTC" if holder else "nobody drives it"
            why = f"confirmed by {ship.confirmed_by} at {ship.confirmed_at:%H:%M:%S} UTC; {by}"
            next_ = "release status" if holder else "release resume takes it over"
            raise Refused(f"{release.slug} is shipping already", why, next_)
        return release

    async def _is_planned_still(self, tx: Transaction, release: Release, ship: Ship) -> bool:
        """True while the plan that was confirmed is the plan; of a shipped release only the end is to be written."""
        if release.state not in (ReleaseState.ASSEMBLED, ReleaseState.SHIPPED):
            return False
        return ship_plan(release, await _members(tx, release), self.registry).digest == ship.plan_digest

    async def _attach(self, tx: Transaction, actor: Actor, release: Release, slug: str) -> Release:
        task = await existing_task(tx, slug)
        changed = attach(release, slug)
        if missing := [name for name in task.repositories if name not in self.registry.repositories]:
            raise Refused(
                f"{slug} names {', '.join(missing)}", "not registered", "register it in config/release_repos.yml"
            )
        for needed in task.depends_on:
            other = await existing_task(tx, needed)
            if needed not in release.members and other.stage not in (Stage.SHIPPED, Stage.ARCHIVED):
                raise Refused(
                    f"{slug} depends on {needed}", f"{needed} is {other.stage}", f"release add {needed} first"
                )
        await self._move_by_train(tx, actor, slug, Stage.ASSEMBLED, TrainMove.ATTACH, release.slug)
        await tx.update_release(release, changed)
        await tx.append_event(_event(EventKind.TASK_ATTACHED, release, actor, self._ports.clock.now(), task=slug))
        return changed

    async def _move_by_train(
        self, tx: Transaction, actor: Actor, slug: str, to: Stage, by: TrainMove, rides: str | None
    ) -> None:
        task, since = await existing_task(tx, slug), (await tx.moves(slug))[-1].at
        changed, row = move(task, to, actor, self._ports.clock.now(), since, by_train=by)
        await tx.update_task(task, msgspec.structs.replace(changed, release=rides))
        await tx.append_move(row)


async def _members(tx: Transaction, release: Release) -> list[Task]:
    return [await existing_task(tx, slug) for slug in release.members]


def _spent(release: str) -> Refused:
    """One confirmation starts one ship, also when that one has stopped or was cancelled already (spec 6.2)."""
    return Refused(
        "this plan was confirmed already",
        f"see what became of it: release status {release}",
        "release ship offers it anew",
    )


def _offer_key(release: str, digest: str) -> str:
    return f"offer:{release}:{digest}"


def _event(kind: EventKind, release: Release, actor: Actor, at: datetime, **facts: Value) -> Event:
    return Event(kind=kind, release=release.slug, at=at, actor=actor.name, facts=facts)
