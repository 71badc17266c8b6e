"""What can have happened on a train or on the board: appended by those who do it, read by those who tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from core.observations import Value
from core.permissions import Actor
from core.releases import Release


class EventKind(StrEnum):
    """The kinds; a projector that meets one it does not know ignores it."""

    RELEASE_OPENED = "release opened"
    TASK_ATTACHED = "task attached"
    TASK_EJECTED = "task ejected"
    RELEASE_FROZEN = "release frozen"
    RELEASE_ABANDONED = "release abandoned"
    RUN_CONFIRMED = "run confirmed"
    RUN_RESUMED = "run resumed"
    STEP_STARTED = "step started"
    STEP_DONE = "step done"
    STEP_ADOPTED = "step adopted"
    STEP_WARNED = "step warned"
    STEP_FAILED = "step failed"
    STEP_UNKNOWN = "step unknown"
    RUN_STOPPED = "run stopped"
    RUN_CANCELLED = "run cancelled"
    RUN_FINISHED = "run finished"
    TASK_CREATED = "task created"
    TASK_MOVED = "task moved"
    TASK_EDITED = "task edited"
    TASK_REMARKED = "task remarked"
    TASK_REVIEWED = "task reviewed"
    TASK_SIZED = "task sized"
    PERSON_LINKED = "person linked"
    PERSON_UNLINKED = "person unlinked"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One row: `id` grows with time (0 until stored); `facts` are small and hold no secret.

    What happens on the board names its `task`, and no release: whoever tells of trains leaves it out.
    """

    kind: EventKind
    release: str = ""
    task: str = ""
    at: datetime
    actor: str
    actor_id: str = ""
    step: str = ""
    facts: Mapping[str, Value | list[str]] = {}
    id: int = 0


def event_of(kind: EventKind, release: Release, actor: Actor, at: datetime, /, **facts: Value) -> Event:
    """What `actor` did to `release`, to be appended."""
    return Event(kind=kind, release=release.slug, at=at, actor=actor.name, actor_id=actor.id, facts=facts)
