"""How far a ship is: plan and journal side by side, as status message, report and command line need it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from core.errors import Reason
from core.journal import Entry, EntryState, Ship, ShipState
from core.observations import Facts
from core.train.plan import Plan
from core.train.steps import Advance, AnyStep, Deploy, Publish


class StepState(StrEnum):
    """Where a step is, in the words that people read."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    ALREADY = "already so"
    WARNED = "warning"
    FAILED = "failed"
    UNKNOWN = "cannot tell"


class StepStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the plan beside its journal entry; `log` is a path on the machine that ran it."""

    id: str
    title: str
    phase: str
    state: StepState
    seconds: float | None = None
    started_at: datetime | None = None
    facts: Facts = {}
    reasons: tuple[Reason, ...] = ()
    log: str = ""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A ship as it stands. `live`: what production has already, in order, in words (spec 6.8).

    `is_resting`: the hub is new and a satellite is not, which is an accepted resting state.
    """

    release: str
    state: ShipState
    attempt: int
    confirmed_by: str
    confirmed_at: datetime
    ended_at: datetime | None
    steps: tuple[StepStatus, ...]
    live: tuple[str, ...]
    is_resting: bool
    reasons: tuple[Reason, ...]

    def of(self, *states: StepState) -> tuple[StepStatus, ...]:
        """The steps in any of `states`, in the plan's order."""
        return tuple(step for step in self.steps if step.state in states)


_STATES = {
    EntryState.STARTED: StepState.RUNNING,
    EntryState.DONE: StepState.DONE,
    EntryState.WARNED: StepState.WARNED,
    EntryState.FAILED: StepState.FAILED,
    EntryState.UNKNOWN: StepState.UNKNOWN,
}


def progress(ship: Ship, plan: Plan, entries: Mapping[str, Entry]) -> Progress:
    """The ship's progress; what an earlier attempt did and this one has not looked at yet counts as it was left."""
    steps = tuple(
        _status(step, phase.name, entries.get(step.key), ship)
        for phase in plan.phases
        for lane in phase.lanes
        for step in lane.steps
    )
    deploys = [step for step in plan.steps if isinstance(step, Deploy)]
    live_apps = [step.app for step in deploys if _live(step, entries.get(step.key))]
    live = tuple(words for step in plan.steps if (words := _live(step, entries.get(step.key))))
    return Progress(
        release=ship.release,
        state=ship.state,
        attempt=ship.attempt,
        confirmed_by=ship.confirmed_by,
        confirmed_at=ship.confirmed_at,
        ended_at=ship.ended_at,
        steps=steps,
        live=live,
        is_resting=any(app.hub for app in live_apps) and not all(step.app in live_apps for step in deploys),
        reasons=ship.reasons,
    )


def _status(step: AnyStep, phase: str, entry: Entry | None, ship: Ship) -> StepStatus:
    if entry is None or (entry.attempt != ship.attempt and entry.state is EntryState.FAILED):
        return StepStatus(id=step.id, title=step.title, phase=phase, state=StepState.WAITING)
    state = _STATES[entry.state]
    if state is StepState.RUNNING and ship.state is not ShipState.RUNNING:
        # A cancel cuts off only what changed nothing.
        state = StepState.WAITING if ship.state is ShipState.CANCELLED else StepState.UNKNOWN
    if state is StepState.DONE and entry.adopted:
        state = StepState.ALREADY
    return StepStatus(
        id=step.id,
        title=step.title,
        phase=phase,
        state=state,
        seconds=(entry.ended_at - entry.started_at).total_seconds() if entry.ended_at else None,
        started_at=entry.started_at,
        facts=entry.facts,
        reasons=entry.reasons,
        log=entry.log,
    )


def _live(step: AnyStep, entry: Entry | None) -> str:
    """What a finished step put into production, in words."""
    if entry is None or entry.state is not EntryState.DONE:
        return ""
    sha = str(entry.facts.get("sha", ""))[:7]
    match step:
        case Publish():
            return f"{step.package.name} {step.version}"
        case Deploy():
            return f"{step.app.name} {sha}" + ("" if entry.facts.get("verified") else " (not verified)")
        case Advance():
            return f"{step.repository.main_branch} of {step.repository.name} {sha}"
        case _:
            return ""
