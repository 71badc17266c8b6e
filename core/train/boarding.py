"""How a task gets aboard and off again: its own row, its timeline and the release, in the caller's transaction."""

from __future__ import annotations

from datetime import datetime

import msgspec

from core.board import existing_task
from core.events import Event, EventKind
from core.permissions import Actor
from core.records import Transaction
from core.releases import Release, eject
from core.tasks import Stage, TrainMove, move


async def move_by_train(
    tx: Transaction, actor: Actor, at: datetime, slug: str, to: Stage, by: TrainMove, rides: str | None
) -> None:
    """Make one of the moves that only the train makes; `rides`: the release from now on."""
    task, since = await existing_task(tx, slug), (await tx.moves(slug))[-1].at
    changed, row = move(task, to, actor, at, since, by=by)
    await tx.update_task(task, msgspec.structs.replace(changed, release=rides))
    await tx.append_move(row)


async def take_off(tx: Transaction, release: Release, task: str, actor: Actor, at: datetime, why: str = "") -> Release:
    """Return one member to reviewed; the rest ride on (spec 3.4)."""
    changed = eject(release, task)
    await move_by_train(tx, actor, at, task, Stage.REVIEWED, TrainMove.RETURN, None)
    await tx.update_release(release, changed)
    facts = {"task": task} | ({"why": why} if why else {})
    await tx.append_event(
        Event(kind=EventKind.TASK_EJECTED, release=release.slug, at=at, actor=actor.name, facts=facts)
    )
    return changed
