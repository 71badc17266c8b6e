"""What the door of the HTTP API needs of the record: tokens, and the answers that were given to keys. A Protocol."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import msgspec

from core.tokens import Token


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What a bearer's key was used for. `request`: a digest of it. `answer`: the bytes given; None: none was kept."""

    bearer: str
    key: str
    request: str
    answer: bytes | None = None
    at: datetime


class Access(Protocol):
    """A part of `core.records.Transaction`."""

    async def insert_token(self, token: Token, digest: str) -> Token:
        """Store a token under the digest of its secret and return it with its `id`."""
        ...

    async def update_token(self, before: Token, after: Token) -> None: ...
    async def token(self, digest: str) -> Token | None: ...
    async def tokens(self) -> list[Token]:
        """Newest first."""
        ...

    async def answered(self, bearer: str, key: str) -> Answered | None: ...
    async def put_answered(self, one: Answered) -> None:
        """Insert or replace the row of (bearer, key)."""
        ...

    async def drop_answered(self, bearer: str, key: str) -> None: ...
    async def forget_answered(self, before: datetime) -> None:
        """Drop what was answered before then."""
        ...

    async def last_event(self) -> int:
        """The number of the newest event; 0 where nothing has happened."""
        ...
