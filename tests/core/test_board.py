"""The task board: everybody works on it at once, and its timeline tells what happened."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import Refused
from core.permissions import Actor
from core.tasks import Stage
from tests.world.toy import World
from tests.world.toy_record import database_in
from tests.world.toy_train import ADA, OLIVE, REX, Station, draft, lay_out

PEOPLE = [ADA, OLIVE, REX]


async def test_a_task_is_shown_with_its_timeline(station: Station) -> None:
    await station.reviewed(draft("pay", "money"))
    page = await station.board.show("pay")
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
        await station.board.show("paymnts")
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
    found = await station.board.list(limit=2)
    assert ([task.slug for task in found.tasks], found.total) == (["t4", "t3"], 5)
    assert (await station.board.list(stage=Stage.BUILDING)).total == 0


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
    page = await station.board.show("pay")
    assert page.task == after
    assert after == msgspec.structs.replace(before, stage=Stage.BUILDING, builder="ada", started_at=page.moves[-1].at)


def test_timelines_are_contiguous_in_the_record_whatever_people_try(folder: Path) -> None:
    """Spec 2.3, over everything that anybody might ask for."""
    database, world = database_in(folder), World()
    lay_out(world)
    station, numbers = Station(world, database, folder), iter(range(10_000))

    async def work(tried: list[tuple[Actor, Stage]]) -> None:
        slug = f"t{next(numbers)}"
        await station.board.new(ADA, draft(slug, "docs"))
        for actor, to in tried:
            try:
                await station.board.move(actor, slug, to, "because")
            except Refused:
                continue
        page = await station.board.show(slug)
        stages = [move.to for move in page.moves]
        assert [move.origin for move in page.moves] == [None, *stages[:-1]]
        assert page.task.stage is stages[-1]
        assert all(later.at > earlier.at for earlier, later in zip(page.moves, page.moves[1:], strict=False))

    with asyncio.Runner() as runner:

        @given(st.lists(st.tuples(st.sampled_from(PEOPLE), st.sampled_from(Stage)), max_size=12))
        @settings(max_examples=40, deadline=None)
        def try_it(tried: list[tuple[Actor, Stage]]) -> None:
            runner.run(work(tried))

        try_it()
        runner.run(database.close())
