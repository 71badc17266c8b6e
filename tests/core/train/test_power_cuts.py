"""The power goes at arbitrary touches of the world; afterwards every effect is there exactly once, and in order."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.board import existing_task
from core.conductor import Answer
from core.conversation import RemarkKind
from core.errors import Trouble
from core.journal import Run, RunKind, RunState
from core.observations import NotYet, Observation
from core.releases import ReleaseState
from core.tasks import Stage, Task
from core.train import engine
from core.train.progress import StepState
from core.train.steps import AnyStep
from tests.world.toy import Kill, World
from tests.world.toy_record import FAST, database_in, record_in
from tests.world.toy_train import (
    FILES,
    OLIVE,
    RELEASE,
    WHOLE_TRAIN,
    Station,
    draft,
    lay_out,
    lay_out_branches,
    registry_with_qa,
)

EXAMPLES_OF_EACH_TRAIN, EXAMPLES_BY_QA = 100, 30
LIVES = 12
"""More than enough for a train that is left alone."""

TRAINS: dict[str, tuple[tuple[Task, ...], Mapping[str, Mapping[str, bytes]]]] = {
    "everything": (WHOLE_TRAIN, FILES),
    "packages and the hub": ((draft("pay", "money", "ledger"), draft("desk", "hub")), FILES),
    "one package and one satellite": (
        (draft("coin", "money"), draft("odds", "turf")),
        FILES | {"turf": {"needs.txt": b"money@release\n"}},
    ),
    "apps only": ((draft("seats", "hub", "turf", command="rake 'seed seats'"),), FILES | {"hub": {}, "turf": {}}),
}


BY_QA = "prepared and shipped"
TRAINS[BY_QA] = ((*WHOLE_TRAIN, draft("clash", "docs")), FILES)


class Series:
    """Lives of one process after another over one train; every series starts from the same record."""

    def __init__(self, folder: Path, runner: asyncio.Runner, train: str) -> None:
        self._folder, self._runner = folder, runner
        self._drafts, self._files = TRAINS[train]
        self._by_qa = train == BY_QA  # the record begins with tasks that nobody merged yet
        self._confirmed = train not in (
            "apps only",
            BY_QA,
        )  # there the power goes while it is offered and confirmed, too
        self._database = database_in(folder)
        self._before = self._new_world()
        runner.run(self._prepare())
        self._record = shutil.copy(record_in(folder), folder / "before.db")
        self.effects: list[tuple[str, ...]] = []
        undisturbed = self._run([], frozenset())
        self.points, self.effects = undisturbed.points, sorted(undisturbed.ledger)
        self.touches = len(self.points)

    def assert_all_is_well_after(self, cuts: list[int], *, blind: frozenset[str] = frozenset()) -> None:
        """Cut the power after so many touches, life after life, then let the train finish."""
        world = self._run(cuts, blind)
        assert world.impossible == []
        assert sorted(world.ledger) == self.effects

    def _run(self, cuts: list[int], blind: frozenset[str]) -> World:
        for stale in self._folder.glob("train.db*"):
            stale.unlink()
        shutil.copy(self._record, record_in(self._folder))
        return self._runner.run(self._ship_through(cuts, blind))

    def _new_world(self) -> World:
        world = World()
        lay_out(world, files=self._files)
        if self._by_qa:
            lay_out_branches(world, WHOLE_TRAIN)
            world.refs["docs", "feat/clash"] = world.commit({"readme": b"other words"}, world.refs["docs", "main"])
        return world

    def _station(self, world: World) -> Station:
        return Station(world, self._database, self._folder, registry_with_qa() if self._by_qa else None)

    async def _prepare(self) -> None:
        station = self._station(self._before)
        if self._by_qa:
            await station.conductor.open(OLIVE, RELEASE, await station.reviewed(*self._drafts))
        else:
            await station.prepared(*self._drafts)
        if self._confirmed:
            await station.confirmed()
        await self._database.close()

    async def _ship_through(self, cuts: list[int], blind: frozenset[str]) -> World:
        world = self._new_world()
        world.blind, world.kept, world.now = set(blind), self._before.kept, self._before.now
        for cut in cuts:
            with cut_off(world, cut):
                await self._live_once(world)
        for _ in range(LIVES):
            run = await self._live_once(world)
            if (run.kind, run.state) == (RunKind.SHIP, RunState.FINISHED):
                break
        async with self._database.reading() as tx:
            release = await tx.release(RELEASE)
            assert release and release.state is ReleaseState.SHIPPED
            tasks = [await existing_task(tx, one.slug) for one in self._drafts]
            assert {task.slug for task in tasks if task.stage is not Stage.SHIPPED} <= {"clash"}
            seen = {one.repository: one.sha for one in release.frozen if one.repository in world.on_qa}
            assert seen == world.on_qa, "what QA saw was frozen, and nothing else"
            feedback = [one for one in await tx.remarks("clash") if one.kind is RemarkKind.QA_FEEDBACK]
            assert len(feedback) == self._by_qa, "its builder was told once"
        await self._database.close()
        return world

    async def _live_once(self, world: World) -> Run:
        """One life of the process: prepare, confirm or resume what there is to, and drive it as far as it goes."""
        station = self._station(world)
        async with self._database.reading() as tx:
            run, release = await tx.latest_run(RELEASE), await tx.release(RELEASE)
        if run and run.state in (RunState.STOPPED, RunState.ASKING):
            question = next(iter((await station.progress()).of(StepState.UNKNOWN)), None)
            return await station.resumed(question and Answer(self._happened(world, question.id)))
        if run and (run.kind is RunKind.SHIP or run.state is RunState.RUNNING):
            return await station.dispatcher.drive(run.id)
        is_frozen = release and release.state is ReleaseState.ASSEMBLED
        return await (station.shipped() if is_frozen else station.brought_to_qa())

    def _happened(self, world: World, step: str) -> bool:
        """What an operator finds who looks for themselves."""
        kind, _, subject = step.partition(":")
        where = " on QA" if kind.startswith("qa-") else ""
        done = {what[:2] for what in world.ledger}
        return (
            ("deploy", subject + where) in done if kind in ("deploy", "qa-deploy") else ("run", f"hub{where}") in done
        )


@contextmanager
def cut_off(world: World, cut: int) -> Generator[None]:
    """The power goes after `cut` touches of `world`, if there are so many."""
    remaining = cut

    def power(point: str) -> bool:
        nonlocal remaining
        remaining -= 1
        return remaining >= 0

    world.power = power
    try:
        yield
    except BaseExceptionGroup as group:
        assert group.subgroup(Kill), group
    except Kill:
        pass
    world.power = lambda point: True


@contextmanager
def series_of(train: str, empty_record: Path) -> Generator[Series]:
    """One loop and one database engine for many series: what was compiled once stays compiled."""
    with tempfile.TemporaryDirectory(dir=FAST) as folder, asyncio.Runner() as runner:
        shutil.copy(empty_record, record_in(Path(folder)))
        yield Series(Path(folder), runner, train)


@pytest.mark.parametrize("train", TRAINS)
def test_wherever_the_power_goes_every_effect_happens_once_and_in_order(empty_record: Path, train: str) -> None:
    with series_of(train, empty_record) as series:

        @given(cuts=st.lists(st.integers(0, series.touches), min_size=1, max_size=4), blind=st.booleans())
        @settings(max_examples=EXAMPLES_BY_QA if train == BY_QA else EXAMPLES_OF_EACH_TRAIN, deadline=None)
        def cut_and_finish(cuts: list[int], blind: bool) -> None:
            series.assert_all_is_well_after(cuts, blind=frozenset({"turf"} if blind else ()))

        cut_and_finish()


def test_right_after_whatever_a_prepare_did_the_power_may_go(empty_record: Path) -> None:
    """The instants at which something is there that no journal knows of."""
    with series_of(BY_QA, empty_record) as series:
        last = next(i for i, point in enumerate(series.points) if point.startswith("before ('publish'"))
        for cut in (i for i, point in enumerate(series.points[:last]) if point.startswith("after (")):
            series.assert_all_is_well_after([cut])


def _assert_some_cut_is_noticed(empty_record: Path) -> None:
    with series_of("apps only", empty_record) as series, pytest.raises((AssertionError, Trouble)):
        for cut in reversed(range(series.touches)):
            series.assert_all_is_well_after([cut])


def test_an_engine_that_never_looks_is_found_out(empty_record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The property above can fail: this one deploys twice."""

    async def sees_nothing(step: AnyStep, *_: object) -> Observation:
        return NotYet()

    monkeypatch.setattr(engine, "_look", sees_nothing)
    _assert_some_cut_is_noticed(empty_record)


def test_an_engine_that_never_writes_started_is_found_out(empty_record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The property above can fail: this one runs a command twice."""

    async def forgets(journal: engine.Logbook, step: AnyStep) -> None:
        return None

    monkeypatch.setattr(engine.Logbook, "started", forgets)
    _assert_some_cut_is_noticed(empty_record)
