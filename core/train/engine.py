"""The loop: look, act, look again, write it down. Safe to call again after any crash (spec 6.8, 6.9).

Every write goes through the lease, so a process that lost the train changes nothing any more.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from core.errors import LeaseLost, NeedsOperator, Reason, Refused, StepFailed, Trouble, Unreachable
from core.events import Event, EventKind
from core.journal import Entry, EntryState, Ship, ShipState
from core.observations import Already, Blind, CannotTell, Facts, NotYet, Observation, Value
from core.permissions import ENGINE
from core.ports import Ports
from core.records import Lease
from core.train.plan import Lane, Phase, decoded
from core.train.steps import AnyStep

_CANCEL_LOOK_SECONDS = 0.5
T = TypeVar("T")


async def run(ship: Ship, ports: Ports, lease: Lease) -> Ship:
    """Drive `ship` until it is finished, stopped, asking or cancelled; returns it as it was left."""
    journal = await Journal.read(ship, ports, lease)
    troubles = journal.troubles() or await _run_phases(ship, journal, ports, lease)
    return await (journal.stop(troubles) if troubles else journal.finish())


class Cancelled(Trouble):
    """An operator cancelled the ship before its point of no return."""


class BrokeOff(StepFailed):
    """Something that nobody foresaw; what happened in the world decides."""


async def _run_phases(ship: Ship, journal: Journal, ports: Ports, lease: Lease) -> list[Trouble]:
    """Run phase after phase, up to the first trouble."""
    troubles: list[Trouble] = []
    try:
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(_until_cancelled(ship, ports), name=f"watch {ship.release}")
            for phase in decoded(ship.plan).phases:
                if troubles := await _run_phase(phase, journal, ports, lease):
                    break
            watch.cancel()
    except* Cancelled as group_of_one:
        troubles = [Cancelled(str(group_of_one))]
    return troubles


async def _until_cancelled(ship: Ship, ports: Ports) -> None:
    """Raise Cancelled soon after the record says so: a long gate does not have to end first."""
    while True:
        await asyncio.sleep(_CANCEL_LOOK_SECONDS)
        now = None
        with suppress(Trouble):  # a record that cannot be read now cuts off no deploy (L31)
            async with ports.records.reading() as tx:
                now = await tx.ship(ship.id)
        if now and now.state is ShipState.CANCELLED:
            raise Cancelled(f"{ship.release} was cancelled")


class Journal:
    """What this ship has done so far, and the only writer of it."""

    def __init__(self, ship: Ship, entries: Mapping[str, Entry], ports: Ports, lease: Lease) -> None:
        self._ship, self._entries, self._ports, self._lease = ship, dict(entries), ports, lease
        self.results: dict[str, Facts] = {}

    @classmethod
    async def read(cls, ship: Ship, ports: Ports, lease: Lease) -> Journal:
        """The journal of the ship's release, as it was left."""
        async with ports.records.reading() as tx:
            return cls(ship, await tx.entries(ship.release), ports, lease)

    def entry(self, step: AnyStep) -> Entry | None:
        """What is known of `step`, from this attempt or an earlier one."""
        return self._entries.get(step.key)

    def is_settled(self, step: AnyStep) -> bool:
        """Done in this very attempt: not even looked at again. A resume is a new attempt and looks at everything."""
        entry = self.entry(step)
        done = entry and entry.state in (EntryState.DONE, EntryState.WARNED) and entry.attempt == self._ship.attempt
        if entry and done:
            self.results[step.id] = entry.facts
        return bool(done)

    def troubles(self) -> list[Trouble]:
        """What this very attempt had come to when its process died: it stops there, as it was about to."""
        mine = [entry for entry in self._entries.values() if entry.attempt == self._ship.attempt]
        failed = [StepFailed.all(entry.reasons) for entry in mine if entry.state is EntryState.FAILED]
        unknown = [NeedsOperator.all(entry.reasons) for entry in mine if entry.state is EntryState.UNKNOWN]
        return [*failed, *unknown]

    def log_of(self, step: AnyStep) -> Path:
        """Where the output of this attempt at `step` goes."""
        name = re.sub(r"[^\w.-]+", "-", step.id)
        return self._ports.scratch / "logs" / self._ship.release / f"{self._ship.attempt}-{name}.log"

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
        await self._write(step, state, kind, reasons=trouble.reasons)

    async def stop(self, troubles: list[Trouble]) -> Ship:
        """Leave the ship stopped, asking, or as the cancel left it; whoever lost the lease leaves it alone."""
        if lost := next((trouble for trouble in troubles if isinstance(trouble, LeaseLost)), None):
            raise lost
        if any(isinstance(trouble, Cancelled) for trouble in troubles):
            async with self._ports.records.reading() as tx:
                return await tx.ship(self._ship.id) or self._ship
        asking = any(isinstance(trouble, NeedsOperator) for trouble in troubles)
        reasons = tuple(reason for trouble in troubles for reason in trouble.reasons)
        return await self._end(ShipState.ASKING if asking else ShipState.STOPPED, EventKind.SHIP_STOPPED, reasons)

    async def finish(self) -> Ship:
        """Everything is done and recorded."""
        return await self._end(ShipState.FINISHED, EventKind.SHIP_FINISHED, ())

    async def _end(self, state: ShipState, kind: EventKind, reasons: tuple[Reason, ...]) -> Ship:
        now = self._ports.clock.now()
        reasons = tuple(_masked(reason, self._ports) for reason in reasons)
        ended = msgspec.structs.replace(self._ship, state=state, reasons=reasons, ended_at=now)
        async with self._lease.transaction() as tx:
            await tx.update_ship(self._ship, ended)
            facts = {"ship": ended.id, "state": str(state), "attempt": ended.attempt}
            await tx.append_event(Event(kind=kind, release=ended.release, at=now, actor=ENGINE.name, facts=facts))
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
            release=self._ship.release,
            key=step.key,
            step=step.id,
            state=state,
            attempt=self._ship.attempt,
            started_at=_start_of(before, state, self._ship.attempt, now),
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
            if state is EntryState.STARTED:
                ship = await tx.ship(self._ship.id)
                if ship is None or ship.state is not ShipState.RUNNING:
                    raise Cancelled(f"{self._ship.release} was cancelled")
            await tx.put_entry(entry)
            await tx.append_event(
                Event(kind=kind, release=entry.release, at=now, actor=ENGINE.name, step=step.id, facts=told)
            )
        self._entries[step.key] = entry

    def _log(self, step: AnyStep, state: EntryState, before: Entry | None) -> str:
        """Where people find the output: of this attempt, else of an earlier one; blank when there is none to find."""
        log = self.log_of(step)
        if state is EntryState.STARTED or log.exists():
            return str(log)
        return before.log if before and before.attempt != self._ship.attempt else ""


