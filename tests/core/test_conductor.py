"""What operators do with a train: one confirmation starts one ship; stop, resume, answer, cancel, abandon."""

from __future__ import annotations

import asyncio

import pytest

from core.conductor import Answer
from core.conversation import RemarkKind
from core.errors import NeedsOperator, Refused, StepFailed
from core.journal import Run, RunState
from core.releases import ReleaseState
from core.tasks import Stage
from core.train.progress import StepState
from tests.world.reviewing import HANDOFF, handed_off
from tests.world.toy_train import ADA, OLIVE, RELEASE, Station, draft

BUSY = Refused("the record was busy for too long", "15 s were not enough", "try again")


async def offered(station: Station) -> str:
    """The digest of a plan that can be confirmed."""
    offer = await station.conductor.offer(OLIVE, RELEASE)
    assert not offer.proposal.problems
    return offer.proposal.digest


async def confirm(station: Station, digest: str) -> Run:
    """Press the button."""
    return await station.conductor.ship(OLIVE, RELEASE, digest)


# ── one confirmation ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_second_click_starts_no_second_ship(assembled: Station) -> None:
    digest = await offered(assembled)
    await confirm(assembled, digest)
    with pytest.raises(Refused, match=f"{RELEASE} is shipping already") as refusal:
        await confirm(assembled, digest)
    assert "confirmed by olive" in refusal.value.reasons[0].why


async def test_two_operators_at_once_start_one_ship(assembled: Station, neighbour: Station) -> None:
    digest = await offered(assembled)
    both = await asyncio.gather(confirm(assembled, digest), confirm(neighbour, digest), return_exceptions=True)
    assert sorted(type(one).__name__ for one in both) == ["Refused", "Run"]


async def test_a_click_that_comes_after_the_ship_stopped_starts_no_second_one(assembled: Station) -> None:
    """A gate can be red before the second click of a double click arrives."""
    assembled.world.red_gates = {"ledger"}
    digest = await offered(assembled)
    ship = await confirm(assembled, digest)
    assert (await assembled.dispatcher.drive(ship.id)).state is RunState.STOPPED
    with pytest.raises(Refused, match="this plan was confirmed already"):
        await confirm(assembled, digest)


async def test_a_cancelled_ship_is_not_revived_by_an_old_button_but_by_a_new_offer(assembled: Station) -> None:
    digest = await offered(assembled)
    await confirm(assembled, digest)
    await assembled.conductor.cancel(OLIVE)
    with pytest.raises(Refused, match="this plan was confirmed already"):
        await confirm(assembled, digest)
    assert await offered(assembled) == digest
    assert (await assembled.dispatcher.drive((await confirm(assembled, digest)).id)).state is RunState.FINISHED


async def test_a_click_after_the_train_has_shipped_changes_nothing(assembled: Station) -> None:
    digest = await offered(assembled)
    await assembled.dispatcher.drive((await confirm(assembled, digest)).id)
    with pytest.raises(Refused, match="this plan was confirmed already"):
        await confirm(assembled, digest)


# ── stop, resume, answer ───────────────────────────────────────────────────────────────────────────────────────────


async def test_there_is_nothing_to_resume_before_a_ship_and_after_it(assembled: Station) -> None:
    with pytest.raises(Refused, match="it never ran"):
        await assembled.conductor.resume(OLIVE, RELEASE)
    await assembled.shipped()
    with pytest.raises(Refused, match="its last ship is finished"):
        await assembled.conductor.resume(OLIVE, RELEASE)


async def test_two_resumes_at_once_are_one(assembled: Station, neighbour: Station) -> None:
    assembled.world.fail("deploy turf", StepFailed("turf exited with 1"))
    await assembled.shipped()
    both = [assembled, neighbour]
    resumed = await asyncio.gather(*(station.conductor.resume(OLIVE, RELEASE) for station in both))
    assert {ship.attempt for ship in resumed} == {2}
    driven = await asyncio.gather(
        *(station.dispatcher.drive(resumed[0].id) for station in both), return_exceptions=True
    )
    assert RunState.FINISHED in {one.state for one in driven if isinstance(one, Run)}
    assert [what[1] for what in assembled.world.ledger if what[0] == "deploy"] == ["hub", "turf"]


async def test_a_changed_train_is_not_resumed_but_confirmed_anew(assembled: Station) -> None:
    assembled.world.fail("deploy turf", StepFailed("turf exited with 1"))
    await assembled.shipped()
    await assembled.conductor.add(OLIVE, *await assembled.reviewed(draft("more", "docs")))
    with pytest.raises(Refused, match="the plan has changed since it was confirmed"):
        await assembled.conductor.resume(OLIVE, RELEASE)
    await assembled.conductor.freeze(OLIVE, RELEASE)
    assert (await assembled.shipped()).state is RunState.FINISHED
    assert [what[1] for what in assembled.world.ledger if what[0] == "deploy"] == ["hub", "turf"]


