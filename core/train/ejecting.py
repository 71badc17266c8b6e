"""How a task is taken off a train: its own row, its timeline and the release, in the caller's transaction."""

from __future__ import annotations

from datetime import datetime

from core.board import existing_task, moved
from core.events import EventKind, event_of
from core.permissions import Actor
from core.records import Transaction
from core.releases import Release, eject
from core.tasks import Stage, TrainMove


async def take_off(tx: Transaction, release: Release, task: str, actor: Actor, at: datetime, why: str = "") -> Release:
    """Return one member to reviewed; the rest ride on (spec 3.4). `why`: blank where an operator wished it."""
    changed = eject(release, task)
    await moved(tx, await existing_task(tx, task), Stage.REVIEWED, actor, at, TrainMove.RETURN)
    await tx.update_release(release, changed)
    facts = {"task": task} | ({"why": why} if why else {})
    await tx.append_event(event_of(EventKind.TASK_EJECTED, release, actor, at, **facts))
    return changed
