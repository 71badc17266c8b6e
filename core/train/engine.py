"""The loop: look, act, look again, write it down. Safe to call again after any crash (spec 6.8, 6.9)."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec

from core.errors import LeaseLost, NeedsOperator, Refused, StepFailed, Trouble, Unreachable
from core.journal import EntryState, Run, RunState
from core.observations import Already, Blind, CannotTell, Facts, NotYet, Observation
from core.ports import Ports
from core.records import Lease
from core.train.logbook import Cancelled, Logbook
from core.train.plan import Lane, Phase, Plan, decoded
from core.train.step import recalling
from core.train.steps import AnyStep
from core.unforeseen import BrokeOff, or_trouble

_CANCEL_LOOK_SECONDS = 0.5
_RETRY = "release resume"


async def drive(run: Run, ports: Ports, lease: Lease) -> Run:
    """Drive `run` until it is finished, stopped, asking or cancelled; returns it as it was left."""
    logbook = await Logbook.read(run, ports, lease)
    try:
        plan = decoded(run.plan)
    except Refused as refusal:
        return await logbook.stop([refusal])
    troubles = logbook.troubles() or await _run_phases(run, plan, logbook, ports, lease)
    return await (logbook.stop(troubles) if troubles else logbook.finish())


async def _run_phases(run: Run, plan: Plan, logbook: Logbook, ports: Ports, lease: Lease) -> list[Trouble]:
    """Run phase after phase, up to the first trouble."""
    troubles: list[Trouble] = []
    try:
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(_until_cancelled(run, plan, logbook, ports), name=f"watch {run.release}")
            for phase in plan.phases:
                if troubles := await _run_phase(phase, logbook, ports, lease):
                    break
            watch.cancel()
    except* Cancelled as group_of_one:
        troubles = [Cancelled(str(group_of_one))]
    return troubles


async def _until_cancelled(run: Run, plan: Plan, logbook: Logbook, ports: Ports) -> None:
    """Raise Cancelled soon after the record says so: a long gate does not have to end first, a deploy to QA does."""
    uninterruptible = [step for step in plan.steps if not step.interruptible]
    while True:
        await asyncio.sleep(_CANCEL_LOOK_SECONDS)
        now = None
        with suppress(Trouble):  # a record that cannot be read now cuts off no deploy (L31)
            async with ports.records.reading() as tx:
                now = await tx.run(run.id)
        is_cancelled = now and now.state is RunState.CANCELLED
        if is_cancelled and not any(logbook.is_under_way(step) for step in uninterruptible):
            raise Cancelled(f"{run.release} was cancelled")


async def _run_phase(phase: Phase, logbook: Logbook, ports: Ports, lease: Lease) -> list[Trouble]:
    """Run the lanes side by side; at the first trouble start nothing more, and let what is running finish."""
    troubles: list[Trouble] = []
    slots = asyncio.Semaphore(ports.satellites_at_once if phase.one_by_one else ports.lanes_at_once)

    async def along(lane: Lane) -> None:
        async with slots:
            for step in lane.steps:
                if troubles:
                    return
                try:
                    await _run_step(step, logbook, ports, lease)
                except Trouble as trouble:
                    troubles.append(trouble)

    async with asyncio.TaskGroup() as group:
        for lane in phase.lanes:
            group.create_task(along(lane), name=f"{phase.name}: {lane.name}")
    return troubles


async def _run_step(step: AnyStep, logbook: Logbook, ports: Ports, lease: Lease) -> None:
    if logbook.is_settled(step):
        return
    ports = msgspec.structs.replace(ports, log=logbook.log_of(step), fenced=lease.transaction)
    try:
        facts, adopted = await _made_so(step, logbook, ports, lease)
    except (LeaseLost, Cancelled):  # neither says anything of the step
        raise
    except Trouble as trouble:
        await logbook.failed(step, trouble)
        if not step.soft:
            raise
    else:
        # Outside the guard: what is done and cannot be written down stays "started", never "failed".
        await logbook.done(step, facts, adopted=adopted)


async def _made_so(step: AnyStep, logbook: Logbook, ports: Ports, lease: Lease) -> tuple[Facts, bool]:
    """Look, and act where it is not so yet; the facts, and whether somebody else had made it so."""
    logbook.require_confirmed()  # also before looking: in another registry, what is found there is not ours
    before = logbook.entry(step)
    # After a crash even a place that could not say a moment ago is worth another look.
    silent = (CannotTell, Blind) if before and before.state is EntryState.STARTED else (CannotTell,)
    match await _look(step, logbook, ports, silent):
        case Already(facts):
            # Found done after we had started it: our own act, of which the crash kept the news.
            adopted = before is None or before.state is not EntryState.STARTED
            return {**(before.facts if before else {"found": True}), **facts}, adopted
        case Blind() if before and before.state is EntryState.DONE:  # the journal is the only witness
            return before.facts, True
        case Blind(why) | CannotTell(why) if before and before.state in (EntryState.STARTED, EntryState.UNKNOWN):
            raise _question(step, why)
        case CannotTell(why):
            # Never taken for "no" (L11).
            raise StepFailed(f"cannot tell whether to {step.title}", why, "release resume, when it answers again")
        case NotYet() | Blind():
            await logbook.started(step)
            lease.assert_fresh()  # whoever slept meanwhile may have been taken over (database.md)
            return await _act(step, logbook, ports), False


async def _look(step: AnyStep, logbook: Logbook, ports: Ports, unless: tuple[type, ...] = (CannotTell,)) -> Observation:
    """One observation; what is in `unless` is asked again a few times before it is believed."""
    seen: Observation = CannotTell("")
    known = recalling(step, logbook.entry(step), logbook.results)
    for tried in range(ports.waits.look_tries):
        if tried:
            await ports.clock.sleep(ports.waits.backoff_seconds)
        try:
            seen = await or_trouble(step.title, step.observe(ports, known), _RETRY)
        except (Unreachable, BrokeOff) as trouble:
            seen = CannotTell(str(trouble))
        if not isinstance(seen, unless):
            break
    return seen


async def _act(step: AnyStep, logbook: Logbook, ports: Ports) -> Facts:
    """Perform, and when that raises look again before believing it (L11): the effect may be there all the same."""
    try:
        return await or_trouble(step.title, step.perform(ports, logbook.results), _RETRY)
    except (LeaseLost, Refused):
        raise
    except Trouble as trouble:
        match await _look(step, logbook, ports):
            case Already(facts):
                return facts
            case CannotTell(why):
                raise _question(step, f"{trouble}; {why}") from trouble
            case Blind(why) if isinstance(trouble, BrokeOff):
                raise _question(step, f"{trouble}; {why}") from trouble
            case NotYet() | Blind():
                raise


def _question(step: AnyStep, why: str) -> NeedsOperator:
    return NeedsOperator(
        f"nobody can tell whether this happened: {step.title}",
        why,
        "look yourself, then release resume --answer happened, or --answer again to run it again",
    )
