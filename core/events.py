"""What can have happened on a train. Appended by the use cases and the engine; read by whoever tells people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from core.observations import Value


class EventKind(StrEnum):
    """The kinds; a projector that meets one it does not know ignores it."""

    RELEASE_OPENED = "release opened"
    TASK_ATTACHED = "task attached"
    TASK_EJECTED = "task ejected"
    RELEASE_FROZEN = "release frozen"
    RELEASE_ABANDONED = "release abandoned"
    SHIP_CONFIRMED = "ship confirmed"
    SHIP_RESUMED = "ship resumed"
    STEP_STARTED = "step started"
    STEP_DONE = "step done"
    STEP_ADOPTED = "step adopted"
    STEP_WARNED = "step warned"
    STEP_FAILED = "step failed"
    STEP_UNKNOWN = "step unknown"
    SEALED = "sealed"
    SHIP_STOPPED = "ship stopped"
    SHIP_CANCELLED = "ship cancelled"
    SHIP_FINISHED = "ship finished"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One row: `id` grows with time (0 until stored); `facts` are small and hold no secret."""

    kind: EventKind
    release: str
    at: datetime
    actor: str
    step: str = ""
    facts: Mapping[str, Value | list[str]] = {}
    id: int = 0