async def _run_phase(phase: Phase, journal: Journal, ports: Ports, lease: Lease) -> list[Trouble]:
    """Run the lanes side by side; at the first trouble start nothing more, and let what is running finish."""
    troubles: list[Trouble] = []
    slots = asyncio.Semaphore(ports.satellites_at_once if phase.one_by_one else ports.lanes_at_once)

    async def along(lane: Lane) -> None:
        async with slots:
            for step in lane.steps:
                if troubles:
                    return
                try:
                    await _run_step(step, journal, ports, lease)
                except Trouble as trouble:
                    troubles.append(trouble)

    async with asyncio.TaskGroup() as group:
        for lane in phase.lanes:
            group.create_task(along(lane), name=f"{phase.name}: {lane.name}")
    return troubles


async def _run_step(step: AnyStep, journal: Journal, ports: Ports, lease: Lease) -> None:
    if journal.is_settled(step):
        return
    ports = msgspec.structs.replace(ports, log=journal.log_of(step), fenced=lease.transaction)
    try:
        facts, adopted = await _made_so(step, journal, ports, lease)
    except (LeaseLost, Cancelled):
        raise
    except Trouble as trouble:
        await journal.failed(step, trouble)
        if not step.soft:
            raise
    else:
        # Outside the guard: what is done and cannot be written down stays "started", never "failed".
        await journal.done(step, facts, adopted=adopted)


