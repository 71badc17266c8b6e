"""A run's logbook: what it has done so far, and the only writer of its journal.

Every write goes through the lease, so a process that lost the train changes nothing any more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from core.errors import LeaseLost, NeedsOperator, Reason, Refused, StepFailed, Trouble
from core.events import Event, EventKind
from core.journal import Entry, EntryState, Run, RunState
from core.observations import Facts, Value
from core.permissions import ENGINE
from core.ports import Ports
from core.records import Lease
from core.train.confirmed import differences
from core.train.steps import AnyStep


class Cancelled(Trouble):
    """An operator cancelled the run before its point of no return."""


class Logbook:
    """What this run has done so far, and the only writer of it."""

    def __init__(self, run: Run, entries: Mapping[str, Entry], ports: Ports, lease: Lease) -> None:
        self._run, self._entries, self._ports, self._lease = run, dict(entries), ports, lease
        self.results: dict[str, Facts] = {}

    @classmethod
    async def read(cls, run: Run, ports: Ports, lease: Lease) -> Logbook:
        """The journal of the run's release, as it was left."""
        async with ports.records.reading() as tx:
            return cls(run, await tx.entries(run.release), ports, lease)

    def entry(self, step: AnyStep) -> Entry | None:
        """What is known of `step`, from this attempt or an earlier one."""
        return step.entry_in(self._entries)

    def is_settled(self, step: AnyStep) -> bool:
        """Done in this very attempt: not even looked at again. A resume is a new attempt and looks at everything."""
        entry = self.entry(step)
        done = entry and entry.state in (EntryState.DONE, EntryState.WARNED) and entry.attempt == self._run.attempt
        if entry and done:
            self.results[step.id] = entry.facts
        return bool(done)

    def is_under_way(self, step: AnyStep) -> bool:
        """Started in this attempt, and not ended."""
        entry = self.entry(step)
        return bool(entry and entry.state is EntryState.STARTED and entry.attempt == self._run.attempt)

    def troubles(self) -> list[Trouble]:
        """What this very attempt had come to when its process died: it stops there, as it was about to."""
        mine = [entry for entry in self._entries.values() if entry.attempt == self._run.attempt]
        failed = [StepFailed.all(entry.reasons) for entry in mine if entry.state is EntryState.FAILED]
        unknown = [NeedsOperator.all(entry.reasons) for entry in mine if entry.state is EntryState.UNKNOWN]
        return [*failed, *unknown]

    def require_confirmed(self) -> None:
        """Refused where this process would act by another configuration, or is another program, than was confirmed."""
        again = f"release {self._run.kind} {self._run.release}"
        if found := differences(self._run.configuration, self._ports.configuration, again):
            raise Refused.all(found)

    def log_of(self, step: AnyStep) -> Path:
        """Where the output of this attempt at `step` goes."""
        name = re.sub(r"[^\w.-]+", "-", step.id)
        return self._ports.scratch / "logs" / self._run.release / f"{self._run.attempt}-{name}.log"

    async def started(self, step: AnyStep) -> None:
        """Durable before the act; Cancelled when an operator was faster."""
        await self._write(step, EntryState.STARTED, EventKind.STEP_STARTED)

    async def done(self, step: AnyStep, facts: Facts, *, adopted: bool) -> None:
        """The step's result, and its event, in one transaction."""
        self.results[step.id] = facts
        kind = EventKind.STEP_ADOPTED if adopted else EventKind.STEP_DONE
        await self._write(step, EntryState.DONE, kind, facts=facts, adopted=adopted)

    async def failed(self, step: AnyStep, trouble: Trouble) -> None:
        """What went wrong, and how sure we are."""
        if step.soft:
            state, kind = EntryState.WARNED, EventKind.STEP_WARNED
        elif isinstance(trouble, NeedsOperator):
            state, kind = EntryState.UNKNOWN, EventKind.STEP_UNKNOWN
        else:
            state, kind = EntryState.FAILED, EventKind.STEP_FAILED
        before = self.entry(step)
        # What failed at its look was done before, maybe: that stays known (L20).
        kept = before.facts if before and before.state is not EntryState.STARTED else None
        await self._write(step, state, kind, facts=kept, reasons=trouble.reasons)

    async def stop(self, troubles: list[Trouble]) -> Run:
        """Leave the run stopped, asking, or as the cancel left it; whoever lost the lease leaves it alone."""
        if lost := next((trouble for trouble in troubles if isinstance(trouble, LeaseLost)), None):
            raise lost
        if any(isinstance(trouble, Cancelled) for trouble in troubles):
            async with self._ports.records.reading() as tx:
                return await tx.run(self._run.id) or self._run
        asking = any(isinstance(trouble, NeedsOperator) for trouble in troubles)
        reasons = tuple(reason for trouble in troubles for reason in trouble.reasons)
        return await self._end(RunState.ASKING if asking else RunState.STOPPED, EventKind.RUN_STOPPED, reasons)

    async def finish(self) -> Run:
        return await self._end(RunState.FINISHED, EventKind.RUN_FINISHED, ())

    async def _end(self, state: RunState, kind: EventKind, reasons: tuple[Reason, ...]) -> Run:
        now = self._ports.clock.now()
        reasons = tuple(_masked(reason, self._ports) for reason in reasons)
        ended = msgspec.structs.replace(self._run, state=state, reasons=reasons, ended_at=now)
        async with self._lease.transaction() as tx:
            await tx.update_run(self._run, ended)
            facts = {"run": ended.id, "kind": str(ended.kind), "state": str(state), "attempt": ended.attempt}
            await tx.append_event(
                Event(kind=kind, release=ended.release, at=now, actor=ENGINE.name, actor_id=ENGINE.id, facts=facts)
            )
        return ended

    async def _write(
        self,
        step: AnyStep,
        state: EntryState,
        kind: EventKind,
        *,
        facts: Facts | None = None,
        adopted: bool = False,
        reasons: tuple[Reason, ...] = (),
    ) -> None:
        now, before = self._ports.clock.now(), self.entry(step)
        entry = Entry(
            release=self._run.release,
            key=step.key,
            step=step.id,
            state=state,
            attempt=self._run.attempt,
            started_at=_start_of(before, state, self._run.attempt, now),
            ended_at=None if state is EntryState.STARTED else now,
            adopted=adopted,
            facts={**step.subject(self.results), **(facts or {})},
            reasons=tuple(_masked(reason, self._ports) for reason in reasons),
            log=self._log(step, state, before),
        )
        told: dict[str, Value | list[str]] = {
            "title": step.title,
            "attempt": entry.attempt,
            "log": entry.log,
            **entry.facts,
        }
        if entry.reasons:
            told["reasons"] = [str(reason) for reason in entry.reasons]
        if entry.ended_at:
            told["seconds"] = (entry.ended_at - entry.started_at).total_seconds()
        async with self._lease.transaction() as tx:
            if state is EntryState.STARTED:  # asked here, so that a cancel and an act exclude each other
                run = await tx.run(self._run.id)
                if run is None or run.state is not RunState.RUNNING:
                    raise Cancelled(f"{self._run.release} was cancelled")
            await tx.put_entry(entry)
            await tx.append_event(
                Event(
                    kind=kind,
                    release=entry.release,
                    at=now,
                    actor=ENGINE.name,
                    actor_id=ENGINE.id,
                    step=step.id,
                    facts=told,
                )
            )
        self._entries[step.key] = entry

    def _log(self, step: AnyStep, state: EntryState, before: Entry | None) -> str:
        """Where people find the output: of this attempt, else of an earlier one; blank when there is none to find."""
        log = self.log_of(step)
        if state is EntryState.STARTED or log.exists():
            return str(log)
        return before.log if before and before.attempt != self._run.attempt else ""


def _start_of(before: Entry | None, state: EntryState, attempt: int, now: datetime) -> datetime:
    """A step keeps its start through a crash; a new attempt starts anew."""
    same = before and state is not EntryState.STARTED and before.attempt == attempt
    return before.started_at if before and same else now


def _masked(reason: Reason, ports: Ports) -> Reason:
    mask = ports.credentials.mask
    return Reason(mask(reason.what), mask(reason.why), mask(reason.next))
