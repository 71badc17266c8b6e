"""The durable side of the train: its runs, their journal, gate evidence, seals and the lease holder. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from core.errors import Reason
from core.observations import Facts
from core.registry import Argv, Sha


class RunKind(StrEnum):
    """What a run is for: bringing the train to QA and freezing it, or bringing it to production."""

    PREPARE = "prepare"
    SHIP = "ship"


class RunState(StrEnum):
    """RUNNING runs without a living owner are taken over; STOPPED and ASKING wait for an operator."""

    RUNNING = "running"
    STOPPED = "stopped"
    ASKING = "asking"
    CANCELLED = "cancelled"
    FINISHED = "finished"


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A plan that was let go (JSON of `core.train.plan.Plan`) and how far it is. `attempt` grows with every resume.

    `configuration`: what else was confirmed, see `core.train.confirmed`. `origin`: where the confirmation was given: a
    face, or the message that was pressed (`discord:CHANNEL:MESSAGE`).
    """

    release: str
    kind: RunKind = RunKind.SHIP
    plan: bytes
    plan_digest: str
    digest: str
    state: RunState
    attempt: int
    confirmed_by: str
    confirmed_at: datetime
    mention: str = ""
    origin: str = ""
    configuration: Mapping[str, str] = {}
    reasons: tuple[Reason, ...] = ()
    ended_at: datetime | None = None
    id: int = 0


class EntryState(StrEnum):
    """STARTED without an end is what a crash leaves behind."""

    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    WARNED = "warned"
    UNKNOWN = "unknown"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """The journal row of one step of one release; `key` names the step and its whole content.

    `adopted`: the world was already so. `log`: path of the step's log on the machine that ran it.
    """

    release: str
    key: str
    step: str
    state: EntryState
    attempt: int
    started_at: datetime
    ended_at: datetime | None = None
    adopted: bool = False
    facts: Facts = {}
    reasons: tuple[Reason, ...] = ()
    log: str = ""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """A gate's verdict, made by the machine that ran it, bound to a commit and a command (L53)."""

    repository: str
    commit: Sha
    argv: Argv
    green: bool
    at: datetime


class SealStatus(StrEnum):
    """GREEN and RED are verdicts; UNSEALED means that no verdict could be had."""

    GREEN = "green"
    RED = "red"
    UNSEALED = "unsealed"


class PageCheck(msgspec.Struct, frozen=True):
    """One look: what was asked, whether it was as wished, and what came back."""

    name: str
    ok: bool
    detail: str


class SealRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The seal of one app (spec 8.3)."""

    app: str
    status: SealStatus
    summary: str
    checked_at: datetime
    checks: tuple[PageCheck, ...] = ()
    release: str = ""
    rollback: tuple[str, ...] = ()


class LeaseHolder(msgspec.Struct, frozen=True):
    """Who runs the train now, in words, and since when."""

    holder: str
    since: datetime
