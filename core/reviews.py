"""Reviews: who may sit where, what a verdict needs, and when a round is over (spec 2.5). Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from core.conversation import Remark, RemarkKind
from core.errors import Reason, Refused
from core.tasks import Move, Stage, Task


class Seat(StrEnum):
    """The two reviewers of a task; heavy is the primary one."""

    HEAVY = "heavy"
    LIGHT = "light"


class Verdict(StrEnum):
    """What a reviewer says."""

    APPROVE = "approve"
    APPROVE_WITH_NITS = "approve-with-nits"
    REQUEST_CHANGES = "request-changes"


class Severity(StrEnum):
    """How bad a finding is, worst first."""

    BLOCKER = "blocker"
    MAJOR = "major"
    MINOR = "minor"
    NIT = "nit"


class Finding(msgspec.Struct, frozen=True):
    """One thing that a reviewer found."""

    severity: Severity
    text: str


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict. `round`: how often the task had been submitted by then; every submission starts a new one."""

    task: str
    seat: Seat
    reviewer: str
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    body: str = ""
    at: datetime
    round: int

    @property
    def approves(self) -> bool:
        """Does it count for the quorum?"""
        return self.verdict is not Verdict.REQUEST_CHANGES

    @property
    def entry(self) -> str:
        """The one entry of the conversation: the verdict, and all findings, numbered, the worst first."""
        order = list(Severity)
        found = sorted(self.findings, key=lambda finding: order.index(finding.severity))
        lines = [f"{number}. [{one.severity}] {one.text.strip()}" for number, one in enumerate(found, 1)]
        head = f"{self.seat} review, round {self.round}: {self.verdict}"
        return "\n".join([head, *([self.body.strip()] if self.body.strip() else []), *lines])


def review_round(moves: Iterable[Move]) -> int:
    """Which round of reviews a task is in: 1 after its first submission."""
    return sum(move.to is Stage.SUBMITTED for move in moves)


def seated(reviews: Iterable[Review], round: int) -> dict[Seat, Review]:
    """The last word of each seat in this round."""
    return {review.seat: review for review in reviews if review.round == round}


def builders(task: Task, remarks: Iterable[Remark]) -> frozenset[str]:
    """Whoever began to build `task`, and whoever handed it on: it may change hands. Nobody, when no one knows."""
    handed_on = {remark.author for remark in remarks if remark.kind is RemarkKind.HANDOFF}
    return frozenset(handed_on | {task.builder} if task.builder else ())


def require_reviewable(task: Task, earlier: Sequence[Review], new: Review, built_by: Collection[str]) -> None:
    """Refused, with every reason at once, when `new` is no verdict that may be given on `task` now."""
    reasons: list[Reason] = []
    if task.stage is not Stage.SUBMITTED:
        next_ = "wait for its handoff" if task.stage in (Stage.BUILDING, Stage.BLOCKED) else f"task show {task.slug}"
        reasons.append(Reason(f"{task.slug} is not up for review", f"it is {task.stage}", next_))
    if not built_by:
        reasons.append(
            Reason(f"nobody knows who built {task.slug}", "a builder never reviews", "have it started again")
        )
    elif new.reviewer in built_by:
        reasons.append(Reason(f"{new.reviewer} built {task.slug}", "a builder never reviews it", "ask somebody else"))
    for seat, held in seated(earlier, new.round).items():
        if seat is new.seat and held.reviewer != new.reviewer:
            reasons.append(Reason(f"the {seat} seat is taken", f"by {held.reviewer} in this round", "take the other"))
        if seat is not new.seat and held.reviewer == new.reviewer:
            reasons.append(Reason(f"{new.reviewer} has the {seat} seat", "two seats, two people", "ask somebody else"))
    if not new.approves and not new.findings:
        reasons.append(Reason("no findings", "whoever builds must know what to change", "name all of them at once"))
    if new.approves and any(finding.severity is Severity.BLOCKER for finding in new.findings):
        reasons.append(Reason("an approval with a blocker", "the two exclude each other", "request changes instead"))
    reasons += [
        Reason(f"finding {number} says nothing", "a finding needs a text", "say what is wrong")
        for number, finding in enumerate(new.findings, 1)
        if not finding.text.strip()
    ]
    if reasons:
        raise Refused.all(reasons)


def is_quorum(reviews: Iterable[Review], round: int, quorum: Iterable[Seat]) -> bool:
    """Has every seat of `quorum` approved in this round?"""
    held = seated(reviews, round)
    return all(seat in held and held[seat].approves for seat in quorum)
