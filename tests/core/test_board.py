"""The task board: everybody works on it at once, and its timeline tells what happened."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.board import Board
from core.edits import TaskChanges
from core.errors import Refused
from core.permissions import Actor, Face, Role
from core.reviews import Finding, Seat, Severity, Verdict
from core.tasks import Move, Stage, TaskQuery
from tests.world.reviewing import HANDOFF, TESS
from tests.world.toy import World
from tests.world.toy_record import database_in
from tests.world.toy_train import ADA, OLIVE, REX, Station, draft, lay_out

BOB = Actor("test:bob", "bob", frozenset({Role.AGENT}), Face.API)
PEOPLE = [ADA, OLIVE, REX, TESS]


async def test_a_task_is_shown_with_its_timeline(station: Station) -> None:
    await station.reviewed(draft("pay", "money"))
    page = await station.board.show(OLIVE, "pay")
    assert page.task.stage is Stage.REVIEWED
    assert [(move.origin, move.to, move.actor) for move in page.moves] == [
        (None, Stage.DESIGNED, "ada"),
        (Stage.DESIGNED, Stage.BUILDING, "ada"),
        (Stage.BUILDING, Stage.SUBMITTED, "ada"),
        (Stage.SUBMITTED, Stage.REVIEWED, "rex"),
    ]


@pytest.mark.parametrize("actor", [OLIVE, REX], ids=lambda actor: actor.name)
async def test_only_agents_create_tasks(station: Station, actor: Actor) -> None:
    with pytest.raises(Refused, match="only the agent role may create tasks"):
        await station.board.new(actor, draft("pay", "money"))


async def test_an_unknown_task_is_refused_with_the_nearest_one(station: Station) -> None:
    await station.board.new(ADA, draft("payments", "money"))
    with pytest.raises(Refused) as refusal:
        await station.board.show(OLIVE, "paymnts")
    assert refusal.value.reasons[0].next == "did you mean payments?"


@pytest.mark.parametrize("needed", ["nothing", "pay"])
async def test_a_task_depends_on_tasks_of_the_board(station: Station, needed: str) -> None:
    with pytest.raises(Refused, match=f"unknown task '{needed}'"):
        await station.board.new(ADA, draft("pay", "money", depends_on=(needed,)))
    assert (await station.board.list()).total == 0


async def test_a_slug_is_taken_once(station: Station) -> None:
    await station.board.new(ADA, draft("pay", "money"))
    with pytest.raises(Refused, match="pay is taken"):
        await station.board.new(ADA, draft("pay", "money"))


async def test_a_list_says_how_many_there_are_whatever_it_shows(station: Station) -> None:
    """L28: the newest 20 were taken for all."""
    for number in range(5):
        await station.board.new(ADA, draft(f"t{number}", "docs"))
    found = await station.board.list(TaskQuery(limit=2))
    assert ([task.slug for task in found.tasks], found.total) == (["t4", "t3"], 5)
    assert (await station.board.list(TaskQuery(stage=Stage.BUILDING))).total == 0


async def test_two_moves_at_once_are_one_move(station: Station) -> None:
    await station.board.new(ADA, draft("pay", "money"))
    both = await asyncio.gather(
        *(station.board.move(ADA, "pay", Stage.BUILDING) for _ in range(2)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in both) == ["Refused", "Task"]


async def test_a_move_writes_only_what_it_changes(station: Station) -> None:
    """L29: a partial update erased sibling fields."""
    full = msgspec.structs.replace(
        draft("pay", "money", command="rake pay"), acceptance_criteria="it pays", test_plan="pay", risk_tags=("money",)
    )
    before = await station.board.new(ADA, full)
    after = await station.board.move(ADA, "pay", Stage.BUILDING)
    page = await station.board.show(OLIVE, "pay")
    assert page.task == after
    assert after == msgspec.structs.replace(
        before, stage=Stage.BUILDING, builder="ada", builder_id=ADA.id, started_at=page.moves[-1].at, revision=1
    )


# ── edits ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_edit_from_an_old_page_merges_and_is_refused_only_where_it_collides(station: Station) -> None:
    """L29: a later save erased what was written between."""
    old = await station.board.new(ADA, draft("pay", "money"))
    await station.board.edit(BOB, "pay", TaskChanges(title="Bob's", risk_tags=("money",)), old.revision)
    merged = await station.board.edit(ADA, "pay", TaskChanges(test_plan="try", risk_tags=("money",)), old.revision)
    assert (merged.title, merged.test_plan, merged.revision) == ("Bob's", "try", 2)
    with pytest.raises(Refused) as refusal:
        await station.board.edit(ADA, "pay", TaskChanges(title="Ada's", qa_url="https://qa"), old.revision)
    [reason] = refusal.value.reasons
    assert (reason.what, reason.why) == (
        *("title of pay has changed since you looked", "bob made it \"Bob's\", you saw 'Task pay'"),
    )
    assert (await station.board.show(ADA, "pay")).task == merged, "of a refused edit nothing is written"
    assert (await station.board.edit(ADA, "pay", TaskChanges(title="Ada's"), merged.revision)).title == "Ada's"


async def test_an_edit_of_a_page_that_nobody_can_have_seen_overwrites_nothing(station: Station) -> None:
    """L29: with a revision of its own making, an edit erased what others had written."""
    old = await station.board.new(ADA, draft("pay", "money"))
    await station.board.edit(BOB, "pay", TaskChanges(title="Bob's"), old.revision)
    with pytest.raises(Refused, match="pay has no revision 99"):
        await station.board.edit(ADA, "pay", TaskChanges(title="Ada's"), 99)


async def test_an_edit_that_changes_nothing_writes_nothing(station: Station) -> None:
    made = await station.board.new(ADA, draft("pay", "money"))
    assert await station.board.edit(ADA, "pay", TaskChanges(title=made.title)) == made
    with pytest.raises(Refused, match="only the agent role may edit"):
        await station.board.edit(REX, "pay", TaskChanges(title="x"))


async def test_tasks_that_wait_for_each_other_are_refused_with_the_circle(station: Station) -> None:
    for slug in ("a", "b", "c"):
        await station.board.new(ADA, draft(slug, "docs"))
    await station.board.depend(ADA, "b", "a")
    await station.board.depend(ADA, "c", "b")
    assert (await station.board.depend(ADA, "c", "b")).depends_on == ("b",)
    for slug, on, circle in (("a", "c", "a → c → b → a"), ("a", "a", "a → a")):
        with pytest.raises(Refused, match=f"in a circle: {circle}"):
            await station.board.depend(ADA, slug, on)
    with pytest.raises(Refused, match="unknown task 'd'"):
        await station.board.depend(ADA, "a", "d")
    with pytest.raises(Refused, match="c does not depend on a"):
        await station.board.depend(ADA, "c", "a", remove=True)
    assert (await station.board.depend(ADA, "c", "b", remove=True)).depends_on == ()
    assert (await station.board.depend(ADA, "a", "c")).depends_on == ("c",)


async def test_what_a_riding_task_depends_on_is_fixed(assembled: Station) -> None:
    with pytest.raises(Refused, match="what words depends on is fixed"):
        await assembled.board.depend(ADA, "words", "pay")


# ── lists and suggestions ──────────────────────────────────────────────────────────────────────────────────────────


async def test_page_after_page_shows_every_task_once(station: Station) -> None:
    for number in range(5):
        await station.board.new(ADA, draft(f"t{number}", "docs"))
    seen, page = list[str](), await station.board.list(TaskQuery(limit=2))
    while True:
        seen += [task.slug for task in page.tasks]
        assert page.total == 5
        if page.next is None:
            break
        page = await station.board.list(TaskQuery(limit=2, after=page.next))
    assert seen == ["t4", "t3", "t2", "t1", "t0"]
    with pytest.raises(Refused, match="unknown task"):
        await station.board.list(TaskQuery(after="gone"))


async def test_a_list_is_of_what_is_asked_for(assembled: Station) -> None:
    board = assembled.board
    await board.new(ADA, msgspec.structs.replace(draft("fees", "money"), title="Round the ÖRE fees"))

    async def slugs(query: TaskQuery) -> set[str]:
        return {task.slug for task in (await board.list(query)).tasks}

    assert await slugs(TaskQuery(repository="money")) == {"fees", "pay"}
    assert await slugs(TaskQuery(repository="money", release="r1")) == {"pay"}
    assert await slugs(TaskQuery(builder="ada")) == {"pay", "seats", "words"}
    assert await slugs(TaskQuery(text="öre roun")) == {"fees"}
    assert await slugs(TaskQuery(text="öre seats")) == set()
    assert (await board.list(TaskQuery(text="task", limit=1))).total == 3
    await board.edit(ADA, "fees", TaskChanges(title="Round the cents"))
    assert await slugs(TaskQuery(text="öre")) == set()
    assert await slugs(TaskQuery(text="cent")) == {"fees"}


async def test_suggestions_are_slugs_that_begin_so_then_titles_with_such_words(station: Station) -> None:
    for slug, title in (("coins", "Count"), ("co-op", "Shop"), ("fees", "Cost of coins"), ("x", "Nothing of it")):
        await station.board.new(ADA, msgspec.structs.replace(draft(slug, "docs"), title=title))

    async def slugs(typed: str, *stages: Stage) -> list[str]:
        return [one.slug for one in await station.board.suggest(typed, stages or None)]

    assert await slugs(" CO") == ["co-op", "coins", "fees"]
    assert await slugs("co-op") == ["co-op"]
    assert await slugs("of co") == ["fees"]
    assert await slugs("") == ["x", "fees", "co-op", "coins"]
    assert await slugs("%") == await slugs("zz") == await slugs("co", Stage.SHIPPED) == []
    assert len(await station.board.suggest("", limit=2)) == 2


# ── whatever people try ────────────────────────────────────────────────────────────────────────────────────────────

Deed = Callable[[Board, Actor, str], Awaitable[object]]
DEEDS: dict[str, Deed] = {
    **{
        f"move to {stage}": lambda board, actor, slug, stage=stage: board.move(actor, slug, stage, "because")
        for stage in Stage
    },
    "start": lambda board, actor, slug: board.start(actor, slug),
    "unblock": lambda board, actor, slug: board.unblock(actor, slug),
    "archive": lambda board, actor, slug: board.archive(actor, slug),
    "complete": lambda board, actor, slug: board.edit(
        actor, slug, TaskChanges(acceptance_criteria="it works", test_plan="try it")
    ),
    "hand off": lambda board, actor, slug: board.handoff(actor, slug, HANDOFF),
    "feed back": lambda board, actor, slug: board.feedback(actor, slug, "it is gone"),
    **{
        f"{seat} {verdict}": lambda board, actor, slug, seat=seat, verdict=verdict: board.review(
            actor, slug, seat, verdict, [Finding(Severity.MINOR, "a word")]
        )
        for seat in Seat
        for verdict in Verdict
    },
}


def test_timelines_are_contiguous_in_the_record_whatever_people_try(folder: Path) -> None:
    """Spec 2.3, over everything that anybody might ask for; nothing of it is ever rewritten."""
    database, world = database_in(folder), World()
    lay_out(world)
    station, numbers = Station(world, database, folder), iter(range(10_000))

    async def work(tried: list[tuple[Actor, str]]) -> None:
        slug, before = f"t{next(numbers)}", tuple[Move, ...]()
        await station.board.new(ADA, draft(slug, "docs"))
        for actor, deed in tried:
            with suppress(Refused):
                await DEEDS[deed](station.board, actor, slug)
            page = await station.board.show(OLIVE, slug)
            assert page.moves[: len(before)] == before
            before = page.moves
            stages = [move.to for move in page.moves]
            assert [move.origin for move in page.moves] == [None, *stages[:-1]]
            assert page.task.stage is stages[-1]
            assert all(later.at > earlier.at for earlier, later in pairwise(page.moves))
            if page.task.stage is Stage.REVIEWED:
                approved = {one.seat: one.reviewer for one in page.reviews if one.approves}
                assert len(set(approved.values()) - {page.task.builder}) == 2

    with asyncio.Runner() as runner:

        @given(st.lists(st.tuples(st.sampled_from(PEOPLE), st.sampled_from(sorted(DEEDS))), max_size=25))
        @settings(max_examples=40, deadline=None)
        def try_it(tried: list[tuple[Actor, str]]) -> None:
            runner.run(work(tried))

        try_it()
        runner.run(database.close())
