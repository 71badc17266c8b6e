"""What is asked at the same moment shares a transaction: one way to the disk and back for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar, cast

from core.errors import Trouble
from core.records import Transaction
from core.unforeseen import or_trouble

Asked = TypeVar("Asked")
Got = TypeVar("Got")


class _Part(Generic[Asked, Got]):
    """One of those who share, and how it ended, which counts when the transaction has."""

    got: Got | None = None
    trouble: Trouble | None = None

    def __init__(self, asked: Asked) -> None:
        self.asked = asked


class Together(Generic[Asked, Got]):
    """Opens transactions for up to `most` who ask at a time, first come, first served; `answers` has one for each.

    One at a time: of all who write at once, only `most` stand before the next write of a ship.
    """

    def __init__(
        self,
        opened: Callable[[], AbstractAsyncContextManager[Transaction]],
        most: int,
        answers: Callable[[Transaction, Sequence[Asked]], Awaitable[Sequence[Got]]],
    ) -> None:
        self._opened, self._most, self._answers = opened, most, answers
        self._waiting: list[_Part[Asked, Got]] = []
        self._turn = asyncio.Lock()

    async def do(self, asked: Asked) -> Got:
        """The answer, or what it raises, once that lasts. It may be done again from its beginning, alone or not."""
        mine = _Part[Asked, Got](asked)
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

    async def _ended(self, parts: Sequence[_Part[Asked, Got]]) -> bool:
        """Do all of it in one transaction; False when that broke off, and several are to be done each alone.

        Also where nobody can tell whether it lasts: what was done already must know itself again (bot/api/once.py).
        """
        is_open = False
        try:
            async with self._opened() as tx:
                is_open = True
                answers = await or_trouble("the request", self._answers(tx, [one.asked for one in parts]))
        except Trouble as trouble:
            if is_open and len(parts) > 1:
                return False
            for one in parts:
                one.trouble = trouble
        else:
            for one, got in zip(parts, answers, strict=True):
                one.got = got
        self._waiting = [one for one in self._waiting if one not in parts]
        return True
