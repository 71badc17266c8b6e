"""What people and agents say about a task, and which of it is still open (spec 2.4). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

import msgspec

from core.errors import Reason, Refused
from core.people import Deed, People
from core.permissions import Actor, Role


class RemarkKind(StrEnum):
    """What an entry is; only `qa_feedback` blocks."""

    COMMENT = "comment"
    CLARIFICATION = "clarification"
    QA_FEEDBACK = "qa_feedback"
    HANDOFF = "handoff"
    VERDICT = "verdict"


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a task's conversation; `id` is 0 until stored. Only feedback is ever resolved."""

    task: str
    kind: RemarkKind
    author: str
    author_id: str = ""
    body: str
    at: datetime
    resolved_at: datetime | None = None
    resolved_by: str = ""
    id: int = 0

    @property
    def deed(self) -> Deed:
        """Who said it, and when."""
        return Deed(self.author_id, self.author, self.at)

    @property
    def is_open(self) -> bool:
        """Does it keep the task from being reviewed?"""
        return self.kind is RemarkKind.QA_FEEDBACK and self.resolved_at is None


def open_feedback(remarks: Iterable[Remark]) -> list[Remark]:
    """The feedback that no handoff has answered yet, oldest first."""
    return [remark for remark in remarks if remark.is_open]


def blocking(remarks: Iterable[Remark]) -> list[Reason]:
    """Why open feedback keeps a task from being reviewed."""
    return [
        Reason(
            f"feedback #{remark.id} is open",
            f"{remark.author}: {' '.join(remark.body.split())[:120]}",
            f"task handoff {remark.task}, which answers it",
        )
        for remark in open_feedback(remarks)
    ]


def resolved(remark: Remark, actor: Actor, people: People, at: datetime) -> Remark:
    """`remark`, answered. Refused for what is not open, and for who neither gave the feedback nor reviews."""
    reasons: list[Reason] = []
    if not remark.is_open:
        why = f"{remark.resolved_by} resolved it" if remark.resolved_at else f"it is a {remark.kind}"
        reasons.append(Reason(f"#{remark.id} of {remark.task} is not open", why, f"task show {remark.task}"))
    if not people.was(remark.deed, actor.id) and Role.REVIEWER not in actor.roles:
        reasons.append(
            Reason(
                f"only {remark.author} or a reviewer may resolve #{remark.id}",
                "who builds answers feedback with a handoff",
                f"task handoff {remark.task}",
            )
        )
    if reasons:
        raise Refused.all(reasons)
    return msgspec.structs.replace(remark, resolved_at=at, resolved_by=actor.name)


def said(body: str) -> str:
    """The text of an entry; Refused when it is blank."""
    if not body.strip():
        raise Refused("there is nothing to say", "an entry needs a text", "write it, then try again")
    return body.strip()
