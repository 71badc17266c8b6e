"""What was told of a release, message by message: the outbox of a face, and the evidence of delivery (L49).

Intended messages are written down, in one transaction with the cursor that moves past their events, before any is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message: events `first_event` to `last_event` became number `seq` of its release.

    `channel`: where it goes, blank for the thread of the ship. `content`: the message as JSON builtins. `nonce`: the
    same at every try, at most 25 characters. `message_id`: None until the face knows that it arrived.
    """

    release: str
    seq: int
    kind: str
    channel: str
    nonce: str
    first_event: int
    last_event: int
    content: object
    message_id: str | None = None
    id: int = 0


class Deliveries(Protocol):
    """The outbox. One writer at a time: who planned past a cursor that somebody moved is refused."""

    async def cursor(self) -> int | None:
        """The last event that was made a message of, or needs none; None: never told of anything."""
        ...

    async def plan(self, before: int | None, after: int, messages: Sequence[Delivery]) -> None:
        """Store `messages` as pending and move the cursor; Refused when it is not at `before` any more."""
        ...

    async def pending(self) -> list[Delivery]:
        """Everything that is planned and not known to have arrived, oldest first."""
        ...

    async def sent(self, delivery: Delivery, channel: str, message_id: str) -> None:
        """It arrived there. Called again for a message that had to be replaced."""
        ...

    async def newest(
        self, kind: str | None = None, release: str | None = None, channel: str | None = None
    ) -> Delivery | None:
        """The last message that arrived, of those of that kind, release and channel."""
        ...

    async def next_seq(self, release: str) -> int:
        """The number of the next message of a release, from 1 on."""
        ...
