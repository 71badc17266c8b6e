"""What people say of a task beside its moves: remarks, feedback, sizes (spec 2.4, 2.7). One transaction each."""

from __future__ import annotations

import msgspec

from core.board.desk import ANYBODY, ENDED, Desk, existing_task
from core.conversation import Remark, RemarkKind, open_feedback, resolved
from core.errors import NotFound, Refused
from core.events import EventKind
from core.people import People
from core.permissions import Actor, require
from core.sizing import Bid, Bidder, Size, Sizing, require_biddable
from core.tasks import Task


class Talking(Desk):
    """Conversation and bids."""

    async def comment(self, actor: Actor, slug: str, body: str, clarification: bool = False) -> Remark:
        """Say something about a task."""
        require(actor, ANYBODY, "comment on tasks")
        async with self._ports.records.transaction() as tx:
            await existing_task(tx, slug)
            kind = RemarkKind.CLARIFICATION if clarification else RemarkKind.COMMENT
            return await self._remark(tx, actor, slug, kind, body)

    async def feedback(self, actor: Actor, slug: str, body: str) -> Remark:
        """Say what QA found: it keeps the task from being reviewed until a handoff resolves it (spec 2.4)."""
        require(actor, ANYBODY, "give feedback")
        async with self._ports.records.transaction() as tx:
            task = await existing_task(tx, slug)
            if task.stage in ENDED:
                why = "nobody hands it off again"
                raise Refused(f"{slug} takes no more feedback", f"it is {task.stage}: {why}", "make a task of it")
            return await self._remark(tx, actor, slug, RemarkKind.QA_FEEDBACK, body)

    async def resolve(self, actor: Actor, slug: str, remark_id: int) -> Remark:
        """Take feedback as answered without a handoff: for who gave it, and for reviewers."""
        require(actor, ANYBODY, "resolve feedback")
        async with self._ports.records.transaction() as tx:
            await existing_task(tx, slug)
            remarks = await tx.remarks(slug)
            remark = next((one for one in remarks if one.id == remark_id), None)
            if remark is None:
                open_ids = ", ".join(f"#{one.id}" for one in open_feedback(remarks)) or "nothing"
                raise NotFound(f"{slug} has no entry #{remark_id}", f"open is: {open_ids}", f"task show {slug}")
            answered = resolved(remark, actor, People(await tx.links()), self._ports.clock.now())
            await tx.resolve_remark(answered)
            await self._tell(tx, EventKind.TASK_REMARKED, actor, slug, remark=remark_id, said="resolved")
        return answered

    async def bid(self, actor: Actor, slug: str, bidder: Bidder, size: Size) -> Sizing:
        """Bid for one of the three; sealed until all are in, then locked (spec 2.7)."""
        require(actor, ANYBODY, "size tasks")
        async with self._ports.records.transaction() as tx:
            task, now = await existing_task(tx, slug), self._ports.clock.now()
            new = Bid(task=slug, bidder=bidder, size=size, by=actor.name, by_id=actor.id, at=now)
            require_biddable(
                await tx.sizing(slug, actor.id), new, People(await tx.links()), has_shipped=task.stage in ENDED
            )
            await tx.put_bid(new)
            await self._tell(tx, EventKind.TASK_SIZED, actor, slug, bidder=bidder)
            return await tx.sizing(slug, actor.id)

    async def actual(self, actor: Actor, slug: str, size: Size) -> Task:
        """Say how big a shipped task was."""
        require(actor, ANYBODY, "size tasks")
        async with self._ports.records.transaction() as tx:
            task = await existing_task(tx, slug)
            if task.stage not in ENDED:
                raise Refused(f"{slug} has no actual size yet", f"it is {task.stage}", "say it once it has shipped")
            await self._tell(tx, EventKind.TASK_SIZED, actor, slug, actual=size)
            return await tx.update_task(task, msgspec.structs.replace(task, actual=size))
