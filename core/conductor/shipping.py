"""Shipping a train: the plan, its one confirmation, and the ship that it starts (spec 6.1, 6.2)."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from core.conductor.desk import Desk, members
from core.errors import Refused
from core.journal import Run, RunKind
from core.permissions import Actor, Role, require
from core.train.plan import ship_plan
from core.train.proposal import Proposal, propose

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


class Shipping(Desk):
    """From the plan to the ship."""

    async def plan(self, slug: str | None = None) -> Proposal:
        """What a ship would do now, and every reason not to start; changes nothing (spec 6.11)."""
        async with self._ports.records.reading() as tx:
            release = await self._release(tx, slug)
            tasks, journal = await members(tx, release), await tx.entries(release.slug)
            unseen = await self._unseen(tx, tasks)
        return replace(await propose(release, tasks, self.registry, journal, self._ports), unseen=unseen)

    async def offer(self, actor: Actor, slug: str | None = None) -> Offer:
        """The plan, to be confirmed within half an hour. Refused while a run is on its way."""
        require(actor, Role.OPERATOR, "ship")
        async with self._ports.records.reading() as tx:
            await self._resting(tx, slug)
        proposal = await self.plan(slug)  # in no transaction: the world takes its time, and others must write
        offer = Offer(proposal, self._ports.clock.now() + OFFER_LASTS)
        if not proposal.problems:
            async with self._ports.records.transaction() as tx:
                await tx.put_setting(_offer_key(proposal.release, proposal.digest), offer.expires_at.isoformat())
        return offer

    async def ship(self, actor: Actor, slug: str | None, digest: str, origin: str = "") -> Run:
        """Start the ship that was offered under `digest`; it runs wherever a dispatcher lives (spec 6.2).

        Refused when it was never offered, has expired, or one is running; PlanChanged when the world has moved.
        """
        require(actor, Role.OPERATOR, "ship")
        async with self._ports.records.reading() as tx:
            slug = (await self._resting(tx, slug)).slug
            offered = _offer_key(slug, digest)
            expires = await tx.setting(offered)
        if expires is None:
            raise Refused(f"no plan {digest!r} was offered for {slug}", "a confirmation names the plan", "release ship")
        if expires == _SPENT:
            raise _spent(slug)
        if self._ports.clock.now() > datetime.fromisoformat(expires):
            raise Refused(
                "the confirmation has expired", f"it was good until {expires}", "release ship, for a new plan"
            )
        proposal = await self.plan(slug)
        if proposal.digest != digest:
            raise PlanChanged(proposal)
        if proposal.problems:
            raise Refused.all(proposal.problems)
        # Looking at the world took seconds, in which somebody else may have pressed: whatever the record says is asked
        # again where nobody can come between.
        async with self._ports.records.transaction() as tx:
            release = await self._resting(tx, slug)
            if ship_plan(release, await members(tx, release), self.registry) != proposal.plan:
                raise PlanChanged(proposal)
            if await tx.setting(offered) == _SPENT:
                raise _spent(slug)
            await tx.put_setting(offered, _SPENT)
            return await self._let_go(tx, release, RunKind.SHIP, proposal, actor, origin)


def _spent(release: str) -> Refused:
    """One confirmation starts one ship, also when that one has stopped or was cancelled already (spec 6.2)."""
    return Refused(
        "this plan was confirmed already",
        f"see what became of it: release status {release}",
        "release ship, for a new plan",
    )


def _offer_key(release: str, digest: str) -> str:
    return f"offer:{release}:{digest}"
