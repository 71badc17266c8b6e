"""Two people at the board at the same moment, through two connections: nothing of either is lost (L29)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from adapters.database.connections import new_engine
from adapters.database.records import Database
from core.board import Board
from core.edits import TaskChanges
from core.errors import Refused
from core.reviews import Seat, Verdict
from core.sizing import Bidder, Size
from core.tasks import Stage, TaskQuery
from tests.adapters.database.samples import a_task
from tests.world.reviewing import ADA, REX, TESS, brought_to_review, handed_off
from tests.world.toy import World
from tests.world.toy_ports import toy_ports
from tests.world.toy_train import OLIVE, draft, registry

FIELDS = ("title", "acceptance_criteria", "test_plan", "agent_context", "qa_url")
changes = st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(["one", "two", "three"]), min_size=1)


def board_on(database: Database, folder: Path) -> Board:
    return Board(registry(), {"toy": ("unit",)}, toy_ports(World(), database, folder))


@pytest.fixture
def boards(database: Database, neighbour: Database, tmp_path: Path) -> tuple[Board, Board]:
    """The same board, twice."""
    return board_on(database, tmp_path), board_on(neighbour, tmp_path)


@given(mine=changes, theirs=changes)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_two_edits_from_the_same_page_lose_nothing(
    boards: tuple[Board, Board], mine: dict[str, str], theirs: dict[str, str]
) -> None:
    """Either both are in the record, or one was refused and says which field collided."""
    slug = f"t{(await boards[0].list(TaskQuery(limit=1))).total}"
    seen = await boards[0].new(ADA, draft(slug, "docs"))
    wanted = [msgspec.convert(one, TaskChanges) for one in (mine, theirs)]
    answers = await asyncio.gather(
        *(board.edit(ADA, slug, one, seen.revision) for board, one in zip(boards, wanted, strict=True)),
        return_exceptions=True,
    )
    after = (await boards[0].show(ADA, slug)).task
    collisions = {name for name in mine.keys() & theirs.keys() if mine[name] != theirs[name]}
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    if collisions:
        [refusal] = refused
        assert isinstance(refusal, Refused)
        assert {reason.what.split()[0] for reason in refusal.reasons} == collisions
    else:
        assert not refused
    for answer, one in zip(answers, (mine, theirs), strict=True):
        if not isinstance(answer, BaseException):
            assert {name: getattr(after, name) for name in one} == one


async def test_a_long_chain_of_dependencies_keeps_nobody_from_writing(boards: tuple[Board, Board]) -> None:
    """Looked at task by task, a chain of 10,000 held the record for as long as anybody waits for it."""
    for number in range(60):
        needs = (f"t{number - 1}",) if number else ()
        await boards[0].new(ADA, draft(f"t{number}", "docs", depends_on=needs))
    asked: list[str] = []

    def hear(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        asked.append(statement)

    event.listen(sa.Engine, "before_cursor_execute", hear)
    try:
        with pytest.raises(Refused, match="circle: t0 → t59 → t58 → t57 → 54 more → t2 → t1 → t0"):
            await boards[0].depend(ADA, "t0", "t59")
    finally:
        event.remove(sa.Engine, "before_cursor_execute", hear)
    assert 0 < len(asked) < 20


async def test_the_last_two_bids_at_once_are_both_in_and_revealed(boards: tuple[Board, Board]) -> None:
    await boards[0].new(ADA, draft("pay", "money"))
    await boards[0].bid(ADA, "pay", Bidder.DEV, Size.S)
    await asyncio.gather(boards[0].bid(REX, "pay", Bidder.PM, Size.M), boards[1].bid(OLIVE, "pay", Bidder.PO, Size.L))
    assert [bid.size for bid in (await boards[1].show(TESS, "pay")).sizing.bids] == [Size.M, Size.L, Size.S]


async def test_two_for_the_same_bidder_at_once_are_one(boards: tuple[Board, Board]) -> None:
    await boards[0].new(ADA, draft("pay", "money"))
    answers = await asyncio.gather(
        boards[0].bid(REX, "pay", Bidder.PM, Size.M),
        boards[1].bid(OLIVE, "pay", Bidder.PM, Size.L),
        return_exceptions=True,
    )
    assert [type(answer).__name__ for answer in answers].count("Refused") == 1


async def test_the_last_two_approvals_at_once_make_a_task_reviewed_once(boards: tuple[Board, Board]) -> None:
    await boards[0].new(ADA, draft("pay", "money"))
    await handed_off(boards[0], "pay")
    await asyncio.gather(
        boards[0].review(REX, "pay", Seat.HEAVY, Verdict.APPROVE),
        boards[1].review(TESS, "pay", Seat.LIGHT, Verdict.APPROVE),
    )
    moves = (await boards[1].show(ADA, "pay")).moves
    assert [move.to for move in moves].count(Stage.REVIEWED) == 1


async def test_a_whole_page_is_the_same_from_both_sides(boards: tuple[Board, Board]) -> None:
    await boards[0].new(ADA, draft("pay", "money"))
    await brought_to_review(boards[0], "pay")
    assert await boards[0].show(ADA, "pay") == await boards[1].show(ADA, "pay")
    assert [one.slug for one in await boards[1].suggest("PAY")] == ["pay"]


async def test_tasks_from_before_the_board_are_found_by_their_words(database: Database, url: str) -> None:
    async with database.transaction() as rows:
        await rows.insert_task(a_task("login", title="Sign-in with Éclat"))
    await database.downgrade("0002")
    await database.upgrade()
    async with database.reading() as rows:
        assert [task.slug for task in await rows.tasks(TaskQuery(text="éclat sign"))] == ["login"]
        assert [one.slug for one in await rows.suggest_tasks("log", tuple(Stage), 5)] == ["login"]
        assert (await rows.tasks(TaskQuery()))[0].revision == 0


async def test_the_old_tables_take_what_they_know_and_drop_the_rest(
    boards: tuple[Board, Board], database: Database, url: str
) -> None:
    await boards[0].new(ADA, draft("pay", "money"))
    await brought_to_review(boards[0], "pay")
    await boards[0].bid(ADA, "pay", Bidder.DEV, Size.S)
    await database.downgrade("0002")
    engine = new_engine(url)
    async with engine.connect() as connection:
        counts = {
            name: (await connection.execute(sa.text(f"SELECT count(*) FROM {name}"))).scalar_one()
            for name in ("tasks", "moves", "events", "checks")
        }
    await engine.dispose()
    assert counts == {"tasks": 1, "moves": 4, "events": 0, "checks": 0}
    await database.upgrade()
    page = await boards[1].show(ADA, "pay")
    assert (page.task.stage, page.remarks, page.reviews, page.sizing.bids) == (Stage.REVIEWED, (), (), ())
