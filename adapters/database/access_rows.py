"""The door of the HTTP API in the record: tokens by the digest of their secret, and the answers given to keys."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import bindparam, delete, select, tuple_, update

from adapters.database.connections import Connected, changed_columns, columns, fields
from adapters.database.tables import answered, tokens
from core.access import Answered, Used
from core.tokens import Token


class AccessRows(Connected):
    """The part of a transaction that is about access; see `core.access.Access`."""

    async def insert_token(self, token: Token, digest: str) -> Token:
        return msgspec.structs.replace(token, id=await self._insert(tokens, token, digest=digest))

    async def update_token(self, before: Token, after: Token) -> None:
        if values := changed_columns(tokens, before, after):
            await self._run(update(tokens).where(tokens.c.id == before.id).values(**values))

    async def tokens_of(self, digests: Collection[str]) -> dict[str, Token]:
        rows = (await self._run(_OF_DIGESTS, {"digests": digests})).mappings()
        return {row["digest"]: msgspec.convert(row, Token) for row in rows}

    async def tokens(self) -> list[Token]:
        rows = await self._run(select(*fields(tokens, Token)).order_by(tokens.c.id.desc()))
        return [Token(**row) for row in rows.mappings()]

    async def answered(self, used: Collection[Used]) -> dict[Used, Answered]:
        rows = await self._run(_ANSWERED, {"used": used})
        return {one.used: one for one in (Answered(**row) for row in rows.mappings())}

    async def put_answered(self, rows: Sequence[Answered]) -> None:
        if rows:
            await self._put(answered, ("bearer", "key"), [columns(answered, one) for one in rows])

    async def drop_answered(self, used: Used) -> None:
        await self._run(delete(answered).where(_USED.in_([used])))

    async def forget_answered(self, before: datetime) -> None:
        await self._run(delete(answered).where(answered.c.at < before))


_OF_DIGESTS = select(tokens).where(tokens.c.digest.in_(bindparam("digests", expanding=True)))
_USED = tuple_(answered.c.bearer, answered.c.key)
_ANSWERED = select(answered).where(_USED.in_(bindparam("used", expanding=True)))
