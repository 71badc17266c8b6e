"""Handoffs, conversation and reviews (spec 2.3–2.6): who may say what, and all that is missing at once."""

from __future__ import annotations

import msgspec
import pytest

from core.board import Board
from core.conversation import RemarkKind
from core.edits import TaskChanges
from core.errors import Refused
from core.events import EventKind
from core.handoffs import Handoff, tier_of
from core.journal import RunState
from core.permissions import Actor, Face, Role
from core.reviews import Finding, Seat, Severity, Verdict
from core.tasks import Reported, Stage
from tests.world.reviewing import ADA, HANDOFF, REX, TESS, brought_to_review, handed_off
from tests.world.toy_train import OLIVE, WHOLE_TRAIN, Station, draft

STRANGER = Actor("test:eve", "eve", frozenset(), Face.DISCORD)
EVERYTHING = Actor("test:max", "max", frozenset(Role), Face.CLI)
BLOCKER, NIT = Finding(Severity.BLOCKER, "it loses money"), Finding(Severity.NIT, "a comma")


@pytest.fixture
async def board(station: Station) -> Board:
    """With one task, `pay`, at designed."""
    await station.board.new(ADA, draft("pay", "money"))
    return station.board


@pytest.fixture
async def submitted(board: Board) -> Board:
    """With `pay` handed off by Ada."""
    await handed_off(board, "pay")
    return board


def whats(refusal: pytest.ExceptionInfo[Refused]) -> list[str]:
    return [reason.what for reason in refusal.value.reasons]


# ── handoffs ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_handoff_that_is_not_ready_says_all_that_is_missing(board: Board) -> None:
    """Spec 2.6."""
    await board.start(ADA, "pay")
    with pytest.raises(Refused) as refusal:
        await board.handoff(ADA, "pay", Handoff(changed=" ", checks=("[unit]", "unit: green", "[e2e] green")))
    wanted = ["no [unit] check", "pay has no acceptance criteria", "pay has no test plan"]
    assert whats(refusal) == ["the handoff says nothing", *wanted]
    page = await board.show(ADA, "pay")
    assert [reason.what for reason in page.missing] == wanted
    assert (page.task.stage, page.checks, page.remarks) == (Stage.BUILDING, (), ())


async def test_a_handoff_submits_with_its_checks_and_what_it_took(board: Board) -> None:
    await board.start(ADA, "pay")
    await board.edit(ADA, "pay", TaskChanges(acceptance_criteria="it pays", test_plan="pay"))
    told = Handoff(
        changed="fees", look_first="fees.py", checks=("[unit] 3 passed",), reported=Reported("opus", 9, None)
    )
    assert (await board.handoff(ADA, "pay", told)).stage is Stage.SUBMITTED
    page = await board.show(ADA, "pay")
    last = page.moves[-1]
    assert (last.to, last.model, last.tokens, last.cost_usd) == (Stage.SUBMITTED, "opus", 9, None)
    assert [(check.text, check.by, check.machine) for check in page.checks] == [("[unit] 3 passed", "ada", False)]
    assert [(one.kind, one.body) for one in page.remarks] == [
        (RemarkKind.HANDOFF, "Changed: fees\nLook first at: fees.py")
    ]
    assert page.missing == ()


async def test_checks_of_an_earlier_round_are_no_evidence_for_the_next(submitted: Board) -> None:
    await submitted.review(REX, "pay", Seat.HEAVY, Verdict.REQUEST_CHANGES, [BLOCKER])
    await submitted.unblock(ADA, "pay")
    assert [reason.what for reason in (await submitted.show(ADA, "pay")).missing] == ["no [unit] check"]
    with pytest.raises(Refused, match=r"no \[unit\] check"):
        await submitted.handoff(ADA, "pay", Handoff(changed="repaired"))
    await submitted.handoff(ADA, "pay", HANDOFF)


async def test_a_handoff_before_the_start_or_while_blocked_says_what_comes_first(board: Board) -> None:
    for first in ("start", "unblock"):
        with pytest.raises(Refused) as refusal:
            await board.handoff(ADA, "pay", HANDOFF)
        assert refusal.value.reasons[0].next == f"task {first} pay"
        await getattr(board, first)(ADA, "pay")
        await board.block(REX, "pay", "wait")


