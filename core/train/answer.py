"""What an operator says of a step that nobody could tell of. It is written over the journal; the engine looks again
where it can.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from core.errors import Reason, Refused
from core.journal import EntryState, Ship
from core.permissions import Actor
from core.records import Transaction
from core.train.plan import decoded


class Answer(msgspec.Struct, frozen=True):
    """What an operator found out about the steps that nobody could tell of: they happened, or must run again."""

    happened: bool


async def settle(tx: Transaction, ship: Ship, answer: Answer, actor: Actor, now: datetime) -> None:
    """Write `answer` over every open question of a ship that rests; Refused when there is none.

    There, a step that was started and never ended is a question too.
    """
    journal = await tx.entries(ship.release)
    entries = [entry for step in decoded(ship.plan).steps if (entry := journal.get(step.key))]
    open_questions = [entry for entry in entries if entry.state in (EntryState.STARTED, EntryState.UNKNOWN)]
    if not open_questions:
        raise Refused("there is no question to answer", "every step says how it ended", "release resume")
    for entry in open_questions:
        if answer.happened:
            facts = {**entry.facts, "answered_by": actor.name}
            settled = msgspec.structs.replace(entry, state=EntryState.DONE, facts=facts, ended_at=now, reasons=())
        else:
            reason = Reason("to run again", f"{actor.name} said so")
            settled = msgspec.structs.replace(entry, state=EntryState.FAILED, reasons=(reason,), ended_at=now)
        await tx.put_entry(settled)
