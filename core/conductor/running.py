"""A run of the train that has stopped, or must: go on with it, or cancel it (spec 6.9)."""

from __future__ import annotations

import msgspec

from core.conductor.desk import Desk, members
from core.errors import Refused
from core.events import EventKind, event_of
from core.journal import Run, RunKind, RunState
from core.observations import Value
from core.permissions import Actor, Role, require
from core.records import Transaction
from core.releases import Release, ReleaseState
from core.train.answer import Answer, settle
from core.train.plan import decoded, ship_plan
from core.train.prepare_plan import is_planned_for


class Running(Desk):
    """Resume and cancel."""

    async def resume(self, actor: Actor, slug: str | None = None, answer: Answer | None = None) -> Run:
        """Go on with a stopped run: every step looks at the world again (spec 6.9).

        `answer` settles the steps that nobody can tell of, also where a changed plan must be confirmed anew; without
        one they are looked at, and asked about, again.
        A run whose process died is given back as it is: it runs on wherever it is driven next.
        """
        require(actor, Role.OPERATOR, "resume")
        now = self._ports.clock.now()
        async with self._ports.records.transaction() as tx:
            release = await self._release(tx, slug)
            run = await tx.latest_run(release.slug)
            if run and run.state is RunState.RUNNING and answer is None and await tx.lease_holder() is None:
                return run
            await self._resting(tx, release.slug)
            if run is None or run.state not in (RunState.STOPPED, RunState.ASKING):
                why = f"its last {run.kind} is {run.state}" if run else "it never ran"
                raise Refused(f"{release.slug} has nothing to resume", why, "release status")
            if answer:
                await settle(tx, run, answer, actor, now)
            resumed = None
            if await self._is_planned_still(tx, release, run):
                resumed = msgspec.structs.replace(
                    run, state=RunState.RUNNING, attempt=run.attempt + 1, reasons=(), ended_at=None
                )
                await tx.update_run(run, resumed)
                facts: dict[str, Value] = {"run": run.id, "kind": run.kind, "attempt": resumed.attempt}
                await tx.append_event(event_of(EventKind.RUN_RESUMED, release, actor, now, **facts))
        # Refused only here, outside of the transaction: the answer is worth keeping although the plan has changed.
        if resumed is None:
            why = f"{release.slug} or what is registered was changed" + (
                "; your answer is written down" if answer else ""
            )
            raise Refused("the plan has changed since it was confirmed", why, f"release {run.kind}")
        return resumed

    async def cancel(self, actor: Actor, slug: str | None = None) -> Run:
        """Stop a ship before its point of no return, Refused after it; a prepare ends after what it does on QA now."""
        require(actor, Role.OPERATOR, "cancel")
        now = self._ports.clock.now()
        async with self._ports.records.transaction() as tx:
            release = await self._release(tx, slug)
            run = await tx.latest_run(release.slug)
            if run is None or run.state is not RunState.RUNNING:
                state = f"its last {run.kind} is {run.state}" if run else "it never ran"
                raise Refused(f"{release.slug} has nothing to cancel", state, "release status")
            final = {step.id for step in decoded(run.plan).steps if step.irreversible}
            events = await tx.events(release=release.slug, limit=None)
            begun = [
                str(one.facts["title"]) for one in events if one.kind is EventKind.STEP_STARTED and one.step in final
            ]
            if begun:
                why = f"begun already: {', '.join(begun[:3])}"
                raise Refused("it is too late to cancel", why, "let it finish or stop; then release resume")
            cancelled = msgspec.structs.replace(run, state=RunState.CANCELLED, ended_at=now)
            await tx.update_run(run, cancelled)
            await tx.append_event(event_of(EventKind.RUN_CANCELLED, release, actor, now, run=run.id, kind=run.kind))
        return cancelled

    async def _is_planned_still(self, tx: Transaction, release: Release, run: Run) -> bool:
        """True while the plan is what it was; of a shipped release only the end is to be written."""
        if run.kind is RunKind.PREPARE:
            return release.is_active and is_planned_for(decoded(run.plan), release)
        if release.state not in (ReleaseState.ASSEMBLED, ReleaseState.SHIPPED):
            return False
        return ship_plan(release, await members(tx, release), self.registry).digest == run.plan_digest
