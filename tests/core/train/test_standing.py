"""The status table: where every task is, repository by repository, and what repairs whatever is odd."""

from __future__ import annotations

import asyncio

import pytest

from core.conductor import PlanChanged
from core.journal import RunState
from core.registry import Sha
from core.reviews import Finding, Seat, Severity, Verdict
from core.train import sightings
from core.train.sightings import Mark, Row
from core.train.standing import Standing
from tests.world.reviewing import ADA, HANDOFF, REX, TESS
from tests.world.toy_train import OLIVE, RELEASE, WHOLE_TRAIN, Station, draft

YES, NO, NONE, UNKNOWN = Mark.YES, Mark.NO, Mark.NONE, Mark.UNKNOWN


@pytest.fixture
async def prepared(train: Station) -> Station:
    """The same, merged, on QA and frozen."""
    assert (await train.brought_to_qa()).state is RunState.FINISHED
    return train


def marks(found: Standing) -> dict[str, tuple[Mark, Mark, Mark, Mark]]:
    return {f"{row.task} {row.repository}": (row.merged, row.qa, row.frozen, row.live) for row in found.rows}


async def odd(station: Station) -> list[tuple[str, str]]:
    """What is odd, each with what repairs it."""
    return [(reason.what, reason.next) for reason in (await station.conductor.standing(RELEASE)).anomalies]


def push(station: Station, name: str, branch: str) -> Sha:
    """Somebody commits on top of a branch."""
    world = station.world
    tip = world.refs[name, branch]
    world.refs[name, branch] = world.commit({**world.commits[tip][1], f"{branch}.py": b"new"}, tip)
    return world.refs[name, branch]


async def test_an_open_train_is_nowhere_yet_and_nothing_is_odd(train: Station) -> None:
    found = await train.conductor.standing(RELEASE)
    assert marks(found) == {
        "pay ledger": (NO, NONE, NO, NO),
        "pay money": (NO, NONE, NO, NO),
        "seats hub": (NO, NO, NO, NO),
        "seats turf": (NO, NO, NO, NO),
        "words docs": (NO, NONE, NO, NO),
    }
    assert found.anomalies == ()


async def test_a_prepared_train_is_merged_on_qa_and_frozen(prepared: Station) -> None:
    before = list(prepared.world.ledger)
    found = await prepared.conductor.standing(RELEASE)
    assert marks(found) == {
        "pay ledger": (YES, NONE, YES, NO),
        "pay money": (YES, NONE, YES, NO),
        "seats hub": (YES, YES, YES, NO),
        "seats turf": (YES, YES, YES, NO),
        "words docs": (YES, NONE, YES, NO),
    }
    assert found.anomalies == ()
    assert prepared.world.ledger == before


async def test_what_does_not_say_what_it_runs_is_not_verified_and_never_live(prepared: Station) -> None:
    """A deploy that failed was "live yes", because we had pushed."""
    prepared.world.blind.add("hub")
    assert (await prepared.shipped()).state is RunState.FINISHED
    found = {row.repository: row.live for row in (await prepared.conductor.standing(RELEASE)).rows}
    assert (found["hub"], found["turf"]) == (Mark.UNVERIFIED, YES)


async def test_a_shipped_train_is_live_and_stays_so_when_its_branches_go(prepared: Station) -> None:
    assert (await prepared.shipped()).state is RunState.FINISHED
    for task in WHOLE_TRAIN:
        for work in task.works:
            del prepared.world.refs[work.repository, work.branch]
    found = await prepared.conductor.standing(RELEASE)
    assert {row.live for row in found.rows} == {YES}
    assert found.anomalies == ()


async def test_a_ship_that_stopped_shows_what_is_live_and_calls_nothing_odd(prepared: Station) -> None:
    prepared.world.red_gates.add("hub")
    assert (await prepared.shipped()).state is RunState.STOPPED
    found = await prepared.conductor.standing(RELEASE)
    assert {row.task: row.live for row in found.rows if row.repository == "hub"} == {"seats": NO}
    assert found.anomalies == ()


