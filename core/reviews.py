"""Reviews: who may sit where, what a verdict needs, and when a round is over (spec 2.5). Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import combinations

import msgspec

from core.conversation import Remark, RemarkKind, blocking
from core.errors import Reason, Refused
from core.people import Deed, People
from core.registry import Sha
from core.tasks import Move, Stage, Task
from core.words import short

_MAY_BE_LATE = (Stage.REVIEWED, Stage.ASSEMBLED)
Heads = Mapping[str, Sha]
"""Repository → a commit of the task's branch there."""


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
    """One verdict. `round`: as `review_round` counted when it was given.

    `heads`: repository → where the branch of the task was on origin then; what could not be seen is not in it.
    """

    task: str
    seat: Seat
    reviewer: str
    reviewer_id: str = ""
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    body: str = ""
    at: datetime
    round: int
    heads: dict[str, Sha] = {}

    @property
    def deed(self) -> Deed:
        """Who gave it, and when."""
        return Deed(self.reviewer_id, self.reviewer, self.at)

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


def review_round(moves: Sequence[Move], remarks: Iterable[Remark]) -> int:
    """Which round of reviews a task is in: each submission starts one, and each handoff after it was reviewed."""
    return sum(move.to is Stage.SUBMITTED for move in moves) + len(late_handoffs(moves, remarks))


def late_handoffs(moves: Iterable[Move], remarks: Iterable[Remark]) -> list[Remark]:
    """Those noted after the task was reviewed, oldest first: what they tell of, no reviewer had seen."""
    reviewed_at = next((move.at for move in moves if (move.origin, move.to) == (Stage.SUBMITTED, Stage.REVIEWED)), None)
    late = (one for one in remarks if one.kind is RemarkKind.HANDOFF)
    return [one for one in late if reviewed_at and one.at > reviewed_at]


def seated(reviews: Iterable[Review], round: int) -> dict[Seat, Review]:
    """The last word of each seat in this round."""
    return {review.seat: review for review in reviews if review.round == round}


def builders(task: Task, remarks: Iterable[Remark]) -> list[Deed]:
    """Whoever began to build `task`, and whoever handed it on: it may change hands. Nobody, when no one knows."""
    if not task.builder:
        return []
    begun = Deed(task.builder_id, task.builder, task.started_at or task.created_at)
    return [begun, *(remark.deed for remark in remarks if remark.kind is RemarkKind.HANDOFF)]


def require_reviewable(
    task: Task,
    earlier: Sequence[Review],
    new: Review,
    built_by: Collection[Deed],
    people: People,
    *,
    is_late: bool,
) -> None:
    """Refused, with every reason at once, when `new` is no verdict that may be given on `task` now.

    `is_late`: it was handed on after it was reviewed, and may be reviewed again until it ships.
    """
    reasons: list[Reason] = []
    if task.stage is not Stage.SUBMITTED and not (is_late and task.stage in _MAY_BE_LATE):
        next_ = "wait for its handoff" if task.stage in (Stage.BUILDING, Stage.BLOCKED) else f"task show {task.slug}"
        reasons.append(Reason(f"{task.slug} is not up for review", f"it is {task.stage}", next_))
    if not built_by:
        reasons.append(
            Reason(f"nobody knows who built {task.slug}", "a builder never reviews", "have it started again")
        )
    elif deed := next((one for one in built_by if people.may_be(one, new.reviewer_id, new.reviewer)), None):
        what = f"{new.reviewer} built {task.slug}" + (f", as {deed.name}" if deed.name != new.reviewer else "")
        reasons.append(Reason(what, "a builder never reviews it", "ask somebody else"))
    for seat, held in seated(earlier, new.round).items():
        is_same = people.may_be(held.deed, new.reviewer_id, new.reviewer)
        if seat is new.seat and not is_same and held.heads == new.heads:
            reasons.append(
                Reason(
                    f"the {seat} seat is taken", f"by {held.deed.told_to(new.reviewer)} in this round", "take the other"
                )
            )
        if seat is not new.seat and is_same:
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


def unapproved(reviews: Iterable[Review], round: int, quorum: Iterable[Seat]) -> list[Seat]:
    """The seats of `quorum` that have not approved in this round; when there is none, the round is over."""
    held = seated(reviews, round)
    return [seat for seat in quorum if seat not in held or not held[seat].approves]


def by_one_person(task: Task, remarks: Iterable[Remark], reviews: Sequence[Review], people: People) -> list[Reason]:
    """What approvals of the newest round are worth no more: those whom an operator linked since are one person."""
    if task.stage not in _MAY_BE_LATE:
        return []
    held = seated(reviews, max((review.round for review in reviews), default=0))
    given, built_by = [review for review in held.values() if review.approves], builders(task, remarks)
    next_ = f"task handoff {task.slug}, then two others review it"
    found = [
        Reason(f"{task.slug} was approved by who built it", f"{review.reviewer} ({review.reviewer_id})", next_)
        for review in given
        if any(people.may_be(deed, review.reviewer_id, review.reviewer) for deed in built_by)
    ]
    for one, other in combinations(given, 2):
        if people.may_be(one.deed, other.reviewer_id, other.reviewer):
            why = f"{one.reviewer} ({one.reviewer_id}) is {other.reviewer} ({other.reviewer_id})"
            found.append(Reason(f"one person approved {task.slug} twice", why, next_))
    return found


def moved_on(reviews: Iterable[Review], quorum: Iterable[Seat], heads: Heads) -> list[Reason]:
    """What of `heads` an approval of the newest round has not seen: pushed, rewritten since, or never looked up.

    A branch that only took main in is another one, too: nobody has seen what the two come to.
    """
    given = list(reviews)
    held = seated(given, max((one.round for one in given), default=0))
    found = list[Reason]()
    for seat in quorum:
        if (review := held.get(seat)) is None or not review.approves:
            continue
        changed = [
            f"{name} {_approved_at(review.heads.get(name))}, now {short(now)}"
            for name, now in sorted(heads.items())
            if review.heads.get(name) != now
        ]
        if changed:
            what, why = f"{review.task} changed after its {seat} review", f"{'; '.join(changed)} (by {review.reviewer})"
            found.append(Reason(what, why, f"task review {review.task} {seat} VERDICT"))
    return found


def _approved_at(seen: Sha | None) -> str:
    return f"approved at {short(seen)}" if seen else "approved at a commit that nobody looked up"


def unseen(
    task: Task, moves: Sequence[Move], remarks: Sequence[Remark], reviews: Iterable[Review], quorum: Iterable[Seat]
) -> list[Reason]:
    """What rides, or may, although not everybody has looked: a change after the review, and feedback that is open."""
    if task.stage not in _MAY_BE_LATE:
        return []
    late, found = late_handoffs(moves, remarks), list[Reason]()
    if late and (seats := unapproved(reviews, review_round(moves, remarks), quorum)):
        what, missing = f"{task.slug} changed after its review", f"no approval since: {', '.join(seats)}"
        why = f"handoff of {late[-1].at:%Y-%m-%d %H:%M} UTC by {late[-1].author}; {missing}"
        found.append(Reason(what, why, f"task review {task.slug} {seats[0]} VERDICT"))
    return [*found, *blocking(remarks)]
