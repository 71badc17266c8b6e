"""The door of the HTTP API in the record: tokens by the digest of their secret, and the answers given to keys."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, bindparam, delete, func, select, update

from adapters.database.connections import Connected, changed_columns, columns, fields
from adapters.database.tables import answered, events, tokens
from core.access import Answered
from core.tokens import Token


class AccessRows(Connected):
    """The part of a transaction that is about access; see `core.access.Access`."""

    async def insert_token(self, token: Token, digest: str) -> Token:
        return msgspec.structs.replace(token, id=await self._insert(tokens, token, digest=digest))

    async def update_token(self, before: Token, after: Token) -> None:
        if values := changed_columns(tokens, before, after):
            await self._run(update(tokens).where(tokens.c.id == before.id).values(**values))

    async def token(self, digest: str) -> Token | None:
        return next(iter(await self._all_of(Token, tokens.c.digest, digest)), None)

    async def tokens(self) -> list[Token]:
        rows = await self._run(select(*fields(tokens, Token)).order_by(tokens.c.id.desc()))
        return [Token(**row) for row in rows.mappings()]

    async def answered(self, bearer: str, key: str) -> Answered | None:
        rows = await self._run(_ANSWERED, {"by": bearer, "under": key})
        return next((Answered(**row) for row in rows.mappings()), None)

    async def put_answered(self, one: Answered) -> None:
        await self._put(answered, {"bearer": one.bearer, "key": one.key}, columns(answered, one))

    async def drop_answered(self, bearer: str, key: str) -> None:
        await self._run(delete(answered).where(*_used(bearer, key)))

    async def forget_answered(self, before: datetime) -> None:
        await self._run(delete(answered).where(answered.c.at < before))

    async def last_event(self) -> int:
        return (await self._run(select(func.max(events.c.id)))).scalar() or 0


_ANSWERED = select(answered).where(answered.c.bearer == bindparam("by"), answered.c.key == bindparam("under"))


def _used(bearer: str, key: str) -> tuple[ColumnElement[bool], ...]:
    return (answered.c.bearer == bearer, answered.c.key == key)
