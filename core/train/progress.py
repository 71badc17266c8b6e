"""How far a run is: plan and journal side by side, as status message, report and command line need it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from core.errors import Reason
from core.journal import Entry, EntryState, Run, RunKind, RunState
from core.observations import Facts
from core.registry import Place
from core.train.plan import Plan
from core.train.steps import Advance, AnyStep, Deploy, Publish
from core.words import short


class StepState(StrEnum):
    """Where a step is, in the words that people read."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    ALREADY = "already so"
    WARNED = "warning"
    FAILED = "failed"
    UNKNOWN = "cannot tell"


OVER = (StepState.DONE, StepState.ALREADY, StepState.WARNED)
"""Nothing more is asked of a step in one of these."""


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
    """A run as it stands. `live`: what production has already, or QA in a prepare, in order, in words (spec 6.8).

    `is_resting`: the hub is new and a satellite is not, which is an accepted resting state.
    """

    release: str
    kind: RunKind = RunKind.SHIP
    state: RunState
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

    @property
    def ejected(self) -> list[str]:
        """Who was left behind by a prepare, and why."""
        steps = self.of(StepState.DONE, StepState.ALREADY)
        return [step.title.removeprefix("eject ") for step in steps if step.id.startswith("eject:")]


_STATES = {
    EntryState.STARTED: StepState.RUNNING,
    EntryState.DONE: StepState.DONE,
    EntryState.WARNED: StepState.WARNED,
    EntryState.FAILED: StepState.FAILED,
    EntryState.UNKNOWN: StepState.UNKNOWN,
}


def progress(run: Run, plan: Plan, entries: Mapping[str, Entry]) -> Progress:
    """The run's progress; what an earlier attempt did and this one has not looked at yet counts as it was left."""
    steps = tuple(
        _status(step, phase.name, step.entry_in(entries), run)
        for phase in plan.phases
        for lane in phase.lanes
        for step in lane.steps
    )
    deploys = [step for step in plan.steps if isinstance(step, Deploy) and step.place is Place.PRODUCTION]
    live_apps = [step.app for step in deploys if _live(step, step.entry_in(entries))]
    live = tuple(words for step in plan.steps if (words := _live(step, step.entry_in(entries))))
    return Progress(
        release=run.release,
        kind=run.kind,
        state=run.state,
        attempt=run.attempt,
        confirmed_by=run.confirmed_by,
        confirmed_at=run.confirmed_at,
        ended_at=run.ended_at,
        steps=steps,
        live=live,
        is_resting=any(app.hub for app in live_apps) and not all(step.app in live_apps for step in deploys),
        reasons=run.reasons,
    )


def _status(step: AnyStep, phase: str, entry: Entry | None, run: Run) -> StepStatus:
    if entry is None or (entry.attempt != run.attempt and entry.state is EntryState.FAILED):
        return StepStatus(id=step.id, title=step.title, phase=phase, state=StepState.WAITING)
    state = _STATES[entry.state]
    if state is StepState.RUNNING and run.state is not RunState.RUNNING:
        # A cancel cuts off only what changed nothing.
        state = StepState.WAITING if run.state is RunState.CANCELLED else StepState.UNKNOWN
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
    """What a finished step put into production, or on QA, in words."""
    if entry is None or entry.state is not EntryState.DONE:
        return ""
    sha = str(entry.facts.get("sha", ""))[:7]
    match step:
        case Publish():
            return f"{step.package.name} {step.version}"
        case Deploy():
            return f"{step.app.name} {sha}" + ("" if entry.facts.get("verified") else " (not verified)")
        case Advance():
            since = f", and {short(str(main))} was built on it since" if (main := entry.facts.get("main")) else ""
            return f"{step.repository.main_branch} of {step.repository.name} {sha}{since}"
        case _:
            return ""