async def test_a_question_can_be_answered_although_the_train_was_changed_meanwhile(assembled: Station) -> None:
    """Ship said "answer first", resume said "ship first": nobody came out of there."""
    assembled.world.fail("answer of run hub", NeedsOperator("rake was never heard of again"))
    assert (await assembled.shipped()).state is RunState.ASKING
    await assembled.conductor.add(OLIVE, *await assembled.reviewed(draft("more", "docs")))
    await assembled.conductor.freeze(OLIVE, RELEASE)
    problems = (await assembled.conductor.offer(OLIVE, RELEASE)).proposal.problems
    assert [reason.what for reason in problems] == [
        "nobody can tell whether this happened: post-deploy of seats on hub"
    ]
    with pytest.raises(Refused, match="your answer is written down"):
        await assembled.conductor.resume(OLIVE, RELEASE, Answer(happened=True))
    assert (await assembled.shipped()).state is RunState.FINISHED
    assert [what for what in assembled.world.ledger if what[0] == "run"] == [("run", "hub", "rake", "seed seats")]


async def test_a_ship_whose_end_could_not_be_written_down_is_finished_by_a_resume(assembled: Station) -> None:
    """L27: the record said shipped, the ship said stopped, and nothing could bring the two together."""
    world = assembled.world

    async def busy_once_it_is_shipped() -> None:
        if (await assembled.conductor.status(RELEASE)).release.state is ReleaseState.SHIPPED:
            raise BUSY
        world.meanwhile["commit"] = busy_once_it_is_shipped

    world.meanwhile["smoke turf"] = lambda: world.meanwhile.update(commit=busy_once_it_is_shipped)
    assert (await assembled.shipped()).state is RunState.STOPPED
    assert (await assembled.conductor.status(RELEASE)).release.state is ReleaseState.SHIPPED
    assert (await assembled.resumed()).state is RunState.FINISHED


# ── cancel ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_ship_is_cancelled_while_a_long_gate_runs(assembled: Station) -> None:
    ended = asyncio.Event()

    async def a_long_gate() -> None:
        await assembled.conductor.cancel(OLIVE)
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    assembled.world.meanwhile["gate ledger"] = a_long_gate
    async with asyncio.timeout(5):
        assert (await assembled.shipped()).state is RunState.CANCELLED
    assert ended.is_set(), "the gate was ended, not left behind"
    assert assembled.world.ledger == []
    progress = await assembled.progress()
    assert {step.state for step in progress.steps} == {StepState.WAITING}, "what was cut off changed nothing"
    assert (await assembled.shipped()).state is RunState.FINISHED


async def test_a_ship_that_nobody_drives_yet_is_cancelled(assembled: Station) -> None:
    ship = await assembled.confirmed()
    assert (await assembled.conductor.cancel(OLIVE)).state is RunState.CANCELLED
    assert (await assembled.dispatcher.drive(ship)).state is RunState.CANCELLED
    assert assembled.world.ledger == []


async def test_it_is_too_late_to_cancel_once_a_package_was_begun(assembled: Station) -> None:
    refusals: list[Refused] = []

    async def too_late() -> None:
        with pytest.raises(Refused, match="it is too late to cancel") as refusal:
            await assembled.conductor.cancel(OLIVE)
        refusals.append(refusal.value)

    assembled.world.meanwhile["publish money"] = too_late
    assert (await assembled.shipped()).state is RunState.FINISHED
    assert refusals[0].reasons[0].why == "begun already: publish money 1.1.0"


async def test_a_step_that_could_not_even_be_looked_at_does_not_make_it_too_late_to_cancel(assembled: Station) -> None:
    ship, world = await assembled.confirmed(), assembled.world
    world.silent = {"registry"}
    assert (await assembled.dispatcher.drive(ship)).state is RunState.STOPPED
    world.silent = set()
    again = await assembled.conductor.resume(OLIVE)
    assert (await assembled.conductor.cancel(OLIVE)).state is RunState.CANCELLED
    assert (await assembled.dispatcher.drive(again.id)).state is RunState.CANCELLED
    assert world.ledger == []


async def test_it_stays_too_late_to_cancel_when_a_later_attempt_fails_at_its_look(assembled: Station) -> None:
    ship, world = await assembled.confirmed(), assembled.world
    world.fail("publish money", Refused("money was refused"))
    assert (await assembled.dispatcher.drive(ship)).state is RunState.STOPPED
    world.silent = {"registry"}
    assert (await assembled.resumed()).state is RunState.STOPPED
    await assembled.conductor.resume(OLIVE)
    with pytest.raises(Refused, match="it is too late to cancel"):
        await assembled.conductor.cancel(OLIVE)


