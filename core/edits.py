"""What people edit of a task, field by field, and what an edit may not do (spec 2.1). Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import cast

import msgspec

from core.errors import Reason, Refused
from core.registry import Registry
from core.tasks import Stage, Task, TaskType, Work, one_line, problems

_FIXED = frozenset({Stage.SUBMITTED, Stage.REVIEWED, Stage.ASSEMBLED, Stage.SHIPPED, Stage.ARCHIVED})
_LONGEST_WAY = 10
_REVIEWED_FIELDS = ("shape", "works", "post_deploy_cmd")


class TaskChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What an edit sets; None leaves a field as it is. Slug, stage, builder and release are nobody's to edit."""

    title: str | None = None
    type: TaskType | None = None
    shape: str | None = None
    works: tuple[Work, ...] | None = None
    worktree: str | None = None
    local_url: str | None = None
    qa_url: str | None = None
    production_url: str | None = None
    risk_tags: tuple[str, ...] | None = None
    acceptance_criteria: str | None = None
    test_plan: str | None = None
    agent_context: str | None = None
    post_deploy_cmd: str | None = None

    def given(self) -> dict[str, object]:
        """The fields that it sets."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """One field that somebody changed, with the texts before and after; `revision` is the one that it made."""

    task: str
    revision: int
    field: str
    old: str
    new: str
    by: str
    at: datetime


def edited(task: Task, changes: TaskChanges, registry: Registry, shapes: Collection[str]) -> Task:
    """`task` with `changes`. Refused with every problem at once; what was handed off for review stays what it was."""
    given = changes.given()
    changed = msgspec.structs.replace(task, **given)
    changed = msgspec.structs.replace(changed, title=one_line(changed.title))
    reasons = [
        Reason(
            f"{name} of {task.slug} is fixed",
            f"it is {task.stage}: what is reviewed is what ships",
            f"task block {task.slug}, then edit" if task.stage is Stage.SUBMITTED else "make another task for the rest",
        )
        for name in _REVIEWED_FIELDS
        if task.stage in _FIXED and getattr(changed, name) != getattr(task, name)
    ]
    reasons += problems(changed, registry, shapes)
    if reasons:
        raise Refused.all(reasons)
    return changed


def with_dependency(task: Task, on: str, way: Sequence[str], *, remove: bool) -> Task:
    """`task`, depending on `on` or not any more. `way`: the slugs by which `on` depends on `task` already, if it does.

    Refused for a circle, and once the task rides: the train has been put in order.
    """
    reasons: list[Reason] = []
    if way:
        seen = way if len(way) <= _LONGEST_WAY else (*way[:3], f"{len(way) - 6} more", *way[-3:])
        circle = " → ".join((task.slug, *seen))
        reasons.append(Reason(f"{task.slug} cannot depend on {on}", f"in a circle: {circle}", "leave one of them out"))
    if task.stage in (Stage.ASSEMBLED, Stage.SHIPPED, Stage.ARCHIVED):
        next_ = f"release eject {task.slug}, then again" if task.stage is Stage.ASSEMBLED else "make another task"
        reasons.append(Reason(f"what {task.slug} depends on is fixed", f"it is {task.stage}", next_))
    if remove and on not in task.depends_on:
        needs = ", ".join(task.depends_on) or "nothing"
        reasons.append(
            Reason(f"{task.slug} does not depend on {on}", f"it depends on {needs}", f"task show {task.slug}")
        )
    if reasons:
        raise Refused.all(reasons)
    if remove:
        return msgspec.structs.replace(task, depends_on=tuple(slug for slug in task.depends_on if slug != on))
    return msgspec.structs.replace(task, depends_on=tuple(dict.fromkeys((*task.depends_on, on))))


def edits(before: Task, after: Task, by: str, at: datetime) -> list[Edit]:
    """What `after` changes of the fields that people edit."""
    names = [*TaskChanges.__struct_fields__, "depends_on"]
    return [
        Edit(task=before.slug, revision=before.revision + 1, field=name, old=_text(old), new=_text(new), by=by, at=at)
        for name in names
        if (old := getattr(before, name)) != (new := getattr(after, name))
    ]


def require_unchanged(task: Task, changes: TaskChanges, since: Sequence[Edit]) -> None:
    """Refused, naming each field that somebody else changed since, with its old and its new text (L29).

    `since`: the edits after the revision from which `changes` were made.
    """
    wanted = {name: _text(value) for name, value in changes.given().items()}
    newest = {edit.field: edit for edit in since}
    oldest = {edit.field: edit for edit in reversed(since)}
    reasons = [
        Reason(
            f"{name} of {task.slug} has changed since you looked",
            f"{edit.by} made it {edit.new[:200]!r}, you saw {oldest[name].old[:200]!r}",
            f"look again: task show {task.slug}",
        )
        for name, edit in newest.items()
        if name in wanted and wanted[name] != edit.new
    ]
    if reasons:
        raise Refused.all(reasons)


def _text(value: object) -> str:
    """A field as people read it."""
    if not isinstance(value, tuple):
        return str(value)
    items = cast("tuple[object, ...]", value)
    return ", ".join(f"{one.repository}={one.branch}" if isinstance(one, Work) else str(one) for one in items)
