"""The merges of a release branch are pushed once, from where it was; anything else on it is a refusal."""

from __future__ import annotations

import pytest

from core.errors import Refused, StepFailed, Unreachable
from core.observations import Already, NotYet
from core.registry import Sha
from core.train.queue import queue_of
from core.train.steps import Merge
from tests.core.train.test_power_cuts import cut_off
from tests.core.train.test_queue import REGISTRY, Yard, of, release
from tests.world.toy_train import Station


@pytest.fixture
def yard(station: Station) -> Yard:
    return Yard(station)


async def merge_step(yard: Yard) -> Merge:
    """Two tasks of the hub, merged but not pushed, on top of a main that had moved."""
    yard.push("hub", "release", {"release.py": b""})
    yard.push("hub", "main", {"hotfix.py": b""})
    yard.task("one", "hub")
    yard.task("two", "hub")
    queue = await queue_of(release(), yard.tasks, REGISTRY, yard.station.ports)
    return Merge(repository=REGISTRY.repositories["hub"], queue=of(queue, "hub"))


async def test_the_merges_are_pushed_and_then_they_are_there(yard: Yard) -> None:
    step = await merge_step(yard)
    ports, before = yard.station.ports, dict(yard.world.refs)
    assert await step.observe(ports, {}) == NotYet()
    assert yard.world.refs == before and not yard.world.ledger
    assert await step.perform(ports, {}) == {"sha": step.queue.tip, "merged": 2}
    assert await step.observe(ports, {}) == Already({"sha": step.queue.tip})
    await step.perform(ports, {})
    assert yard.world.ledger == [("push", "hub", "release", step.queue.tip)]


async def test_wherever_the_power_goes_the_merges_are_pushed_once(yard: Yard) -> None:
    step = await merge_step(yard)
    before, ports = yard.world.refs["hub", "release"], yard.station.ports
    for cut in range(6):
        yard.world.refs["hub", "release"] = before
        yard.world.ledger.clear()
        with cut_off(yard.world, cut):
            await step.perform(ports, {})
        if isinstance(await step.observe(ports, {}), NotYet):
            await step.perform(ports, {})
        assert yard.world.ledger == [("push", "hub", "release", step.queue.tip)]


async def test_a_machine_that_lacks_the_merges_makes_them_again(yard: Yard) -> None:
    step = await merge_step(yard)
    for made in (step.queue.base, *(one.commit for one in step.queue.merges)):
        del yard.world.commits[made]
    await step.perform(yard.station.ports, {})
    assert yard.world.refs["hub", "release"] == step.queue.tip


async def test_somebody_who_built_upon_the_merges_is_not_in_their_way(yard: Yard) -> None:
    step = await merge_step(yard)
    await step.perform(yard.station.ports, {})
    yard.push("hub", "release", {"more.py": b""})
    assert await step.observe(yard.station.ports, {}) == Already({"sha": step.queue.tip})


@pytest.mark.parametrize("lost", [False, True])
async def test_a_release_branch_that_moved_is_refused(yard: Yard, lost: bool) -> None:
    step = await merge_step(yard)
    for made in step.queue.merges if lost else ():
        del yard.world.commits[made.commit]
    yard.push("hub", "release", {"somebody.py": b""})
    with pytest.raises(Refused, match="has moved since the merges were made"):
        await step.observe(yard.station.ports, {})
    with pytest.raises(StepFailed, match="has moved"):
        await step.perform(yard.station.ports, {})


async def test_a_release_branch_that_is_gone_is_refused(yard: Yard) -> None:
    step = await merge_step(yard)
    del yard.world.refs["hub", "release"]
    with pytest.raises(Refused, match="it is gone"):
        await step.observe(yard.station.ports, {})


async def test_a_release_branch_that_was_never_there_is_made(yard: Yard) -> None:
    del yard.world.refs["docs", "release"]
    yard.task("one", "docs")
    queue = await queue_of(release(), yard.tasks, REGISTRY, yard.station.ports)
    step = Merge(repository=REGISTRY.repositories["docs"], queue=of(queue, "docs"))
    assert await step.observe(yard.station.ports, {}) == NotYet()
    await step.perform(yard.station.ports, {})
    assert yard.world.refs["docs", "release"] == step.queue.tip


async def test_an_origin_that_does_not_answer_is_cannot_tell(yard: Yard) -> None:
    step = await merge_step(yard)
    yard.world.silent.add("git hub")
    with pytest.raises(Unreachable):
        await step.observe(yard.station.ports, {})


async def test_merges_that_come_out_otherwise_are_not_pushed(yard: Yard) -> None:
    step = await merge_step(yard)
    for made in step.queue.merges:
        del yard.world.commits[made.commit]
    yard.world.commits[step.queue.merges[0].head] = ((Sha("0" * 40),), {"stranger": b""})
    with pytest.raises(Refused):
        await step.perform(yard.station.ports, {})
    assert not yard.world.ledger
