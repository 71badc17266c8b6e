"""What is asked at the same moment shares a transaction: one way to the disk and back for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, TypeVar, cast

from core.errors import Trouble
from core.records import Transaction
from core.unforeseen import or_trouble

Got = TypeVar("Got")


class _Part(Generic[Got]):
    """One of those who share, and how it ended, which counts when the transaction has."""

    got: Got | None = None
    trouble: Trouble | None = None

    def __init__(self, act: Callable[[Transaction], Awaitable[Got]]) -> None:
        self.act = act


class Together:
    """Opens transactions for up to `most` acts at a time, first come, first served.

    One at a time: of all who write at once, only `most` stand before the next write of a ship.
    """

    def __init__(self, opened: Callable[[], AbstractAsyncContextManager[Transaction]], most: int) -> None:
        self._opened, self._most = opened, most
        self._waiting: list[_Part[Any]] = []
        self._turn = asyncio.Lock()

    async def do(self, act: Callable[[Transaction], Awaitable[Got]]) -> Got:
        """What `act` gives or raises, once that lasts. It may be run again from its beginning, by itself or others."""
        mine = _Part(act)
        self._waiting.append(mine)
        try:
            async with self._turn:
                while mine in self._waiting:
                    await self._share()
        finally:
            if mine in self._waiting:
                self._waiting.remove(mine)
        if mine.trouble:
            raise mine.trouble
        return cast("Got", mine.got)

    async def _share(self) -> None:
        parts = self._waiting[: self._most]
        if not await self._ended(parts):  # what one of them raised undid all of it
            for one in parts:
                await self._ended([one])
        self._waiting = [one for one in self._waiting if one not in parts]

    async def _ended(self, parts: Sequence[_Part[Any]]) -> bool:
        """Do all of it in one transaction; False, and nothing done, when one of several raised something."""
        running = None
        try:
            async with self._opened() as tx:
                for running in parts:
                    running.got = await or_trouble("the request", running.act(tx))
                running = None
        except Trouble as trouble:
            if running and len(parts) > 1:
                return False
            for one in parts:
                one.trouble = trouble
        return True