@pytest.mark.parametrize(
    ("text", "tier"),
    [("[unit] ok", "unit"), (" [E2E]ok", "e2e"), ("[unit]", ""), ("unit ok", ""), ("ok [unit] ok", ""), ("[] x", "")],
)
def test_a_check_names_its_tier_in_front(text: str, tier: str) -> None:
    assert tier_of(text) == tier


# ── conversation ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_open_feedback_keeps_a_task_from_being_reviewed_until_a_handoff(submitted: Board) -> None:
    """Spec 2.4."""
    first = await submitted.feedback(OLIVE, "pay", "the button\nis gone")
    await submitted.feedback(REX, "pay", "so is the page")
    await submitted.review(TESS, "pay", Seat.LIGHT, Verdict.APPROVE)
    with pytest.raises(Refused) as refusal:
        await submitted.review(REX, "pay", Seat.HEAVY, Verdict.APPROVE)
    assert whats(refusal) == [f"feedback #{first.id} is open", f"feedback #{first.id + 1} is open"]
    assert refusal.value.reasons[0].why == "olive: the button is gone"
    assert (await submitted.handoff(ADA, "pay", Handoff(changed="it is back"))).stage is Stage.SUBMITTED
    page = await submitted.show(ADA, "pay")
    assert {one.resolved_by for one in page.remarks if one.kind is RemarkKind.QA_FEEDBACK} == {"ada"}
    assert (await submitted.review(REX, "pay", Seat.HEAVY, Verdict.APPROVE)).stage is Stage.REVIEWED


async def test_feedback_is_resolved_by_who_gave_it_or_by_a_reviewer_and_once(submitted: Board) -> None:
    remark = await submitted.feedback(OLIVE, "pay", "the button is gone")
    with pytest.raises(Refused, match="only olive or a reviewer"):
        await submitted.resolve(ADA, "pay", remark.id)
    assert (await submitted.resolve(REX, "pay", remark.id)).resolved_by == "rex"
    with pytest.raises(Refused, match="rex resolved it"):
        await submitted.resolve(OLIVE, "pay", remark.id)
    with pytest.raises(Refused, match="has no entry #999"):
        await submitted.resolve(OLIVE, "pay", 999)


async def test_a_blank_remark_is_refused_and_a_stranger_says_nothing(board: Board) -> None:
    with pytest.raises(Refused, match="nothing to say"):
        await board.comment(ADA, "pay", " \n")
    with pytest.raises(Refused, match="only the agent or operator or reviewer role"):
        await board.comment(STRANGER, "pay", "hello")


async def test_a_shipped_task_takes_comments_but_no_feedback(assembled: Station) -> None:
    await assembled.shipped()
    assert (await assembled.board.comment(ADA, "pay", "well done", clarification=True)).kind is RemarkKind.CLARIFICATION
    with pytest.raises(Refused, match="no more feedback"):
        await assembled.board.feedback(ADA, "pay", "one more thing")


# ── reviews ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_two_approvals_make_a_task_reviewed(submitted: Board) -> None:
    """Spec 2.5."""
    assert (await submitted.review(REX, "pay", Seat.HEAVY, Verdict.APPROVE_WITH_NITS, [NIT])).stage is Stage.SUBMITTED
    assert (await submitted.review(TESS, "pay", Seat.LIGHT, Verdict.APPROVE)).stage is Stage.REVIEWED


