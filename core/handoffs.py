"""What one worker leaves for the next, and what a task needs before it may be reviewed (spec 2.3, 2.6). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from core.errors import Reason, Refused
from core.registry import Sha
from core.tasks import NOTHING_REPORTED, Reported, Stage, Task

_TIER = re.compile(r"\s*\[([^\]\s]+)\]\s*\S")


class Handoff(msgspec.Struct, frozen=True, kw_only=True):
    """What changed, what was verified, what to look at first. A check reads `[unit] pytest -q: 31 passed`."""

    changed: str
    verified: str = ""
    look_first: str = ""
    checks: tuple[str, ...] = ()
    reported: Reported = NOTHING_REPORTED

    @property
    def body(self) -> str:
        """The entry of the conversation."""
        parts = {"Changed": self.changed, "Verified": self.verified, "Look first at": self.look_first}
        return "\n".join(f"{name}: {text.strip()}" for name, text in parts.items() if text.strip())


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the checks run. `machine`: the engine saw it itself, on `commit`; else somebody reported it (L53)."""

    text: str
    commit: Sha | None = None
    at: datetime
    by: str
    machine: bool = False


def tier_of(check: str) -> str:
    """`unit` of `[unit] pytest -q: 31 passed`; blank where no tier stands in front, or nothing behind it."""
    found = _TIER.match(check)
    return found[1].lower() if found else ""


def missing_for_review(task: Task, checks: Iterable[str], owed_tiers: Sequence[str]) -> list[Reason]:
    """What the definition of ready still asks for, all at once (spec 2.6). `checks`: those run since building began."""
    ran = {tier_of(check) for check in checks}
    reasons = [
        Reason(f"no [{tier}] check", f"shape {task.shape} owes one", f"run it, and hand it off as: [{tier}] …")
        for tier in owed_tiers
        if tier not in ran
    ]
    blank = {"acceptance criteria": task.acceptance_criteria, "a test plan": task.test_plan}
    reasons += [
        Reason(
            f"{task.slug} has no {name.removeprefix('a ')}",
            f"a review needs {name}",
            f"task edit {task.slug}, which takes it",
        )
        for name, text in blank.items()
        if not text.strip()
    ]
    if not task.works:
        reasons.append(
            Reason(f"{task.slug} names no repository", "its work lives there", f"task edit {task.slug}, which takes it")
        )
    return reasons


def require_ready(task: Task, handoff: Handoff, owed_tiers: Sequence[str]) -> None:
    """Refused, with all that is missing, unless `handoff` makes a task that is being built ready for review."""
    if reasons := [*_silence(handoff), *missing_for_review(task, handoff.checks, owed_tiers)]:
        raise Refused.all(reasons)


def require_entry(task: Task, handoff: Handoff) -> None:
    """Refused, unless `handoff` may be noted for a task that was submitted before and has not shipped yet."""
    reasons = _silence(handoff)
    if task.stage not in (Stage.SUBMITTED, Stage.REVIEWED, Stage.ASSEMBLED):
        first = {Stage.DESIGNED: "start", Stage.BLOCKED: "unblock"}.get(task.stage)
        next_ = f"task {first} {task.slug}" if first else "make a task of what is left"
        reasons.append(Reason(f"{task.slug} cannot be handed off", f"it is {task.stage}", next_))
    if reasons:
        raise Refused.all(reasons)


def _silence(handoff: Handoff) -> list[Reason]:
    """Why a handoff that says nothing helps nobody."""
    if handoff.changed.strip():
        return []
    return [Reason("the handoff says nothing", "the next one must know what changed", "say what changed")]
