"""A write with an idempotency key is done once: the same key and request get the answer that was given.

What fits into one transaction is stored with its answer in that transaction: either both happened or neither. What
does not (it looks outside, it runs tools) claims the key first; a claim without an answer is a question for a person.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import NamedTuple

import msgspec

from bot.api.problems import Rejected
from core.access import Answered
from core.errors import Reason, Trouble
from core.records import Lease, Records, Transaction

KEPT = timedelta(days=7)
Call = Callable[[Records], Awaitable[bytes]]


class Write(NamedTuple):
    """What is to be done once. `keeps_answer`: False where the answer holds a secret."""

    claim: Answered
    call: Call
    keeps_answer: bool = True


class Given(NamedTuple):
    """An answer; `repeated`: it was given before, and nothing is done."""

    answer: bytes
    repeated: bool


class Within:
    """Records whose every transaction is one that is open already."""

    def __init__(self, records: Records, tx: Transaction) -> None:
        self._records, self._tx = records, tx

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        """The open one; it commits when its owner is through."""
        yield self._tx

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[Transaction]:
        """The open one."""
        yield self._tx

    def lease(self, holder: str) -> AbstractAsyncContextManager[Lease]:
        """As ever: what needs it is long, and not run within a transaction."""
        return self._records.lease(holder)

    async def wait_for_events(self, after: int, timeout_seconds: float) -> bool:
        """As ever."""
        return await self._records.wait_for_events(after, timeout_seconds)


def used_for(bearer: str, key: str, request: bytes, now: datetime) -> Answered:
    """The row of a key, before there is an answer."""
    return Answered(bearer=bearer, key=key, request=hashlib.sha256(request).hexdigest(), at=now)


async def within(tx: Transaction, records: Records, writes: Sequence[Write]) -> list[Given]:
    """Their answers, one after the other. A refusal is to undo the whole transaction, the keys too."""
    known, given, new = await tx.answered([write.claim.used for write in writes]), list[Given](), list[Answered]()
    for write in writes:
        claim = write.claim
        if earlier := known.get(claim.used):
            given.append(Given(_again(earlier, claim), repeated=True))
            continue
        given.append(Given(await write.call(Within(records, tx)), repeated=False))
        new.append(msgspec.structs.replace(claim, answer=given[-1].answer if write.keeps_answer else None))
        known[claim.used] = new[-1]
    await tx.put_answered(new)
    return given


async def after_a_claim(records: Records, claim: Answered, call: Call) -> Given:
    """The answer of what does not fit into a transaction. A trouble gives the key back."""
    async with records.transaction() as tx:
        if earlier := (await tx.answered([claim.used])).get(claim.used):
            return Given(_again(earlier, claim), repeated=True)
        await tx.put_answered([claim])
    try:
        answer = await call(records)
    except Trouble:
        with suppress(Trouble):  # where this fails, the key stays claimed
            async with records.transaction() as tx:
                await tx.drop_answered(claim.used)
        raise
    with suppress(Trouble):  # it was done, whether or not its answer can be kept
        async with records.transaction() as tx:
            await tx.put_answered([msgspec.structs.replace(claim, answer=answer)])
    return Given(answer, repeated=False)


def _again(found: Answered, claim: Answered) -> bytes:
    """The answer that was given; Rejected (409) where it answers something else, or is not known."""
    if found.request != claim.request:
        what, at = "this Idempotency-Key was used for another request", f"{found.at:%Y-%m-%d %H:%M:%S} UTC"
        why = f"at {at}, or by a token with other roles"
        raise Rejected(HTTPStatus.CONFLICT, [Reason(what, why, "take a new key for a new request")])
    if found.answer is None:
        why = (
            f"it was begun {found.at:%Y-%m-%d %H:%M:%S} UTC; no answer is kept: it still runs, broke off, or was secret"
        )
        next_ = "look at what it was to change; then take a new key, or leave it"
        raise Rejected(HTTPStatus.CONFLICT, [Reason("cannot tell what became of this request", why, next_)])
    return found.answer
