"""Requests that share a transaction: each has its own outcome, and nobody's trouble is another's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from sqlalchemy import text

from adapters.database.records import Database
from bot.api.together import Together
from core.errors import Refused
from core.records import Transaction
from core.unforeseen import BrokeOff

MOST = 4


Act = Callable[[Transaction], Awaitable[str]]


async def done(tx: Transaction, acts: Sequence[Act]) -> list[str]:
    return [await act(tx) for act in acts]


@pytest.fixture
def together(database: Database) -> Together[Act, str]:
    return Together(database.transaction, MOST, done)


def sets(name: str, then: Exception | None = None) -> Act:
    """Writes a setting, and raises `then`."""

    async def act(tx: Transaction) -> str:
        await tx.put_setting(name, "set")
        if then:
            raise then
        return name

    return act


async def is_set(database: Database, *names: str) -> list[bool]:
    async with database.reading() as tx:
        return [await tx.setting(name) is not None for name in names]


async def test_a_refused_request_takes_none_of_those_beside_it_along(
    together: Together[Act, str], database: Database
) -> None:
    acts = (sets("a"), sets("b", Refused("not you")), sets("c", ValueError("a bug")), sets("d"))
    a, b, c, d = await asyncio.gather(*map(together.do, acts), return_exceptions=True)
    assert (a, d) == ("a", "d")
    assert isinstance(b, Refused) and isinstance(c, BrokeOff)
    assert await is_set(database, "a", "b", "c", "d") == [True, False, False, True]


async def test_who_gives_up_first_does_not_take_the_others_along(
    together: Together[Act, str], database: Database
) -> None:
    entered = asyncio.Event()

    async def hangs(tx: Transaction) -> str:
        await tx.put_setting("a", "set")
        entered.set()
        return await asyncio.get_running_loop().create_future()

    first = asyncio.create_task(together.do(hangs))
    others = [asyncio.create_task(together.do(sets(name))) for name in "bc"]
    await entered.wait()
    first.cancel()
    assert await asyncio.gather(*others) == ["b", "c"]
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await is_set(database, "a", "b", "c") == [False, True, True]


async def test_who_was_refused_is_not_done_after_all_when_another_one_gives_up(
    together: Together[Act, str], database: Database
) -> None:
    begun, hung, full = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def begins(tx: Transaction) -> str:
        begun.set()
        await full.wait()
        return "begun"

    times = iter((ValueError("a bug"), Refused("not now")))

    async def refused_twice(tx: Transaction) -> str:
        return await sets("b", next(times, None))(tx)

    async def hangs(tx: Transaction) -> str:
        hung.set()
        return await asyncio.get_running_loop().create_future()

    alone = asyncio.create_task(together.do(begins))
    await begun.wait()
    first, refused, last = [asyncio.create_task(together.do(act)) for act in (sets("a"), refused_twice, hangs)]
    await asyncio.sleep(0)
    full.set()
    await hung.wait()
    first.cancel()
    with pytest.raises(Refused, match="not now"):
        await refused
    last.cancel()
    await asyncio.gather(alone, first, last, return_exceptions=True)
    assert await is_set(database, "a", "b") == [True, False]


async def test_nobody_is_told_of_success_where_the_shared_transaction_was_lost(
    together: Together[Act, str], database: Database
) -> None:
    async def loses(tx: Transaction) -> str:
        await tx.put_setting("lost", "set")
        await tx._connection.execute(text("ROLLBACK"))  # pyright: ignore  # as SQLite does when a disk is full
        return "lost"

    acts = (sets("a"), sets("b"), loses, sets("c"))
    a, b, lost, c = await asyncio.gather(*map(together.do, acts), return_exceptions=True)
    assert (a, b, c) == ("a", "b", "c")
    assert isinstance(lost, Refused) and "the transaction was lost" in str(lost)
    assert await is_set(database, "a", "b", "lost", "c") == [True, True, False, True]


async def test_many_at_once_share_few_transactions(database: Database) -> None:
    opened: list[int] = []

    def counted():
        opened.append(1)
        return database.transaction()

    together = Together(counted, MOST, done)
    assert await asyncio.gather(*(together.do(sets(str(n))) for n in range(10))) == [str(n) for n in range(10)]
    assert len(opened) == 4, "the first goes at once, alone; then four, four and the last"
