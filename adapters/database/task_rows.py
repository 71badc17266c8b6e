"""Tasks in the record: their fields, timeline and checks run (spec 2.1–2.3, 7.3)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, func, insert, select, update

from adapters.database.connections import Connected, changed_columns, fields
from adapters.database.tables import checks, moves, task_dependencies, task_works, tasks
from core.errors import Refused
from core.registry import Sha
from core.tasks import Move, Stage, Task, Work


class TaskRows(Connected):
    """The part of a transaction that is about tasks; see `core.ports.Transaction`."""

    async def task(self, slug: str) -> Task | None:
        return next(iter(await self._tasks([tasks.c.slug == slug], None)), None)

    async def tasks(self, *, stage: Stage | None = None, limit: int | None = None) -> list[Task]:
        return await self._tasks(_in_stage(stage), limit)

    async def count_tasks(self, *, stage: Stage | None = None) -> int:
        return (await self._run(select(func.count()).select_from(tasks).where(*_in_stage(stage)))).scalar_one()

    async def insert_task(self, task: Task) -> None:
        if await self.task(task.slug):
            raise Refused(f"{task.slug} is taken", "a slug names one task for ever", "give another slug")
        await self._require_known(task.depends_on)
        await self._insert(tasks, task)
        await self._write_works(task)
        await self._write_dependencies(task)

    async def update_task(self, before: Task, after: Task) -> None:
        await self._require_known(after.depends_on)
        if values := changed_columns(tasks, before, after):
            await self._run(update(tasks).where(tasks.c.slug == before.slug).values(**values))
        if after.works != before.works:
            await self._write_works(after)
        if after.depends_on != before.depends_on:
            await self._write_dependencies(after)

    async def append_move(self, move: Move) -> None:
        newest = select(moves.c.to).where(moves.c.task == move.task).order_by(moves.c.id.desc()).limit(1)
        last = (await self._run(newest)).scalar_one_or_none()
        if last != move.origin:
            raise Refused(
                f"{move.task} did not leave {move.origin or 'nothing'}",
                f"its timeline ends at {last or 'nothing'}",
                f"look at it again: task show {move.task}",
            )
        await self._insert(moves, move)

    async def moves(self, task: str) -> list[Move]:
        rows = await self._run(select(*fields(moves, Move)).where(moves.c.task == task).order_by(moves.c.id))
        return [Move(**row) for row in rows.mappings()]

    async def add_check(self, task: str, text: str, *, commit: Sha | None, at: datetime, by: str) -> None:
        await self._run(insert(checks).values(task=task, text=text, commit=commit, at=at, by=by))

    async def checks(self, task: str) -> list[str]:
        wanted = select(checks.c.text).where(checks.c.task == task).order_by(checks.c.id)
        return list((await self._run(wanted)).scalars())

    async def _tasks(self, where: Sequence[ColumnElement[bool]], limit: int | None) -> list[Task]:
        """The chosen tasks, newest first, in three statements however many they are."""
        chosen = select(tasks.c.slug).where(*where).order_by(tasks.c.id.desc()).limit(limit)
        works = await self._read_lists(task_works.c.task, chosen)
        needs = await self._read_lists(task_dependencies.c.task, chosen)
        rows = await self._run(chosen.with_only_columns(*fields(tasks, Task)))
        return [
            Task(
                **row,
                works=tuple(Work(work["repository"], work["branch"]) for work in works.get(row["slug"], ())),
                depends_on=tuple(need["depends_on"] for need in needs.get(row["slug"], ())),
            )
            for row in rows.mappings()
        ]

    async def _require_known(self, slugs: Sequence[str]) -> None:
        """Refused, naming them, when tasks that another one waits for are not on the board."""
        if not slugs:
            return
        known = set((await self._run(select(tasks.c.slug).where(tasks.c.slug.in_(slugs)))).scalars())
        if unknown := [slug for slug in slugs if slug not in known]:
            raise Refused(f"no task {', '.join(unknown)}", "a task depends on tasks of the board", "create it first")

    async def _write_works(self, task: Task) -> None:
        await self._write_list(task_works.c.task, task.slug, [msgspec.structs.asdict(work) for work in task.works])

    async def _write_dependencies(self, task: Task) -> None:
        await self._write_list(task_dependencies.c.task, task.slug, [{"depends_on": slug} for slug in task.depends_on])


def _in_stage(stage: Stage | None) -> list[ColumnElement[bool]]:
    return [] if stage is None else [tasks.c.stage == stage]
