"""Shipping a train: the plan, its one confirmation, and the ship that it starts (spec 6.1, 6.2)."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from core.conductor.desk import Desk, members
from core.errors import Reason, Refused
from core.journal import Run, RunKind
from core.permissions import Actor, Role, require
from core.records import Transaction
from core.train.consumer import left_behind
from core.train.plan import ship_plan
from core.train.proposal import TYPED, Proposal, propose

OFFER_LASTS = timedelta(minutes=30)
_SPENT, _TOLD = "confirmed", 12


class PlanChanged(Refused):
    """The world is not what the confirmation was given for; `proposal` is what it is now (spec 6.2).

    Every line that has gone or come is a reason of its own.
    """

    def __init__(self, proposal: Proposal, was: Sequence[str] = ()) -> None:
        changes = [line for line in difflib.ndiff(was, proposal.lines) if line[0] in "-+"] if was else []
        what, next_ = "the plan has changed since it was shown", "read the new plan and confirm it"
        super().__init__(what, "nothing was started", next_, also=[Reason(_change(line)) for line in changes[:_TOLD]])
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
        proposal = await propose(release, tasks, self.registry, journal, self._ports)
        if not proposal.problems:
            unseen += await self._changed(release, tasks)
        return replace(proposal, unseen=(*unseen, *left_behind(release)))

    async def offer(self, actor: Actor, slug: str | None = None) -> Offer:
        """The plan, to be confirmed within half an hour. Refused while a run is on its way."""
        require(actor, Role.OPERATOR, "ship")
        async with self._ports.records.reading() as tx:
            await self._resting(tx, slug)
        proposal = await self.plan(slug)  # in no transaction: the world takes its time, and others must write
        offer = Offer(proposal, self._ports.clock.now() + OFFER_LASTS)
        if not proposal.problems:
            async with self._ports.records.transaction() as tx:
                stored = _Offered(proposal.digest, offer.expires_at, proposal.lines)
                await tx.put_setting(
                    _offer_key(proposal.release, proposal.digest), msgspec.json.encode(stored).decode()
                )
        return offer

    async def ship(self, actor: Actor, slug: str | None, digest: str, origin: str = "") -> Run:
        """Start the ship that was offered under `digest`; it runs wherever a dispatcher lives (spec 6.2).

        Refused when it was never offered, has expired, or one is running; PlanChanged when the world has moved.
        """
        require(actor, Role.OPERATOR, "ship")
        async with self._ports.records.reading() as tx:
            slug = (await self._resting(tx, slug)).slug
            offered = await self._offered(tx, slug, digest)
        if self._ports.clock.now() > offered.expires_at:
            why = f"it was good until {offered.expires_at:%Y-%m-%d %H:%M:%S} UTC"
            raise Refused("the confirmation has expired", why, "release ship, for a new plan")
        proposal = await self.plan(slug)
        if proposal.digest != offered.digest:
            raise PlanChanged(proposal, offered.lines)
        if proposal.problems:
            raise Refused.all(proposal.problems)
        # Looking at the world took seconds, in which somebody else may have pressed: whatever the record says is asked
        # again where nobody can come between.
        async with self._ports.records.transaction() as tx:
            release = await self._resting(tx, slug)
            if ship_plan(release, await members(tx, release), self.registry) != proposal.plan:
                raise PlanChanged(proposal)
            await self._offered(tx, slug, digest)
            await tx.put_setting(_offer_key(slug, digest), _SPENT)
            return await self._let_go(tx, release, RunKind.SHIP, proposal, actor, origin)

    async def _offered(self, tx: Transaction, slug: str, digest: str) -> _Offered:
        """What was offered under `digest`, or under its beginning; Refused when nothing was, or it is spent."""
        stored = await tx.setting(_offer_key(slug, digest))
        if stored == _SPENT:
            raise _spent(slug)
        offered = msgspec.json.decode(stored, type=_Offered) if stored and len(digest) >= TYPED else None
        if offered is None or not offered.digest.startswith(digest):
            what = f"no plan {digest[:TYPED]!r} was offered for {slug}"
            raise Refused(what, f"a confirmation names the plan by {TYPED} characters or all", "release ship")
        return offered


class _Offered(msgspec.Struct, frozen=True):
    """What can be confirmed: the whole digest, until when, and what was shown, line by line."""

    digest: str
    expires_at: datetime
    lines: tuple[str, ...]


def _change(line: str) -> str:
    return f"{'gone' if line[0] == '-' else 'new'}: {line[2:]}"[:300]


def _spent(release: str) -> Refused:
    """One confirmation starts one ship, also when that one has stopped or was cancelled already (spec 6.2)."""
    return Refused(
        "this plan was confirmed already",
        f"see what became of it: release status {release}",
        "release ship, for a new plan",
    )


def _offer_key(release: str, digest: str) -> str:
    return f"offer:{release}:{digest[:TYPED]}"
