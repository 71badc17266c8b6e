"""Looking at tasks: nothing here changes anything."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from core.board.desk import Desk, existing_task
from core.conversation import Remark
from core.errors import Reason
from core.handoffs import Check, missing_for_review
from core.people import People
from core.permissions import Actor
from core.reviews import Review, by_one_person, unseen
from core.sizing import Calibration, Sizing, calibration
from core.tasks import Move, Stage, Suggestion, Task, TaskQuery, legal_moves


class TaskPage(msgspec.Struct, frozen=True, kw_only=True):
    """What `/task show` shows (spec 2.1–2.7), as far as who asks may see it.

    `missing`: what the definition of ready still asks for, while the task is not submitted, and once it is reviewed,
    what nobody has looked at since; `legal`: the next stages.
    """

    task: Task
    moves: tuple[Move, ...] = ()
    checks: tuple[Check, ...] = ()
    remarks: tuple[Remark, ...] = ()
    reviews: tuple[Review, ...] = ()
    sizing: Sizing = Sizing()
    missing: tuple[Reason, ...] = ()
    legal: tuple[Stage, ...] = ()


class TaskList(msgspec.Struct, frozen=True):
    """Newest first; `total` says how many there are, shown or not (L28). `next`: the `after` of the next page."""

    tasks: tuple[Task, ...]
    total: int
    next: str | None = None


class Looking(Desk):
    """How tasks stand."""

    @property
    def shapes(self) -> tuple[str, ...]:
        """The names of the shapes, for autocomplete."""
        return tuple(self._shapes)

    async def show(self, actor: Actor, slug: str) -> TaskPage:
        """One task with everything that is known of it, and that `actor` may see (spec 2.8)."""
        async with self._ports.records.reading() as tx:
            task, moves = await existing_task(tx, slug), await tx.moves(slug)
            checks, remarks, reviews = await tx.checks(slug), await tx.remarks(slug), await tx.reviews(slug)
            return TaskPage(
                task=task,
                moves=tuple(moves),
                checks=tuple(checks),
                remarks=tuple(remarks),
                reviews=tuple(reviews),
                sizing=await tx.sizing(slug, actor.id),
                missing=(
                    *self._missing(task, moves, checks),
                    *unseen(task, moves, remarks, reviews, self._quorum),
                    *by_one_person(task, remarks, reviews, People(await tx.links())),
                ),
                legal=tuple(legal_moves(task.stage)),
            )

    async def list(self, query: TaskQuery = TaskQuery()) -> TaskList:  # noqa: B008
        """One page of the tasks that are asked for, newest first, and how many there are."""
        async with self._ports.records.reading() as tx:
            if query.after:
                await existing_task(tx, query.after)
            found = await tx.tasks(query)
            more = query.limit is not None and len(found) == query.limit
            return TaskList(tuple(found), await tx.count_tasks(query), found[-1].slug if more and found else None)

    async def suggest(self, typed: str, stages: Collection[Stage] | None = None, limit: int = 25) -> list[Suggestion]:
        """Tasks for autocomplete: by the beginning of the slug, then by the words of the title."""
        async with self._ports.records.reading() as tx:
            return await tx.suggest_tasks(typed, tuple(Stage) if stages is None else stages, limit)

    async def calibration(self) -> tuple[Calibration, ...]:
        """How far each bidder's bids are from what tasks turned out to be."""
        async with self._ports.records.reading() as tx:
            return calibration(await tx.sized())

    def _missing(self, task: Task, moves: Sequence[Move], checks: Sequence[Check]) -> tuple[Reason, ...]:
        """What keeps a task that is not submitted from being so; only checks of this round of building count."""
        if task.stage not in (Stage.DESIGNED, Stage.BUILDING, Stage.BLOCKED):
            return ()
        begun = [move.at for move in moves if move.to is Stage.BUILDING]
        ran = [check.text for check in checks if not check.machine and begun and check.at >= begun[-1]]
        return tuple(missing_for_review(task, ran, self._shapes.get(task.shape, ())))