async def test_there_is_nothing_to_cancel_before_a_ship_and_after_it(assembled: Station) -> None:
    for state in ("it never ran", "its last ship is finished"):
        with pytest.raises(Refused, match=state):
            await assembled.conductor.cancel(OLIVE, RELEASE)
        if (await assembled.conductor.status(RELEASE)).progress is None:
            await assembled.shipped()


# ── the board meanwhile ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_handoff_arrives_while_the_train_ships(assembled: Station) -> None:
    await assembled.board.new(ADA, draft("next", "docs"))

    async def work_goes_on() -> None:
        await handed_off(assembled.board, "next")
        await assembled.board.handoff(ADA, "seats", HANDOFF)

    assembled.world.meanwhile["deploy hub"] = work_goes_on
    assert (await assembled.shipped()).state is RunState.FINISHED
    assert (await assembled.board.show(OLIVE, "next")).task.stage is Stage.SUBMITTED
    aboard = await assembled.board.show(OLIVE, "seats")
    assert aboard.moves[-1].to is Stage.SHIPPED
    assert [remark.kind for remark in aboard.remarks].count(RemarkKind.HANDOFF) == 2, (
        "the one aboard was noted, no more"
    )


async def test_nobody_gets_on_or_off_while_the_train_ships(assembled: Station) -> None:
    await assembled.reviewed(draft("late", "docs"))
    refused: list[str] = []

    async def everybody_tries() -> None:
        conductor = assembled.conductor
        for attempt in (
            conductor.add(OLIVE, "late"),
            conductor.eject(OLIVE, "words"),
            conductor.abandon(OLIVE),
            conductor.offer(OLIVE),
            conductor.resume(OLIVE),
        ):
            with pytest.raises(Refused, match="is shipping already") as no:
                await attempt
            refused.append(no.value.reasons[0].why)
        with pytest.raises(Refused, match="the test holds the train"):
            await conductor.freeze(OLIVE)

    assembled.world.meanwhile["deploy hub"] = everybody_tries
    assert (await assembled.shipped()).state is RunState.FINISHED
    assert len(refused) == 5
    assert all("confirmed by olive" in why and "the test holds the train since" in why for why in refused)


async def test_a_freeze_that_takes_long_does_not_touch_a_train_that_is_confirmed_meanwhile(
    assembled: Station, neighbour: Station
) -> None:
    """L32: the facts were read before the other one moved."""
    digest = await offered(assembled)
    before = (await assembled.conductor.status(RELEASE)).release

    async def confirmed_meanwhile() -> None:
        await confirm(neighbour, digest)
        assembled.world.refs["docs", "release"] = assembled.world.commit({"late": b""}, before.frozen[-1].sha)

    assembled.world.meanwhile["git docs"] = confirmed_meanwhile
    with pytest.raises(Refused):
        await assembled.conductor.freeze(OLIVE)
    assert (await assembled.conductor.status(RELEASE)).release.frozen == before.frozen


async def test_an_abandoned_train_gives_its_tasks_back_and_frees_the_slot(assembled: Station) -> None:
    assembled.world.fail("deploy hub", StepFailed("hub does not serve"))
    await assembled.shipped()
    assert (await assembled.conductor.abandon(OLIVE)).state is ReleaseState.ABANDONED
    pages = [await assembled.board.show(OLIVE, slug) for slug in ("pay", "seats", "words")]
    assert {(page.task.stage, page.task.release, page.moves[-1].to) for page in pages} == {
        (Stage.REVIEWED, None, Stage.REVIEWED)
    }
    with pytest.raises(Refused, match="no release is active"):
        await assembled.conductor.resume(OLIVE)
    with pytest.raises(Refused):
        await assembled.conductor.resume(OLIVE, RELEASE)
    assert (await assembled.conductor.open(OLIVE, "r2", ["pay", "words"])).members == ("pay", "words")


async def test_a_task_with_open_feedback_does_not_board(station: Station) -> None:
    """Nor does one that was ejected, before its conflict was mended and handed off (spec 2.4, 4.2)."""
    [slug] = await station.reviewed(draft("odds", "turf"))
    await station.conductor.open(OLIVE, RELEASE)
    await station.board.feedback(OLIVE, slug, "the odds are upside down")
    with pytest.raises(Refused, match=r"feedback #\d+ is open"):
        await station.conductor.add(OLIVE, slug)
    [remark] = [one for one in (await station.board.show(OLIVE, slug)).remarks if one.is_open]
    await station.board.resolve(OLIVE, slug, remark.id)
    assert (await station.conductor.add(OLIVE, slug)).members == (slug,)
