"""What people wait for on a board of 1,000 tasks and on one of 10,000, with 20 timeline rows each."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

from sqlalchemy import Table, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.database.connections import columns, new_engine
from adapters.database.records import Database
from adapters.database.tables import checks, moves, remarks, task_words, task_works, tasks
from core.board import Board
from core.tasks import Stage, TaskQuery
from core.words import search_words
from tests.benchmarks.figures import Figure, figure
from tests.world.reviewing import ADA
from tests.world.toy import World
from tests.world.toy_ports import toy_ports
from tests.world.toy_train import draft, registry

_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_VERBS, _THINGS = ("fix", "show", "count", "round", "print"), ("fees", "seats", "coins", "refunds", "ledgers", "hours")
_STAGES = list(Stage)

Call = Callable[[Board, int], Awaitable[object]]
_LISTS: tuple[TaskQuery, ...] = (
    TaskQuery(),
    TaskQuery(stage=Stage.REVIEWED),
    TaskQuery(repository="hub"),
    TaskQuery(builder="builder-3"),
    TaskQuery(text="fix coins"),
    TaskQuery(after="task-9"),
)
_TYPED = ("", "task-9", "fix", "round led", "seats")
_CALLS: Mapping[str, Call] = {
    "board list": lambda board, number: board.list(_LISTS[number % len(_LISTS)]),
    "task page": lambda board, number: board.show(ADA, f"task-{number % 10}"),
    "suggest": lambda board, number: board.suggest(
        _TYPED[number % len(_TYPED)], [Stage.REVIEWED] if number % 2 else None
    ),
}


def full_board(folder: Path, *, few: int = 1_000, many: int = 10_000, rounds: int = 60) -> list[Figure]:
    """For each call: its p95 on the large board, and how much longer its median is there than on the small one."""
    return asyncio.run(_measured(folder, few, many, rounds))


async def _measured(folder: Path, few: int, many: int, rounds: int) -> list[Figure]:
    async with AsyncExitStack() as stack:
        boards = [
            Board(registry(), {"toy": ("unit",)}, toy_ports(World(), database, folder))
            for database in [await filled(stack, folder / str(count), count) for count in (few, many)]
        ]
        found: list[Figure] = []
        for name, call in _CALLS.items():
            times: tuple[list[float], list[float]] = ([], [])
            for number in range(-len(_LISTS), rounds):
                # By turns, so that what else the machine does weighs on both.
                for board, taken in zip(boards, times, strict=True):
                    begun = perf_counter()
                    await call(board, number)
                    if number >= 0:
                        taken.append((perf_counter() - begun) * 1000)
            small, large = map(statistics.median, times)
            p95 = statistics.quantiles(times[1], n=20)[-1]
            found.append(figure(f"{name}, p95 of {many:,} tasks", p95, "ms", bar=50))
            found.append(figure(f"{name}, growth", large / small, "×", bar=1.5, baseline=f"{few:,} tasks"))
        return found


async def filled(stack: AsyncExitStack, folder: Path, count: int) -> Database:
    """A record in `folder`, which is made, with `count` tasks and all that was said of them."""
    folder.mkdir()
    url = f"sqlite:///{folder / 'board.db'}"
    database = Database(url)
    stack.push_async_callback(database.close)
    await database.open()
    await database.upgrade()
    engine = new_engine(url)
    async with engine.begin() as connection:
        for table, rows in _content(count).items():
            await _fill(connection, table, rows)
    await engine.dispose()
    return database


async def _fill(connection: AsyncConnection, table: Table, rows: Iterator[Mapping[str, object]]) -> None:
    await connection.execute(insert(table), list(rows))


def _content(count: int) -> Mapping[Table, Iterator[Mapping[str, object]]]:
    numbers = range(count)
    timeline = [*_STAGES[:3], *[Stage.BLOCKED, Stage.BUILDING, Stage.SUBMITTED] * 5, Stage.REVIEWED, Stage.ASSEMBLED]
    said = {
        "kind": "comment",
        "author": "rex",
        "author_id": "agent:rex",
        "body": "Please look at this again.",
        "resolved_by": "",
        "at": _BEGAN,
    }
    ran = {"text": "[unit] make test: 31 passed", "by": "ada", "at": _BEGAN, "machine": False}
    moved = {"actor": "ada", "source": "cli", "reason": "", "seconds": 60.0}
    return {
        tasks: (_task(number) for number in numbers),
        task_works: (
            {"task": f"task-{n}", "repository": name, "branch": f"feat/task-{n}", "position": 0}
            for n in numbers
            for name in [list(registry().repositories)[n % 5]]
        ),
        task_words: (
            {"task": f"task-{n}", "word": word}
            for n in numbers
            for word in sorted({f"task-{n}", *search_words(f"task-{n} {_title(n)}")})
        ),
        moves: (
            {"task": f"task-{n}", "origin": origin, "to": to, "at": _BEGAN + timedelta(minutes=step), **moved}
            for n in numbers
            for step, (origin, to) in enumerate(zip([None, *timeline], timeline, strict=False))
        ),
        remarks: ({"task": f"task-{n}", **said} for n in numbers for _ in range(3)),
        checks: ({"task": f"task-{n}", **ran} for n in numbers for _ in range(3)),
    }


def _task(number: int) -> dict[str, object]:
    row = columns(tasks, draft(f"task-{number}", "hub"))
    stage = _STAGES[number % len(_STAGES)]
    return {**row, "title": _title(number), "stage": stage, "builder": f"builder-{number % 20}"}


def _title(number: int) -> str:
    return f"{_VERBS[number % len(_VERBS)].title()} the {_THINGS[number % len(_THINGS)]} of account {number}"
