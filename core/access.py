"""What the door of the HTTP API needs of the record: tokens, and the answers that were given to keys. A Protocol."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

import msgspec

from core.tokens import Token


class Used(NamedTuple):
    """An idempotency key is its bearer's own."""

    bearer: str
    key: str


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What a bearer's key was used for. `request`: a digest of it. `answer`: the bytes given; None: none was kept."""

    bearer: str
    key: str
    request: str
    answer: bytes | None = None
    at: datetime

    @property
    def used(self) -> Used:
        """Whose key it is."""
        return Used(self.bearer, self.key)


class Access(Protocol):
    """A part of `core.records.Transaction`."""

    async def insert_token(self, token: Token, digest: str) -> Token:
        """Store a token under the digest of its secret and return it with its `id`."""
        ...

    async def update_token(self, before: Token, after: Token) -> None: ...
    async def tokens_of(self, digests: Collection[str]) -> dict[str, Token]:
        """Those that there are, by the digests of their secrets."""
        ...

    async def tokens(self) -> list[Token]:
        """Newest first."""
        ...

    async def answered(self, used: Collection[Used]) -> dict[Used, Answered]:
        """What is known of the keys that were used."""
        ...

    async def put_answered(self, rows: Sequence[Answered]) -> None:
        """Insert or replace the rows of their keys."""
        ...

    async def drop_answered(self, used: Used) -> None: ...
    async def forget_answered(self, before: datetime) -> None:
        """Drop what was answered before then."""
        ...
