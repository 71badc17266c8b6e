"""Tasks in the record: their fields, what was edited, and their timeline (spec 2.1–2.3)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
from sqlalchemy import Column, ColumnElement, Text, and_, bindparam, cast, delete, exists, func, insert, select

from adapters.database.connections import Connected, changed_columns, changed_since, columns, fields, update_of
from adapters.database.tables import edits as edit_rows
from adapters.database.tables import moves, task_dependencies, task_words, task_works, tasks
from core.edits import Edit
from core.errors import Refused
from core.tasks import Move, Stage, Suggestion, Task, TaskQuery, Work
from core.words import search_words


class TaskRows(Connected):
    """The part of a transaction that is about tasks; see `core.ports.Transaction`."""

    async def task(self, slug: str) -> Task | None:
        row = (await self._run(_ONE, {"wanted": slug})).mappings().first()
        if row is None:
            return None
        works = await self._all_of(Work, task_works.c.task, slug)
        needs = (await self._run(_NEEDS, {"wanted": slug})).scalars()
        return Task(**row, works=tuple(works), depends_on=tuple(needs))

    async def tasks(self, wanted: TaskQuery) -> list[Task]:
        where = _where(wanted)
        if wanted.after:
            where.append(tasks.c.id < select(tasks.c.id).where(tasks.c.slug == wanted.after).scalar_subquery())
        return await self._tasks(where, wanted.limit)

    async def count_tasks(self, wanted: TaskQuery) -> int:
        return (await self._run(select(func.count()).select_from(tasks).where(*_where(wanted)))).scalar_one()

    async def suggest_tasks(self, typed: str, stages: Collection[Stage], limit: int) -> list[Suggestion]:
        # A cast keeps SQLite from going by the index of stages, which finds far more than the words do.
        chosen = select(tasks.c.slug, tasks.c.title, tasks.c.stage).where(cast(tasks.c.stage, Text).in_(stages))
        if not typed.strip():
            newest = await self._run(chosen.order_by(tasks.c.id.desc()).limit(limit))
            return [Suggestion(**row) for row in newest.mappings()]
        by_word = chosen.join(task_words, task_words.c.task == tasks.c.slug).order_by(
            task_words.c.word, task_words.c.task
        )
        named = [_begins(task_words.c.word, typed.strip().lower()), task_words.c.word == task_words.c.task]
        found = {row["slug"]: row for row in (await self._run(by_word.where(*named).limit(limit))).mappings()}
        longest, *others = sorted(search_words(typed), key=len, reverse=True) or [""]
        if longest and len(found) < limit:
            titled = by_word.where(_begins(task_words.c.word, longest), *map(_speaks_of, others))
            # Several words of a task may begin like this, and each is a row: ask for more than fit.
            rows = (await self._run(titled.limit(limit * 4))).mappings()
            found |= {row["slug"]: row for row in rows if row["slug"] not in found}
        return [Suggestion(**row) for row in found.values()][:limit]

    async def needs(self, task: str) -> dict[str, list[str]]:
        needed = select(bindparam("wanted", task, Text).label("slug")).cte(recursive=True)
        needed = needed.union(select(_NEED.depends_on).where(_NEED.task == needed.c.slug))
        rows = await self._read_lists(_NEED.task, select(needed.c.slug))
        return {slug: [row["depends_on"] for row in needs] for slug, needs in rows.items()}

    async def insert_task(self, task: Task) -> None:
        if await self.task(task.slug):
            raise Refused(f"{task.slug} is taken", "a slug names one task for ever", "give another slug")
        await self._require_known(task.depends_on)
        await self._insert(tasks, task)
        await self._write_works(task)
        await self._write_dependencies(task)
        await self._write_words(task)

    async def update_task(self, before: Task, after: Task) -> Task:
        after = msgspec.structs.replace(after, revision=before.revision + 1)
        await self._require_known(after.depends_on)
        unchanged = {"slug_": before.slug, "revision_": before.revision}
        changed = changed_columns(tasks, before, after)
        if not (await self._run(update_of(tasks, "slug", "revision"), {**changed, **unchanged})).rowcount:
            raise changed_since(before.slug, f"task show {before.slug}")
        if after.works != before.works:
            await self._write_works(after)
        if after.depends_on != before.depends_on:
            await self._write_dependencies(after)
        if after.title != before.title:
            await self._write_words(after)
        return after

    async def add_edits(self, edits: Sequence[Edit]) -> None:
        await self._run(insert(edit_rows), [columns(edit_rows, edit) for edit in edits])

    async def edits(self, task: str, *, after: int = 0) -> list[Edit]:
        wanted = select(*fields(edit_rows, Edit)).where(edit_rows.c.task == task, edit_rows.c.revision > after)
        return [Edit(**row) for row in (await self._run(wanted.order_by(edit_rows.c.id))).mappings()]

    async def append_move(self, move: Move) -> None:
        if not (await self._run(_APPEND, columns(moves, move))).rowcount:
            last = (await self._run(_LAST, {"task": move.task})).scalar_one_or_none()
            raise Refused(
                f"{move.task} did not leave {move.origin or 'nothing'}",
                f"its timeline ends at {last or 'nothing'}",
                f"look at it again: task show {move.task}",
            )

    async def moves(self, task: str) -> list[Move]:
        return await self._all_of(Move, moves.c.task, task)

    async def _tasks(self, where: Sequence[ColumnElement[bool]], limit: int | None) -> list[Task]:
        """The chosen tasks, newest first, in three statements however many they are."""
        chosen = select(tasks.c.slug).where(*where).order_by(tasks.c.id.desc()).limit(limit)
        rows = (await self._run(chosen.with_only_columns(*fields(tasks, Task)))).mappings().all()
        # The names of a page are fewer than it takes to find them again; those of a whole board do not fit.
        of = chosen if limit is None else [row["slug"] for row in rows]
        works = await self._read_lists(task_works.c.task, of)
        needs = await self._read_lists(_NEED.task, of)
        return [
            Task(
                **row,
                works=tuple(Work(work["repository"], work["branch"]) for work in works.get(row["slug"], ())),
                depends_on=tuple(need["depends_on"] for need in needs.get(row["slug"], ())),
            )
            for row in rows
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
        await self._write_list(_NEED.task, task.slug, [{"depends_on": slug} for slug in task.depends_on])

    async def _write_words(self, task: Task) -> None:
        await self._run(delete(task_words).where(task_words.c.task == task.slug))
        words = {task.slug, *search_words(f"{task.slug} {task.title}")}
        await self._run(insert(task_words), [{"task": task.slug, "word": word} for word in sorted(words)])


# What is asked for all the time, made once: making a statement and its cache key costs more than running it.
_WANTED = bindparam("wanted", type_=Text)
_ONE = select(*fields(tasks, Task)).where(tasks.c.slug == _WANTED)
_NEED = task_dependencies.c
_NEEDS = select(_NEED.depends_on).where(_NEED.task == _WANTED).order_by(_NEED.position)
_LAST = select(moves.c.to).where(moves.c.task == bindparam("task", type_=Text)).order_by(moves.c.id.desc()).limit(1)
_MOVE = {column.name: bindparam(column.name, type_=column.type) for column in fields(moves, Move)}
_GOES_ON = select(*_MOVE.values()).where(_LAST.scalar_subquery().is_not_distinct_from(_MOVE["origin"]))
_APPEND = insert(moves).inline().from_select(list(_MOVE), _GOES_ON).execution_options(preserve_rowcount=True)


def _where(wanted: TaskQuery) -> list[ColumnElement[bool]]:
    """What a task must be like to be one of those that are asked for."""
    same = {tasks.c.stage: wanted.stage, tasks.c.builder: wanted.builder, tasks.c.release: wanted.release}
    where: list[ColumnElement[bool]] = [column == value for column, value in same.items() if value is not None]
    chosen = [select(task_words.c.task).where(_begins(task_words.c.word, word)) for word in search_words(wanted.text)]
    if wanted.repository is not None:
        chosen.append(select(task_works.c.task).where(task_works.c.repository == wanted.repository))
    return [*where, *map(tasks.c.slug.in_, chosen)]


def _speaks_of(word: str) -> ColumnElement[bool]:
    """Slug and title have `word`, or begin one of theirs with it."""
    also = task_words.alias()
    return exists().where(also.c.task == tasks.c.slug, _begins(also.c.word, word))


def _begins(column: Column[str], text: str) -> ColumnElement[bool]:
    """A range of the index, which no LIKE is on both databases."""
    return and_(column >= text, column <= text + "\U0010ffff")
