"""The last step of a prepare obeys the five laws: it looks, freezes once, and never what QA did not see."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from core.errors import Refused
from core.observations import Already, NotYet
from core.order import riding
from core.ports import Ports
from core.releases import ReleaseState
from core.train.step import Commit
from core.train.steps import Freeze
from core.train.steps.freeze import Ridden
from tests.world.toy_train import OLIVE, RELEASE, Station, draft


async def a_freeze(station: Station) -> tuple[Freeze, Ports]:
    """The step over an open train of one app."""
    one = draft("words", "docs")
    await station.conductor.open(OLIVE, RELEASE, await station.reviewed(one))
    repositories = riding([one], station.registry)
    ridden = tuple(Ridden(it, Commit(station.world.refs[it.name, "release"])) for it in repositories)
    return Freeze(release=RELEASE, members=("words",), riding=ridden, packages=()), station.ports


async def test_a_look_changes_nothing_and_after_the_act_it_says_so(station: Station) -> None:
    step, ports = await a_freeze(station)
    assert isinstance(await step.observe(ports, {}), NotYet)
    assert (await station.conductor.status(RELEASE)).release.state is ReleaseState.ASSEMBLING
    facts = await step.perform(ports, {})
    assert await step.observe(ports, {}) == Already(facts)
    assert (await station.conductor.status(RELEASE)).release.state is ReleaseState.ASSEMBLED


async def test_it_survives_its_own_echo(station: Station) -> None:
    step, ports = await a_freeze(station)
    first = await step.perform(ports, {})
    frozen = (await station.conductor.status(RELEASE)).release.frozen
    assert await step.perform(ports, {}) == first
    assert (await station.conductor.status(RELEASE)).release.frozen == frozen


async def test_a_commit_that_is_not_the_head_any_more_is_never_frozen(station: Station) -> None:
    step, ports = await a_freeze(station)
    world, place = station.world, ("docs", "release")
    world.refs[place] = world.commit({"sneaked": b"in"}, world.refs[place])
    with pytest.raises(Refused, match="docs has moved since QA saw it"):
        await step.perform(ports, {})
    assert (await station.conductor.status(RELEASE)).release.frozen == ()


async def test_a_train_with_other_tasks_aboard_is_never_frozen(station: Station) -> None:
    step, ports = await a_freeze(station)
    await station.conductor.add(OLIVE, *await station.reviewed(draft("late", "docs")))
    with pytest.raises(Refused, match="r1 was changed since: late"):
        await step.perform(ports, {})
    assert isinstance(await step.observe(ports, {}), NotYet)


async def test_another_order_of_tasks_is_another_freeze(station: Station) -> None:
    step, _ = await a_freeze(station)
    assert step.key != replace(step, members=("late", "words")).key
