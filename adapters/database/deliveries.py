"""The outbox of the Discord face, as `core.deliveries.Deliveries`: rows of `deliveries`, and a setting as cursor."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import func, select, update

from adapters.database.connections import Connected, changed_since, fields
from adapters.database.records import Database, Rows
from adapters.database.tables import deliveries
from core.deliveries import Delivery

_CURSOR = "deliveries:cursor"
_COLUMNS = fields(deliveries, Delivery)


class DatabaseDeliveries:
    """The deliveries of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def cursor(self) -> int | None:
        async with self._database.reading() as rows:
            return _number(await rows.setting(_CURSOR))

    async def plan(self, before: int | None, after: int, messages: Sequence[Delivery]) -> None:
        async with self._database.transaction() as rows:
            if _number(await rows.setting(_CURSOR)) != before:
                raise changed_since("the list of deliveries")
            await rows.put_setting(_CURSOR, str(after))
            for message in messages:
                await _Outbox.of(rows).add(message)

    async def pending(self) -> list[Delivery]:
        async with self._database.reading() as rows:
            return await _Outbox.of(rows).found(deliveries.c.state == "pending", newest_first=False)

    async def sent(self, delivery: Delivery, channel: str, message_id: str) -> None:
        async with self._database.transaction() as rows:
            await _Outbox.of(rows).settle(delivery, channel, message_id)

    async def newest(
        self, kind: str | None = None, release: str | None = None, channel: str | None = None
    ) -> Delivery | None:
        asked = {deliveries.c.kind: kind, deliveries.c.release: release, deliveries.c.channel: channel}
        wanted = [column == value for column, value in asked.items() if value is not None]
        async with self._database.reading() as rows:
            sent = await _Outbox.of(rows).found(deliveries.c.state == "sent", *wanted, newest_first=True)
        return next(iter(sent), None)

    async def next_seq(self, release: str) -> int:
        async with self._database.reading() as rows:
            return await _Outbox.of(rows).last_seq(release) + 1


class _Outbox(Connected):
    @classmethod
    def of(cls, rows: Rows) -> _Outbox:
        return cls(rows._connection)  # pyright: ignore[reportPrivateUsage]

    async def add(self, delivery: Delivery) -> None:
        await self._insert(deliveries, delivery, state="pending")

    async def settle(self, delivery: Delivery, channel: str, message_id: str) -> None:
        values = {"state": "sent", "channel": channel, "message_id": message_id}
        await self._run(update(deliveries).where(deliveries.c.id == delivery.id).values(**values))

    async def found(self, *where: sa.ColumnElement[bool], newest_first: bool) -> list[Delivery]:
        order, limit = (deliveries.c.id.desc(), 1) if newest_first else (deliveries.c.id, None)
        rows = await self._run(select(*_COLUMNS).where(*where).order_by(order).limit(limit))
        return [Delivery(**row) for row in rows.mappings()]

    async def last_seq(self, release: str) -> int:
        wanted = select(func.coalesce(func.max(deliveries.c.seq), 0)).where(deliveries.c.release == release)
        return (await self._run(wanted)).scalar_one()


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
