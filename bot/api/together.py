"""What is asked at the same moment shares a transaction: one way to the disk and back for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, TypeVar, cast

from core.errors import Trouble
from core.records import Transaction
from core.unforeseen import or_trouble

Got = TypeVar("Got")


class _Part(Generic[Got]):
    """One of those who share, and how it ended, which counts when the transaction has."""

    def __init__(self, act: Callable[[Transaction], Awaitable[Got]]) -> None:
        self._act = act
        self._got: Got | None = None
        self._trouble: Trouble | None = None

    async def run(self, tx: Transaction) -> None:
        self._trouble = None
        try:
            self._got = await or_trouble("the request", self._act(tx))
        except Trouble as trouble:
            self._trouble = trouble

    def outcome(self) -> Got:
        if self._trouble:
            raise self._trouble
        return cast("Got", self._got)


class Together:
    """Opens transactions for up to `most` acts at a time, first come, first served.

    One at a time: of all who write at once, only `most` stand before the next write of a ship.
    """

    def __init__(self, opened: Callable[[], AbstractAsyncContextManager[Transaction]], most: int) -> None:
        self._opened, self._most = opened, most
        self._waiting: list[_Part[Any]] = []
        self._turn = asyncio.Lock()

    async def do(self, act: Callable[[Transaction], Awaitable[Got]]) -> Got:
        """What `act` gives or raises, once its transaction has ended well; else it is run again, by itself or others.

        An act that writes undoes what it wrote when it raises: see `Transaction.part`.
        """
        mine = _Part(act)
        self._waiting.append(mine)
        try:
            async with self._turn:
                while mine in self._waiting:
                    await self._share()
        finally:
            if mine in self._waiting:
                self._waiting.remove(mine)
        return mine.outcome()

    async def _share(self) -> None:
        parts = self._waiting[: self._most]
        async with self._opened() as tx:
            for part in parts:
                await part.run(tx)
        self._waiting = [one for one in self._waiting if one not in parts]
