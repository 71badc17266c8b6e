"""The use cases of the task board: every face calls these, and none decides anything itself."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from core.errors import Refused
from core.permissions import Actor, Role, require
from core.ports import Ports
from core.records import Transaction
from core.registry import Registry
from core.tasks import Move, Stage, Task, move, new_task
from core.words import nearest


class TaskPage(msgspec.Struct, frozen=True):
    """What `/task show` shows."""

    task: Task
    moves: tuple[Move, ...]
    checks: tuple[str, ...]


class TaskList(msgspec.Struct, frozen=True):
    """Newest first; `total` says how many there are, shown or not (L28)."""

    tasks: tuple[Task, ...]
    total: int


class Board:
    """Tasks from idea to shipped; the train makes the moves that are its own."""

    def __init__(self, registry: Registry, shapes: Mapping[str, tuple[str, ...]], ports: Ports) -> None:
        self._registry, self._shapes, self._ports = registry, shapes, ports

    @property
    def shapes(self) -> tuple[str, ...]:
        """The names of the shapes, for autocomplete."""
        return tuple(self._shapes)

    async def new(self, actor: Actor, draft: Task) -> Task:
        """Create a task at `designed`; Refused with every problem of the draft at once."""
        require(actor, Role.AGENT, "create tasks")
        now = self._ports.clock.now()
        task = new_task(msgspec.structs.replace(draft, created_at=now), self._registry, frozenset(self._shapes))
        first = Move(task=task.slug, origin=None, to=task.stage, actor=actor.name, source=actor.face, at=now)
        async with self._ports.records.transaction() as tx:
            for needed in task.depends_on:
                await existing_task(tx, needed)
            await tx.insert_task(task)
            await tx.append_move(first)
        return task

    async def show(self, slug: str) -> TaskPage:
        """One task with its timeline and checks."""
        async with self._ports.records.reading() as tx:
            task = await existing_task(tx, slug)
            return TaskPage(task, tuple(await tx.moves(slug)), tuple(await tx.checks(slug)))

    async def list(self, stage: Stage | None = None, limit: int | None = 25) -> TaskList:
        """The newest `limit` tasks of a stage, or of all."""
        async with self._ports.records.reading() as tx:
            return TaskList(tuple(await tx.tasks(stage=stage, limit=limit)), await tx.count_tasks(stage=stage))

    async def move(self, actor: Actor, slug: str, to: Stage, reason: str = "") -> Task:
        """Make one of the moves of spec 2.2 that people make."""
        async with self._ports.records.transaction() as tx:
            task = await existing_task(tx, slug)
            since = (await tx.moves(slug))[-1].at
            changed, row = move(task, to, actor, self._ports.clock.now(), since, reason=reason)
            await tx.update_task(task, changed)
            await tx.append_move(row)
        return changed


async def existing_task(tx: Transaction, slug: str) -> Task:
    """The task, or a refusal that names the nearest one."""
    task = await tx.task(slug)
    if task is None:
        guess = nearest(slug, [one.slug for one in await tx.tasks(limit=1000)])
        raise Refused(
            f"unknown task {slug!r}", "no task has this slug", f"did you mean {guess}?" if guess else "task list"
        )
    return task