async def test_what_nobody_owns_is_shown_with_its_revert(prepared: Station) -> None:
    """L30: the commits stayed on the release branch and rode with the next train, owned by nobody."""
    await prepared.conductor.eject(OLIVE, "words", RELEASE)
    merge = prepared.world.refs["docs", "release"]
    prepared.world.refs["docs", "feat/other"] = prepared.world.refs["docs", "main"]
    [word] = await prepared.reviewed(draft("other", "docs"))
    await prepared.conductor.add(OLIVE, word, RELEASE)
    [(what, next_)] = await odd(prepared)
    assert what == f"{merge[:7]} “Merge task words (feat/words)” is on release of docs"
    assert f"git revert --no-edit -m 1 {merge} &&" in next_


async def test_code_that_changed_after_its_review_does_not_ride_unseen(prepared: Station) -> None:
    board, conductor = prepared.board, prepared.conductor
    offered = (await conductor.offer(OLIVE, RELEASE)).proposal
    await board.handoff(ADA, "words", HANDOFF)
    at = (await board.show(ADA, "words")).remarks[-1].at
    [changed] = (await conductor.standing()).anomalies
    assert changed.what == "words changed after its review"
    assert changed.why == f"handoff of {at:%Y-%m-%d %H:%M} UTC by ada; no approval since: heavy, light"
    assert (await conductor.plan()).unseen == (await conductor.assembly()).proposal.unseen == (changed,)
    with pytest.raises(PlanChanged):
        await conductor.ship(OLIVE, RELEASE, offered.digest)
    await board.review(REX, "words", Seat.HEAVY, Verdict.APPROVE)
    assert await odd(prepared) == [("words changed after its review", "task review words light VERDICT")]
    await board.review(TESS, "words", Seat.LIGHT, Verdict.APPROVE)
    assert await odd(prepared) == []
    assert (await conductor.plan()).digest == offered.digest


async def test_a_push_after_both_approvals_is_told_until_both_have_looked_again(station: Station) -> None:
    station.world.refs["hub", "feat/seats"] = station.world.refs["hub", "main"]
    push(station, "hub", "feat/seats")
    [slug] = await station.reviewed(draft("seats", "hub"))
    await station.conductor.open(OLIVE, RELEASE, [slug])
    seen = station.world.refs["hub", "feat/seats"]
    assert (await station.conductor.assembly()).proposal.unseen == ()
    now = push(station, "hub", "feat/seats")
    heavy, light = (await station.conductor.assembly()).proposal.unseen
    assert heavy.what == "seats changed after its heavy review"
    assert heavy.why == f"hub approved at {seen[:7]}, now {now[:7]} (by rex)"
    assert light.next == "task review seats light VERDICT"
    await station.board.review(REX, "seats", Seat.HEAVY, Verdict.APPROVE)
    assert (await station.conductor.standing()).anomalies[:1] == (light,)
    await station.board.review(TESS, "seats", Seat.LIGHT, Verdict.APPROVE)
    assert (await station.conductor.assembly()).proposal.unseen == ()


async def test_requested_changes_of_what_rides_already_are_seen_where_it_is_shipped(prepared: Station) -> None:
    await prepared.board.handoff(ADA, "words", HANDOFF)
    bad = [Finding(Severity.MAJOR, "it lies")]
    await prepared.board.review(REX, "words", Seat.HEAVY, Verdict.REQUEST_CHANGES, bad)
    number = (await prepared.board.show(ADA, "words")).remarks[-1].id
    whats = [what for what, _ in await odd(prepared)]
    assert whats == ["words changed after its review", f"feedback #{number} is open"]


async def test_a_branch_that_went_on_after_the_freeze_is_a_straggler(prepared: Station) -> None:
    push(prepared, "hub", "feat/seats")
    assert await odd(prepared) == [("seats is not in what was frozen of hub", "release prepare")]
    found = await prepared.conductor.standing(RELEASE)
    assert marks(found)["seats hub"] == (NO, NO, NO, NO)


