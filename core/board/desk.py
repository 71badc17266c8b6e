"""What every room of the board has: shapes, the outside, and how a task is found, moved and told of."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from core.conversation import Remark, RemarkKind, said
from core.errors import NotFound
from core.events import Event, EventKind
from core.observations import Value
from core.permissions import Actor, Role
from core.ports import Ports
from core.records import Transaction
from core.registry import Registry
from core.reviews import Seat
from core.tasks import NOTHING_REPORTED, BoardMove, Reported, Stage, Task, TrainMove, move
from core.words import nearest

ANYBODY = frozenset(Role)
ENDED = (Stage.SHIPPED, Stage.ARCHIVED)


class Desk:
    """The base of the rooms; does nothing by itself."""

    def __init__(
        self,
        registry: Registry,
        shapes: Mapping[str, tuple[str, ...]],
        ports: Ports,
        quorum: Collection[Seat] = tuple(Seat),
    ) -> None:
        """`shapes`: shape → tiers of test that it owes; `quorum`: the seats that must approve."""
        self._registry, self._shapes, self._ports, self._quorum = registry, shapes, ports, quorum

    async def _remark(self, tx: Transaction, actor: Actor, slug: str, kind: RemarkKind, body: str) -> Remark:
        return await remarked(tx, slug, kind, actor, self._ports.clock.now(), said(body))

    async def _tell(
        self, tx: Transaction, kind: EventKind, actor: Actor, slug: str, **facts: Value | list[str]
    ) -> None:
        at = self._ports.clock.now()
        await tx.append_event(Event(kind=kind, task=slug, at=at, actor=actor.name, actor_id=actor.id, facts=facts))


async def moved(
    tx: Transaction,
    task: Task,
    to: Stage,
    actor: Actor,
    at: datetime,
    by: BoardMove | TrainMove | None = None,
    *,
    reason: str = "",
    reported: Reported = NOTHING_REPORTED,
    rides: str | None = None,
) -> Task:
    """Move, with the timeline row and the event: the only way from stage to stage; see `core.tasks.move`."""
    since = (await tx.moves(task.slug))[-1].at
    changed, row = move(task, to, actor, at, since, by=by, reason=reason, reported=reported, rides=rides)
    changed = await tx.update_task(task, changed)
    await tx.append_move(row)
    facts = {"origin": task.stage, "to": to}
    await tx.append_event(
        Event(kind=EventKind.TASK_MOVED, task=task.slug, at=at, actor=actor.name, actor_id=actor.id, facts=facts)
    )
    return changed


async def remarked(tx: Transaction, task: str, kind: RemarkKind, actor: Actor, at: datetime, body: str) -> Remark:
    """An entry of the conversation, and the event: the only way into it."""
    stored = await tx.add_remark(Remark(task=task, kind=kind, author=actor.name, author_id=actor.id, body=body, at=at))
    facts = {"remark": stored.id, "said": kind}
    await tx.append_event(
        Event(kind=EventKind.TASK_REMARKED, task=task, at=at, actor=actor.name, actor_id=actor.id, facts=facts)
    )
    return stored


async def existing_task(tx: Transaction, slug: str) -> Task:
    """The task, or a refusal that names the nearest one."""
    task = await tx.task(slug)
    if task is None:
        guess = nearest(slug, [one.slug for one in await tx.suggest_tasks("", tuple(Stage), 1000)])
        raise NotFound(
            f"unknown task {slug!r}", "no task has this slug", f"did you mean {guess}?" if guess else "task list"
        )
    return task
