"""What a task says: it is created, edited, and put behind others (spec 2.1). One transaction each."""

from __future__ import annotations

import msgspec

from core.board.desk import Desk, existing_task
from core.edits import TaskChanges, edited, edits, require_unchanged, with_dependency
from core.errors import Refused
from core.events import EventKind
from core.order import way
from core.permissions import Actor, Role, require
from core.records import Transaction
from core.tasks import Move, Task, new_task


class Writing(Desk):
    """The words of a task."""

    async def new(self, actor: Actor, draft: Task) -> Task:
        """Create a task at `designed`; Refused with every problem of the draft at once."""
        require(actor, Role.AGENT, "create tasks")
        now = self._ports.clock.now()
        task = new_task(msgspec.structs.replace(draft, created_at=now), self._registry, self._shapes)
        first = Move(task=task.slug, origin=None, to=task.stage, actor=actor.name, source=actor.face, at=now)
        async with self._ports.records.transaction() as tx:
            for needed in task.depends_on:
                await existing_task(tx, needed)
            await tx.insert_task(task)
            await tx.append_move(first)
            await self._tell(tx, EventKind.TASK_CREATED, actor, task.slug)
        return task

    async def edit(self, actor: Actor, slug: str, changes: TaskChanges, revision: int | None = None) -> Task:
        """Change fields. `revision`: of the task that the editor saw; what others changed since is not overwritten."""
        require(actor, Role.AGENT, "edit tasks")
        async with self._ports.records.transaction() as tx:
            task = await existing_task(tx, slug)
            if revision is not None:
                if revision > task.revision:
                    why = f"it is at revision {task.revision}: nobody can have seen that one"
                    raise Refused(f"{slug} has no revision {revision}", why, f"look again: task show {slug}")
                require_unchanged(task, changes, await tx.edits(slug, after=revision))
            return await self._edited(tx, actor, task, edited(task, changes, self._registry, self._shapes))

    async def depend(self, actor: Actor, slug: str, on: str, remove: bool = False) -> Task:
        """Say that a task ships with or after another one, or that it does not any more; circles are refused."""
        require(actor, Role.AGENT, "edit tasks")
        async with self._ports.records.transaction() as tx:
            task, other = await existing_task(tx, slug), await existing_task(tx, on)
            found = () if remove else way(other.slug, slug, await tx.needs(other.slug))
            return await self._edited(tx, actor, task, with_dependency(task, on, found, remove=remove))

    async def _edited(self, tx: Transaction, actor: Actor, task: Task, changed: Task) -> Task:
        """Store an edit, field by field, with what it was before."""
        found = edits(task, changed, actor.name, self._ports.clock.now())
        if not found:
            return task
        await tx.add_edits(found)
        await self._tell(tx, EventKind.TASK_EDITED, actor, task.slug, fields=[edit.field for edit in found])
        return await tx.update_task(task, changed)