async def test_a_branch_that_went_on_before_the_freeze_is_one_too(prepared: Station) -> None:
    push(prepared, "hub", "feat/seats")
    prepared.world.refs["docs", "feat/late"] = prepared.world.refs["docs", "main"]
    [slug] = await prepared.reviewed(draft("late", "docs"))
    await prepared.conductor.add(OLIVE, slug, RELEASE)
    assert await odd(prepared) == [
        ("seats changed after its heavy review", "task review seats heavy VERDICT"),
        ("seats changed after its light review", "task review seats light VERDICT"),
        ("seats has grown in hub", "release prepare"),
    ]


async def test_a_release_branch_that_moved_makes_the_freeze_stale(prepared: Station) -> None:
    stray = push(prepared, "docs", "release")
    found = dict(await odd(prepared))
    assert found["docs has drifted since the freeze"]
    assert any(f"git revert --no-edit {stray}" in next_ for next_ in found.values())


async def test_a_main_that_moved_makes_the_freeze_stale(prepared: Station) -> None:
    push(prepared, "docs", "main")
    assert await odd(prepared) == [("main of docs has moved since the freeze", "release prepare")]


async def test_a_rewritten_branch_is_shown_with_what_takes_its_merge_off(prepared: Station) -> None:
    world = prepared.world
    world.refs["docs", "feat/words"] = world.commit({"words": b"others"}, world.refs["docs", "main"])
    assert next(iter(dict(await odd(prepared)))) == "feat/words of docs was rewritten after it was merged"


async def test_a_branch_that_is_gone_is_shown(train: Station) -> None:
    del train.world.refs["docs", "feat/words"]
    assert await odd(train) == [("docs has no branch feat/words", "push it, then release add words")]


async def test_production_without_what_was_shipped_is_shown_with_the_deploy(prepared: Station) -> None:
    assert (await prepared.shipped()).state is RunState.FINISHED
    prepared.world.running["turf"] = Sha("0" * 40)
    [(what, next_)] = await odd(prepared)
    assert what == "turf is live without what r1 shipped"
    assert next_.endswith(prepared.world.refs["turf", "main"])


async def test_a_main_without_what_was_shipped_is_shown_with_the_push(prepared: Station) -> None:
    assert (await prepared.shipped()).state is RunState.FINISHED
    world, frozen = prepared.world, prepared.world.refs["docs", "main"]
    world.refs["docs", "main"] = world.commits[frozen][0][0]
    assert await odd(prepared) == [("docs is live without what r1 shipped", f"git push x {frozen}:refs/heads/main")]


async def test_an_origin_that_does_not_answer_is_a_question_mark_and_the_rest_is_told(prepared: Station) -> None:
    prepared.world.silent.add("git docs")
    found = await prepared.conductor.standing(RELEASE)
    assert marks(found)["words docs"] == (UNKNOWN,) * 4
    assert marks(found)["seats hub"] == (YES, YES, YES, NO)
    assert [reason.what for reason in found.anomalies] == ["git docs does not answer"]


async def test_a_platform_that_does_not_answer_is_a_question_mark(prepared: Station) -> None:
    prepared.world.silent |= {"platform hub on QA", "platform turf"}
    found = marks(await prepared.conductor.standing(RELEASE))
    assert found["seats hub"] == (YES, UNKNOWN, YES, NO)
    assert found["seats turf"] == (YES, YES, YES, UNKNOWN)


async def test_an_origin_that_hangs_does_not_hold_the_table_up(
    prepared: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sightings, "_LOOK_SECONDS", 0.5)
    prepared.world.meanwhile["git docs"] = asyncio.Event().wait
    found = await prepared.conductor.standing(RELEASE)
    assert Row(task="words", repository="docs") in found.rows
    assert [reason.what for reason in found.anomalies] == ["docs did not answer in time"]


async def test_the_status_itself_asks_nobody(prepared: Station) -> None:
    prepared.world.points.clear()
    await prepared.conductor.status(RELEASE)
    assert {point for point in prepared.world.points if point.startswith("ask")} == {"ask read"}
