"""The task page as data: every section of spec 2.8 in its order, told once and shown by each face in its way. Pure.

A line is made of our own words (`str`), what others wrote (`Said`), names of people and things that may be cut
(`Name`), what can be typed somewhere (`Code`), and moments (`At`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from core.board import TaskPage
from core.conversation import Remark, RemarkKind
from core.errors import Reason
from core.handoffs import Check
from core.sizing import Calibration, Sizing
from core.tasks import Move, Stage
from core.words import counted, lasting, short


class Said(NamedTuple):
    """Text of others, whole, with its line breaks."""

    text: str


class Name(NamedTuple):
    """What somebody or something is called."""

    text: str


class Code(NamedTuple):
    """A word or command that is typed somewhere."""

    text: str


class At(NamedTuple):
    """A moment, shown in the reader's zone."""

    moment: datetime


NEXT = {
    Stage.DESIGNED: "task start",
    Stage.BUILDING: "task handoff",
    Stage.SUBMITTED: "task review",
    Stage.REVIEWED: "release add",
    Stage.BLOCKED: "task unblock",
    Stage.SHIPPED: "task actual",
}
"""What somebody does with a task of this stage, as it is typed."""
Line = tuple[str | Said | Name | Code | At, ...]


class Section(msgspec.Struct, frozen=True):
    """A title, blank for the header, and what is known; a section of which nothing is known says so."""

    title: str
    lines: tuple[Line, ...]


def sections(page: TaskPage) -> Iterator[Section]:
    """The whole page."""
    task = page.task
    yield Section("", tuple(_header(page)))
    yield _known("DevOps handoff", _handoff(page))
    yield _known("Acceptance criteria", _text(task.acceptance_criteria))
    yield _known("Expected test plan", _text(task.test_plan))
    yield _known("Checks run", map(_check, page.checks))
    yield _known("Agent context", _text(task.agent_context))
    yield _known("Stage timeline", map(_move, page.moves))
    yield _known("Conversation", map(remark_line, page.remarks))
    yield _known("Sizing", sizing_lines(page.sizing))
    if page.missing:
        yield _known("Missing for a review", map(_reason, page.missing))


def calibration_lines(found: Sequence[Calibration]) -> Iterator[Line]:
    """How far each bidder is off."""
    for one in found:
        yield (f"{one.bidder}: {one.mean_distance:.2f} sizes off on the average, over {counted(one.tasks, 'task')}",)
    if not found:
        yield ("no task has three bids and an actual size yet",)


def sizing_lines(found: Sizing) -> Iterator[Line]:
    """The bids, as far as this viewer may see them."""
    for bid in found.bids:
        yield (f"{bid.bidder} {bid.size or 'has bid, sealed'} · ", Name(bid.by))
    if found.waiting:
        yield (f"sealed until all three have bid; waits for {', '.join(found.waiting)}",)
    if found.actual:
        yield (f"actual {found.actual}",)


def remark_line(remark: Remark) -> Line:
    """One entry of the conversation."""
    state: Line = (", OPEN",) if remark.is_open else ()
    if remark.resolved_at:
        state = (", resolved by ", Name(remark.resolved_by))
    head = f"• #{remark.id} {remark.kind.replace('_', ' ')}"
    return (head, *state, " · ", Name(remark.author), " ", At(remark.at), "\n", Said(remark.body))


def _header(page: TaskPage) -> Iterator[Line]:
    task = page.task
    rides: Line = (" · rides ", Code(task.release)) if task.release else ()
    yield (f"{task.stage} · {task.type} · shape ", Name(task.shape), *rides)
    times = {"created": task.created_at, "started": task.started_at, "completed": task.completed_at}
    for name, at in times.items():
        yield (f"{name} ", At(at) if at else "—")
    yield ("builder ", Name(task.builder or "—"), f" · revision {task.revision}")
    yield (f"may go to {', '.join(page.legal) or 'no other stage'}",)


def _handoff(page: TaskPage) -> Iterator[Line]:
    task = page.task
    for work in task.works:
        yield (Name(work.repository), " on ", Code(work.branch))
    codes = {"worktree": task.worktree, "post-deploy command": task.post_deploy_cmd}
    yield from ((f"{name} ", Code(text)) for name, text in codes.items() if text)
    addresses = {"local": task.local_url, "QA": task.qa_url, "production": task.production_url}
    yield from ((f"{name} ", Code(address)) for name, address in addresses.items() if address)
    lists = {"risks": task.risk_tags, "depends on": task.depends_on}
    yield from ((f"{name} ", Said(", ".join(words))) for name, words in lists.items() if words)
    if left := [remark for remark in page.remarks if remark.kind is RemarkKind.HANDOFF]:
        yield (Name(left[-1].author), " handed off ", At(left[-1].at), "\n", Said(left[-1].body))


def _check(check: Check) -> Line:
    commit: Line = (" on ", Code(short(check.commit))) if check.commit else ()
    seen = "seen by the machine" if check.machine else "reported"
    return ("• ", Said(check.text), f" — {seen}", *commit, ", ", Name(check.by), " ", At(check.at))


def _move(move: Move) -> Line:
    spent = f" after {lasting(move.seconds)}" if move.seconds is not None else ""
    tokens = f"{move.tokens:,}" if move.tokens is not None else "—"
    cost = f"${move.cost_usd:.2f}" if move.cost_usd is not None else "—"
    took: Line = ("\nmodel ", Name(move.model or "—"), f" · tokens {tokens} · cost {cost}")
    if (move.model, move.tokens, move.cost_usd) == (None, None, None):
        took = (" · model, tokens, cost —",)
    why: Line = ("\n", Said(move.reason)) if move.reason else ()
    who: Line = (" by ", Name(move.actor), f" ({move.source})")
    return ("• ", At(move.at), f" {move.origin or 'new'} → {move.to}{spent}", *who, *took, *why)


def _reason(reason: Reason) -> Line:
    return (Said(reason.what), " → ", Said(reason.next))


def _text(text: str) -> Iterator[Line]:
    if text.strip():
        yield (Said(text),)


def _known(title: str, lines: Iterator[Line]) -> Section:
    return Section(title, tuple(lines) or (("—",),))
