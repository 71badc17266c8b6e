"""What an operator says of a step that nobody could tell of. It is written over the journal; the engine looks again
where it can.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

import msgspec

from core.errors import Reason, Refused
from core.journal import EntryState, Run
from core.permissions import Actor
from core.records import Transaction
from core.train.plan import decoded
from core.train.steps import AnyStep, PostDeploy


class Answer(msgspec.Struct, frozen=True):
    """What an operator found out about the steps that nobody could tell of: they happened, or must run again."""

    happened: bool


async def settle(tx: Transaction, run: Run, answer: Answer, actor: Actor, now: datetime) -> None:
    """Write `answer` over every open question of a run that rests; Refused when there is none.

    There, a step that was started and never ended is a question too.
    """
    journal, steps = await tx.entries(run.release), dict[str, AnyStep]()
    with suppress(Refused):  # of a plan that nobody can read any more, whatever is open is meant
        steps = {entry.key: step for step in decoded(run.plan).steps if (entry := step.entry_in(journal))}
        journal = {key: journal[key] for key in steps}
    open_questions = [one for one in journal.values() if one.state in (EntryState.STARTED, EntryState.UNKNOWN)]
    if not open_questions:
        raise Refused("there is no question to answer", "every step says how it ended", "release resume")
    for entry in open_questions:
        if answer.happened:
            facts = {**entry.facts, "answered_by": actor.name}
            settled = msgspec.structs.replace(entry, state=EntryState.DONE, facts=facts, ended_at=now, reasons=())
            if isinstance(step := steps.get(entry.key), PostDeploy):
                text = step.check(f"an operator says that it happened ({actor.name})")
                await tx.add_check(step.task, text, commit=None, at=now, by=actor.name)
        else:
            reason = Reason("to run again", f"{actor.name} said so")
            settled = msgspec.structs.replace(entry, state=EntryState.FAILED, reasons=(reason,), ended_at=now)
        await tx.put_entry(settled)
