"""From stage to stage: by word, by a handoff, by reviews (spec 2.2, 2.5, 2.6). One transaction each."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from core.board.desk import Desk, existing_task, moved
from core.conversation import RemarkKind, blocking, open_feedback
from core.errors import Refused
from core.events import EventKind
from core.handoffs import Handoff, require_entry, require_ready
from core.people import People
from core.permissions import Actor, Role, require
from core.reviews import (
    Finding,
    Review,
    Seat,
    Verdict,
    builders,
    late_handoffs,
    moved_on,
    require_reviewable,
    review_round,
    unapproved,
)
from core.tasks import BoardMove, Stage, Task, legal_moves
from core.train.reviewed import heads_of
from core.words import counted


class Moving(Desk):
    """The moves that people make; the train makes the moves that are its own."""

    async def move(self, actor: Actor, slug: str, to: Stage, reason: str = "") -> Task:
        """Make one of the moves that people make by their word alone (spec 2.2); Refused names the legal ones."""
        async with self._ports.records.transaction() as tx:
            return await moved(tx, await existing_task(tx, slug), to, actor, self._ports.clock.now(), reason=reason)

    async def start(self, actor: Actor, slug: str) -> Task:
        """Begin to build what is designed."""
        return await self._to_building(actor, slug, Stage.DESIGNED)

    async def block(self, actor: Actor, slug: str, reason: str) -> Task:
        """Stop a task until somebody has removed what is in its way."""
        return await self.move(actor, slug, Stage.BLOCKED, reason)

    async def unblock(self, actor: Actor, slug: str) -> Task:
        """Go on building what was blocked."""
        return await self._to_building(actor, slug, Stage.BLOCKED)

    async def archive(self, actor: Actor, slug: str) -> Task:
        """Put a shipped task away."""
        return await self.move(actor, slug, Stage.ARCHIVED)

    async def handoff(self, actor: Actor, slug: str, handoff: Handoff) -> Task:
        """Hand the work on: out of building it submits the task (spec 2.6), later it is an entry that moves nothing.

        Either way it resolves the feedback that is open. Its checks are kept as reported ones. Refused with everything
        that a review still asks for, and for what is designed, blocked or shipped.
        """
        require(actor, Role.AGENT, "hand off tasks")
        async with self._ports.records.transaction() as tx:
            task, now = await existing_task(tx, slug), self._ports.clock.now()
            if task.stage is Stage.BUILDING:
                require_ready(task, handoff, self._shapes.get(task.shape, ()))
                task = await moved(tx, task, Stage.SUBMITTED, actor, now, BoardMove.HANDOFF, reported=handoff.reported)
            else:
                require_entry(task, handoff)
            for text in handoff.checks:
                await tx.add_check(slug, text, commit=None, at=now, by=actor.name)
            for remark in open_feedback(await tx.remarks(slug)):
                await tx.resolve_remark(msgspec.structs.replace(remark, resolved_at=now, resolved_by=actor.name))
            await self._remark(tx, actor, slug, RemarkKind.HANDOFF, handoff.body)
        return task

    async def review(
        self,
        actor: Actor,
        slug: str,
        seat: Seat,
        verdict: Verdict,
        findings: Sequence[Finding] = (),
        body: str = "",
    ) -> Task:
        """Give a verdict. Requested changes block the task with all findings at once; the quorum makes it reviewed.

        After a handoff of what was reviewed already, verdicts are entries: nothing moves, and requested changes stay
        open as feedback.
        """
        require(actor, Role.REVIEWER, "review tasks")
        async with self._ports.records.reading() as tx:
            looked_at = await existing_task(tx, slug)
        heads = await heads_of(looked_at, self._registry, self._ports)  # others must write meanwhile
        async with self._ports.records.transaction() as tx:
            task, earlier = await existing_task(tx, slug), await tx.reviews(slug)
            if task.works != looked_at.works:
                raise Refused(f"{slug} was changed just now", "its branches are others", f"task show {slug}")
            remarks, moves = await tx.remarks(slug), await tx.moves(slug)
            review = Review(
                task=slug,
                seat=seat,
                reviewer=actor.name,
                reviewer_id=actor.id,
                verdict=verdict,
                findings=tuple(findings),
                body=body,
                at=self._ports.clock.now(),
                round=review_round(moves, remarks),
                heads=heads,
            )
            is_late = bool(late_handoffs(moves, remarks) or moved_on(earlier, self._quorum, heads))
            is_late = is_late and task.stage is not Stage.SUBMITTED
            people = People(await tx.links())
            require_reviewable(task, earlier, review, builders(task, remarks), people, is_late=is_late)
            # Open feedback refuses only the verdict that would make it reviewed: the others may be given before.
            has_quorum = not unapproved([*earlier, review], review.round, self._quorum)
            if has_quorum and (reasons := blocking(remarks)):
                raise Refused.all(reasons)
            await tx.add_review(review)
            kind = RemarkKind.QA_FEEDBACK if is_late and not review.approves else RemarkKind.VERDICT
            await self._remark(tx, actor, slug, kind, review.entry)
            await self._tell(tx, EventKind.TASK_REVIEWED, actor, slug, seat=seat, verdict=verdict)
            if is_late:
                return task
            if not review.approves:
                reason = f"{seat} review: {counted(len(review.findings), 'finding')}"
                task = await moved(tx, task, Stage.BLOCKED, actor, review.at, reason=reason)
            elif has_quorum:
                task = await moved(tx, task, Stage.REVIEWED, actor, review.at, BoardMove.QUORUM)
        return task

    async def _to_building(self, actor: Actor, slug: str, origin: Stage) -> Task:
        """To building, when the task is at `origin`."""
        async with self._ports.records.transaction() as tx:
            task = await existing_task(tx, slug)
            if task.stage is not origin:
                legal = ", ".join(legal_moves(task.stage)) or "none"
                raise Refused(f"{slug} is not {origin}", f"it is {task.stage}", f"legal from here: {legal}")
            return await moved(tx, task, Stage.BUILDING, actor, self._ports.clock.now())