async def test_requested_changes_block_with_all_findings_in_one_numbered_entry(submitted: Board) -> None:
    found = [NIT, Finding(Severity.MAJOR, "slow"), BLOCKER]
    assert (
        await submitted.review(REX, "pay", Seat.HEAVY, Verdict.REQUEST_CHANGES, found, "No.")
    ).stage is Stage.BLOCKED
    page = await submitted.show(ADA, "pay")
    assert page.remarks[-1].kind is RemarkKind.VERDICT
    assert page.remarks[-1].body.splitlines() == [
        *("heavy review, round 1: request-changes", "No."),
        *("1. [blocker] it loses money", "2. [major] slow", "3. [nit] a comma"),
    ]
    assert page.moves[-1].reason == "heavy review: 3 findings"
    await submitted.unblock(ADA, "pay")
    await submitted.handoff(ADA, "pay", HANDOFF)
    await submitted.review(TESS, "pay", Seat.HEAVY, Verdict.APPROVE)
    assert (await submitted.review(REX, "pay", Seat.LIGHT, Verdict.APPROVE)).stage is Stage.REVIEWED
    assert [(one.round, one.seat) for one in (await submitted.show(ADA, "pay")).reviews] == [
        *((1, Seat.HEAVY), (2, Seat.HEAVY), (2, Seat.LIGHT)),
    ]


async def test_an_approval_of_an_earlier_round_does_not_count(submitted: Board) -> None:
    await submitted.review(TESS, "pay", Seat.LIGHT, Verdict.APPROVE)
    await submitted.review(REX, "pay", Seat.HEAVY, Verdict.REQUEST_CHANGES, [BLOCKER])
    await submitted.unblock(ADA, "pay")
    await submitted.handoff(ADA, "pay", HANDOFF)
    assert (await submitted.review(REX, "pay", Seat.HEAVY, Verdict.APPROVE)).stage is Stage.SUBMITTED


async def test_all_that_is_wrong_with_a_review_is_said_at_once(board: Board) -> None:
    await board.start(EVERYTHING, "pay")
    with pytest.raises(Refused) as refusal:
        await board.review(EVERYTHING, "pay", Seat.HEAVY, Verdict.APPROVE, [BLOCKER, Finding(Severity.NIT, " ")])
    assert whats(refusal) == [
        *("pay is not up for review", "max built pay", "an approval with a blocker", "finding 2 says nothing"),
    ]


async def test_a_task_whose_builder_nobody_knows_is_not_reviewed(station: Station) -> None:
    lost = draft("lost", "money")
    async with station.ports.records.transaction() as tx:
        await tx.insert_task(lost)
    with pytest.raises(Refused, match="nobody knows who built lost"):
        await station.board.review(REX, "lost", Seat.HEAVY, Verdict.APPROVE)


async def test_whoever_took_a_task_over_does_not_review_it_either(submitted: Board) -> None:
    await submitted.block(ADA, "pay", "the fees are unclear")
    await submitted.unblock(EVERYTHING, "pay")
    await submitted.handoff(EVERYTHING, "pay", HANDOFF)
    for builder in (EVERYTHING, msgspec.structs.replace(ADA, roles=frozenset(Role))):
        with pytest.raises(Refused, match=f"{builder.name} built pay"):
            await submitted.review(builder, "pay", Seat.HEAVY, Verdict.APPROVE)
    await submitted.review(REX, "pay", Seat.HEAVY, Verdict.APPROVE)


async def test_one_person_cannot_take_both_seats_nor_another_ones(submitted: Board) -> None:
    await submitted.review(REX, "pay", Seat.HEAVY, Verdict.APPROVE)
    with pytest.raises(Refused, match="rex has the heavy seat"):
        await submitted.review(REX, "pay", Seat.LIGHT, Verdict.APPROVE)
    with pytest.raises(Refused, match="the heavy seat is taken"):
        await submitted.review(TESS, "pay", Seat.HEAVY, Verdict.APPROVE)
    with pytest.raises(Refused, match="no findings"):
        await submitted.review(TESS, "pay", Seat.LIGHT, Verdict.REQUEST_CHANGES)
    with pytest.raises(Refused, match="only the reviewer role may review"):
        await submitted.review(OLIVE, "pay", Seat.LIGHT, Verdict.APPROVE)