async def _made_so(step: AnyStep, journal: Journal, ports: Ports, lease: Lease) -> tuple[Facts, bool]:
    """Look, and act where it is not so yet; the facts, and whether somebody else had made it so."""
    before = journal.entry(step)
    # After a crash even a place that could not say a moment ago is worth another look.
    silent = (CannotTell, Blind) if before and before.state is EntryState.STARTED else (CannotTell,)
    match await _look(step, journal, ports, silent):
        case Already(facts):
            # Found done after we had started it: our own act, of which the crash kept the news.
            adopted = before is None or before.state is not EntryState.STARTED
            return {**(before.facts if before else {"found": True}), **facts}, adopted
        case Blind() if before and before.state is EntryState.DONE:
            return before.facts, True
        case Blind(why) | CannotTell(why) if before and before.state in (EntryState.STARTED, EntryState.UNKNOWN):
            raise _question(step, why)
        case CannotTell(why):
            raise StepFailed(f"cannot tell whether to {step.title}", why, "release resume, when it answers again")
        case NotYet() | Blind():
            await journal.started(step)
            lease.assert_fresh()
            return await _act(step, journal, ports), False


async def _look(step: AnyStep, journal: Journal, ports: Ports, unless: tuple[type, ...] = (CannotTell,)) -> Observation:
    """One observation; what is in `unless` is asked again a few times before it is believed."""
    seen: Observation = CannotTell("")
    for tried in range(ports.waits.look_tries):
        if tried:
            await ports.clock.sleep(ports.waits.backoff_seconds)
        try:
            seen = await _or_trouble(step, step.observe(ports, journal.results))
        except (Unreachable, BrokeOff) as trouble:
            seen = CannotTell(str(trouble))
        if not isinstance(seen, unless):
            break
    return seen


async def _act(step: AnyStep, journal: Journal, ports: Ports) -> Facts:
    """Perform, and when that raises look again before believing it (L11): the effect may be there all the same."""
    try:
        return await _or_trouble(step, step.perform(ports, journal.results))
    except (LeaseLost, Refused):
        raise
    except Trouble as trouble:
        match await _look(step, journal, ports):
            case Already(facts):
                return facts
            case CannotTell(why):
                raise _question(step, f"{trouble}; {why}") from trouble
            case Blind(why) if isinstance(trouble, BrokeOff):
                raise _question(step, f"{trouble}; {why}") from trouble
            case NotYet() | Blind():
                raise


async def _or_trouble(step: AnyStep, act: Awaitable[T]) -> T:
    """What `act` gives; whatever else it raises comes out as BrokeOff, so that the ship stops and tells of it."""
    try:
        return await act
    except Trouble:
        raise
    except Exception as error:
        raise BrokeOff(
            f"{step.title} broke off",
            f"{type(error).__name__}: {error}",
            "release resume; if it breaks off again, report it as a bug",
        ) from error


def _question(step: AnyStep, why: str) -> NeedsOperator:
    return NeedsOperator(
        f"nobody can tell whether this happened: {step.title}",
        why,
        "look yourself, then release resume --answer happened, or --answer again to run it again",
    )


def _start_of(before: Entry | None, state: EntryState, attempt: int, now: datetime) -> datetime:
    """A step keeps its start through a crash; a new attempt starts anew."""
    same = before and state is not EntryState.STARTED and before.attempt == attempt
    return before.started_at if before and same else now


def _masked(reason: Reason, ports: Ports) -> Reason:
    mask = ports.credentials.mask
    return Reason(mask(reason.what), mask(reason.why), mask(reason.next))
