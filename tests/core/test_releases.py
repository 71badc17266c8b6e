"""The release record (spec 3): guards over all states, the freeze and what undoes it, one active train, races."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Refused
from core.registry import Sha
from core.releases import STATE_MOVES, Frozen, Release, ReleaseState, assemble, attach, close, eject
from core.tasks import Stage
from tests.world.toy_train import ADA, OLIVE, RELEASE, REX, WHOLE_TRAIN, Station, draft

NOW = datetime(2026, 1, 2, tzinfo=UTC)
FREEZE = (Frozen(repository="hub", sha=Sha("a" * 40)),)
ACTIVE = (ReleaseState.ASSEMBLING, ReleaseState.ASSEMBLED)
FINAL = (ReleaseState.SHIPPED, ReleaseState.ABANDONED)


def release(state: ReleaseState, *members: str) -> Release:
    frozen = FREEZE if state is not ReleaseState.ASSEMBLING else ()
    return Release(slug="r1", state=state, members=members, frozen=frozen, opened_by="olive", opened_at=NOW)


ACTS: dict[str, tuple[Callable[[Release], Release], tuple[ReleaseState, ...], ReleaseState]] = {
    "attach": (lambda one: attach(one, "new"), ACTIVE, ReleaseState.ASSEMBLING),
    "eject": (lambda one: eject(one, "pay"), ACTIVE, ReleaseState.ASSEMBLING),
    "freeze": (lambda one: assemble(one, FREEZE, NOW), ACTIVE, ReleaseState.ASSEMBLED),
    "ship": (lambda one: close(one, ReleaseState.SHIPPED, NOW), (ReleaseState.ASSEMBLED,), ReleaseState.SHIPPED),
    "abandon": (lambda one: close(one, ReleaseState.ABANDONED, NOW), ACTIVE, ReleaseState.ABANDONED),
}
"""The act, the states in which it is allowed, and where it leads."""


# ── guards ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("act", "state"), list(product(ACTS, ReleaseState)))
def test_every_act_in_every_state_is_done_or_refused_with_what_to_do_instead(act: str, state: ReleaseState) -> None:
    """L23: a shipped or abandoned release could be moved again."""
    do, allowed, leads_to = ACTS[act]
    before = release(state, "pay")
    if state in allowed:
        after = do(before)
        assert after.state is leads_to
        assert leads_to in STATE_MOVES[state] | {state}
        return
    with pytest.raises(Refused) as refusal:
        do(before)
    [reason] = refusal.value.reasons
    assert str(state) in reason.why
    assert reason.next.startswith("release ")


@pytest.mark.parametrize(("state", "to"), list(product(ReleaseState, ACTIVE)))
def test_closing_never_reopens(state: ReleaseState, to: ReleaseState) -> None:
    with pytest.raises(Refused):
        close(release(state, "pay"), to, NOW)


@pytest.mark.parametrize("state", ACTIVE)
def test_whoever_gets_on_or_off_takes_the_freeze_along(state: ReleaseState) -> None:
    """Spec 3.2."""
    for changed in (attach(release(state, "pay"), "new"), eject(release(state, "pay", "new"), "new")):
        assert changed.frozen == ()
        assert changed.assembled_at is None
        assert changed.revision == 1


def test_a_task_gets_on_once_and_off_only_when_aboard() -> None:
    with pytest.raises(Refused, match="pay already rides r1"):
        attach(release(ReleaseState.ASSEMBLING, "pay"), "pay")
    with pytest.raises(Refused, match="new does not ride r1"):
        eject(release(ReleaseState.ASSEMBLING, "pay"), "new")


def test_a_blank_never_stands_for_a_commit() -> None:
    """L20: a blank SHA from a machine without the repository erased good ones."""
    with pytest.raises(Refused, match="no commit for docs"):
        assemble(release(ReleaseState.ASSEMBLED, "pay"), (*FREEZE, Frozen(repository="docs", sha=Sha(""))), NOW)


def test_an_empty_train_is_not_frozen() -> None:
    with pytest.raises(Refused, match="r1 has no members"):
        assemble(release(ReleaseState.ASSEMBLING), FREEZE, NOW)


@given(st.lists(st.sampled_from([*ACTS, "attach another"])))
def test_final_states_never_move_and_commits_never_become_blank(acts: list[str]) -> None:
    """Whatever was tried, in whatever order."""
    now = release(ReleaseState.ASSEMBLING, "pay")
    for number, act in enumerate(acts):
        before = now
        try:
            now = attach(now, f"t{number}") if act == "attach another" else ACTS[act][0](now)
        except Refused:
            continue
        assert before.state not in FINAL
        assert now.state in STATE_MOVES[before.state] | {before.state}
        assert now.frozen == FREEZE or now.state in (ReleaseState.ASSEMBLING, ReleaseState.ABANDONED)
        assert len(set(now.members)) == len(now.members)


# ── in the record ──────────────────────────────────────────────────────────────────────────────────────────────────


async def the_release(station: Station) -> Release:
    return (await station.conductor.status(RELEASE)).release


async def test_of_two_opens_at_once_one_is_told_which_train_is_open(station: Station, neighbour: Station) -> None:
    """L22: two trains could open at once."""
    both = await asyncio.gather(
        station.conductor.open(OLIVE, "r1"), neighbour.conductor.open(OLIVE, "r2"), return_exceptions=True
    )
    [opened] = [one for one in both if isinstance(one, Release)]
    [refused] = [one for one in both if isinstance(one, Refused)]
    assert refused.reasons[0].what == f"{opened.slug} is open"
    assert refused.reasons[0].next == f"ship or abandon {opened.slug} first"
    assert [one.slug for one in await station.conductor.releases()] == [opened.slug]


async def test_two_attaches_at_once_lose_nothing(station: Station, neighbour: Station) -> None:
    slugs = await station.reviewed(*(draft(f"t{number}", "docs") for number in range(6)))
    await station.conductor.open(OLIVE, RELEASE)
    processes = [station, neighbour] * 3
    await asyncio.gather(*(process.conductor.add(OLIVE, slug) for process, slug in zip(processes, slugs, strict=True)))
    found = await the_release(station)
    assert sorted(found.members) == slugs
    assert found.revision == len(slugs)
    assert {task.stage for task in (await station.conductor.status(RELEASE)).tasks} == {Stage.ASSEMBLED}


async def test_a_train_that_cannot_take_its_tasks_is_not_half_open(station: Station) -> None:
    """L24: a half-made candidate blocked everyone."""
    await station.reviewed(draft("pay", "money"))
    await station.board.new(ADA, draft("raw", "docs"))
    with pytest.raises(Refused, match="raw"):
        await station.conductor.open(OLIVE, RELEASE, ["pay", "raw"])
    assert await station.conductor.releases() == []
    assert (await station.board.show(OLIVE, "pay")).task.stage is Stage.REVIEWED
    await station.conductor.open(OLIVE, RELEASE, ["pay"])


async def test_only_reviewed_tasks_of_registered_repositories_ride(station: Station) -> None:
    await station.board.new(ADA, draft("raw", "docs"))
    await station.conductor.open(OLIVE, RELEASE)
    for slug, why in (("raw", "raw cannot go to assembled"), ("rwa", "unknown task 'rwa'")):
        with pytest.raises(Refused, match=why):
            await station.conductor.add(OLIVE, slug)
    assert (await the_release(station)).members == ()


async def test_a_task_rides_only_with_what_it_depends_on(station: Station) -> None:
    """Spec 2.1: with it or before it."""
    await station.reviewed(draft("pay", "money"), draft("seats", "hub", depends_on=("pay",)))
    await station.conductor.open(OLIVE, RELEASE)
    with pytest.raises(Refused, match="seats depends on pay"):
        await station.conductor.add(OLIVE, "seats")
    await station.conductor.add(OLIVE, "pay")
    await station.conductor.add(OLIVE, "seats")
    with pytest.raises(Refused, match="r1 cannot go without pay"):
        await station.conductor.eject(OLIVE, "pay")
    await station.conductor.eject(OLIVE, "seats")
    assert (await station.conductor.eject(OLIVE, "pay")).members == ()


async def test_getting_on_or_off_reopens_an_assembled_train(assembled: Station) -> None:
    assert len((await the_release(assembled)).frozen) == 5
    await assembled.conductor.add(OLIVE, *await assembled.reviewed(draft("more", "docs")))
    assert ((await the_release(assembled)).state, (await the_release(assembled)).frozen) == (
        ReleaseState.ASSEMBLING,
        (),
    )
    await assembled.conductor.freeze(OLIVE)
    await assembled.conductor.eject(OLIVE, "more")
    found = await the_release(assembled)
    assert (found.state, found.frozen, found.members) == (ReleaseState.ASSEMBLING, (), ("pay", "seats", "words"))
    page = await assembled.board.show(OLIVE, "more")
    assert (page.task.stage, page.task.release) == (Stage.REVIEWED, None)


async def test_who_gets_on_while_the_train_is_frozen_is_not_left_out_of_the_freeze(assembled: Station) -> None:
    """L32: facts were read before the lock was held; the freeze is refused, and nothing of it is kept."""
    [late] = await assembled.reviewed(draft("late", "docs"))
    assembled.world.meanwhile["git docs"] = lambda: assembled.conductor.add(OLIVE, late)
    with pytest.raises(Refused, match="r1 has changed since you looked"):
        await assembled.conductor.freeze(OLIVE)
    found = await the_release(assembled)
    assert (found.state, found.frozen) == (ReleaseState.ASSEMBLING, ())
    assert len((await assembled.conductor.freeze(OLIVE)).frozen) == 5


async def test_every_problem_of_a_freeze_comes_at_once(station: Station) -> None:
    world = station.world
    await station.conductor.open(OLIVE, RELEASE, await station.reviewed(*WHOLE_TRAIN))
    del world.refs["docs", "release"]
    world.refs["turf", "main"] = world.commit({"hotfix": b""}, world.refs["turf", "main"])
    world.refs["money", "release"] = world.commit({"code.py": b""}, world.refs["money", "main"])
    world.silent = {"git hub"}
    with pytest.raises(Refused) as refusal:
        await station.conductor.freeze(OLIVE)
    assert {reason.what for reason in refusal.value.reasons} == {
        "money has no VERSION at " + world.refs["money", "release"][:7],
        "git hub does not answer",
        "release of turf does not contain main",
        "docs has no branch release",
    }
    assert (await the_release(station)).state is ReleaseState.ASSEMBLING


async def test_a_package_that_takes_another_from_a_branch_is_not_frozen(station: Station) -> None:
    world = station.world
    files = {"VERSION": b"2.0.0", "code.py": b"l", "needs.txt": b"money@release\n"}
    world.refs["ledger", "release"] = world.commit(files, world.refs["ledger", "main"])
    await station.conductor.open(OLIVE, RELEASE, await station.reviewed(draft("pay", "money", "ledger")))
    with pytest.raises(Refused, match="requires money@release"):
        await station.conductor.freeze(OLIVE)


async def test_every_repository_of_the_train_is_frozen_packages_too(assembled: Station) -> None:
    """L21: packages were not frozen, so ship could publish what QA never saw."""
    frozen = {one.repository: one for one in (await the_release(assembled)).frozen}
    assert {name: one.sha for name, one in frozen.items()} == {
        name: assembled.frozen(name) for name in ("money", "ledger", "hub", "turf", "docs")
    }
    assert {name: one.version for name, one in frozen.items() if one.version} == {"money": "1.1.0", "ledger": "2.0.0"}
    assert frozen["hub"].by_reference == ("ledger", "money")
    assert all(frozen[name].artefacts for name in ("money", "ledger"))


async def test_a_slug_names_one_train_for_ever(assembled: Station) -> None:
    await assembled.conductor.abandon(OLIVE)
    with pytest.raises(Refused, match="r1 is taken"):
        await assembled.conductor.open(OLIVE, RELEASE)


async def test_a_reviewer_does_not_attach_by_moving_the_task(station: Station) -> None:
    await station.reviewed(draft("pay", "money"))
    for actor in (REX, ADA, OLIVE):
        with pytest.raises(Refused, match="only by attach of a release"):
            await station.board.move(actor, "pay", Stage.ASSEMBLED)