async def test_what_changed_after_its_review_is_looked_at_again_by_entries_that_move_nothing(
    submitted: Board,
) -> None:
    """Spec 2.4: a handoff of a reviewed task answered its feedback, and nobody looked at the code that came with it."""
    for reviewer, seat in ((REX, Seat.HEAVY), (TESS, Seat.LIGHT)):
        await submitted.review(reviewer, "pay", seat, Verdict.APPROVE)
    with pytest.raises(Refused, match="pay is not up for review"):
        await submitted.review(REX, "pay", Seat.HEAVY, Verdict.APPROVE)
    assert (await submitted.show(ADA, "pay")).missing == ()
    await submitted.handoff(ADA, "pay", HANDOFF)
    assert [one.what for one in (await submitted.show(ADA, "pay")).missing] == ["pay changed after its review"]
    assert (await submitted.review(TESS, "pay", Seat.LIGHT, Verdict.REQUEST_CHANGES, [BLOCKER])).stage is Stage.REVIEWED
    found = (await submitted.show(ADA, "pay")).remarks[-1]
    assert (found.kind, found.is_open) == (RemarkKind.QA_FEEDBACK, True)
    assert found.body.startswith("light review, round 2: request-changes")
    await submitted.handoff(ADA, "pay", HANDOFF)
    with pytest.raises(Refused, match="ada built pay"):
        await submitted.review(msgspec.structs.replace(ADA, roles=frozenset(Role)), "pay", Seat.HEAVY, Verdict.APPROVE)
    await submitted.review(REX, "pay", Seat.HEAVY, Verdict.APPROVE)
    page = await submitted.show(ADA, "pay")
    assert (page.task.stage, page.remarks[-1].kind) == (Stage.REVIEWED, RemarkKind.VERDICT)
    assert [(one.round, one.seat) for one in page.reviews][2:] == [(2, Seat.LIGHT), (3, Seat.HEAVY)]
    assert [move.to for move in page.moves][-1] is Stage.REVIEWED and len(page.moves) == 4


async def test_the_team_says_which_seats_make_the_quorum(station: Station) -> None:
    board = Board(station.registry, {"toy": ()}, station.ports, [Seat.HEAVY])
    await board.new(ADA, draft("pay", "money"))
    await handed_off(board, "pay")
    assert (await board.review(TESS, "pay", Seat.LIGHT, Verdict.APPROVE)).stage is Stage.SUBMITTED
    assert (await board.review(REX, "pay", Seat.HEAVY, Verdict.APPROVE)).stage is Stage.REVIEWED


# ── what is told ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_happens_on_the_board_is_told_with_its_task_and_no_release(station: Station) -> None:
    await station.board.new(ADA, draft("pay", "money"))
    await brought_to_review(station.board, "pay")
    async with station.ports.records.reading() as tx:
        events = await tx.events()
    assert {(event.task, event.release) for event in events} == {("pay", "")}
    moved = [event.facts["to"] for event in events if event.kind is EventKind.TASK_MOVED]
    assert moved == ["building", "submitted", "reviewed"]
    assert {event.kind for event in events} >= {EventKind.TASK_CREATED, EventKind.TASK_EDITED, EventKind.TASK_REVIEWED}


async def assert_every_move_was_told_once(station: Station) -> None:
    async with station.ports.records.reading() as tx:
        events = await tx.events(limit=None)
        moves = [move for task in WHOLE_TRAIN for move in (await tx.moves(task.slug))[1:]]
    told = [event for event in events if event.kind is EventKind.TASK_MOVED]
    assert {event.release for event in told} == {""}
    assert sorted((one.task, one.facts["origin"], one.facts["to"], one.actor, one.at) for one in told) == sorted(
        (move.task, str(move.origin), str(move.to), move.actor, move.at) for move in moves
    )


async def test_whoever_follows_the_board_hears_of_the_moves_that_the_train_makes(assembled: Station) -> None:
    await assembled.conductor.eject(OLIVE, "words")
    await assembled.conductor.freeze(OLIVE)
    assert (await assembled.shipped()).state is RunState.FINISHED
    await assert_every_move_was_told_once(assembled)


async def test_whoever_follows_the_board_hears_that_a_train_was_given_up(assembled: Station) -> None:
    await assembled.conductor.abandon(OLIVE)
    await assert_every_move_was_told_once(assembled)
