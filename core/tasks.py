"""Tasks, when one may be created, and the moves that it may make (spec 2.1–2.3). Pure; the caller brings the time."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from core.commands import split_words
from core.errors import Reason, Refused
from core.permissions import Actor, Role
from core.registry import Argv, Registry, unknown
from core.sizing import Size
from core.words import checked_branch, checked_slug, nearest, slug_from

TITLE_LIMIT = 200


class Stage(StrEnum):
    """Where a task is in its life."""

    DESIGNED = "designed"
    BUILDING = "building"
    SUBMITTED = "submitted"
    REVIEWED = "reviewed"
    ASSEMBLED = "assembled"
    SHIPPED = "shipped"
    ARCHIVED = "archived"
    BLOCKED = "blocked"


class TaskType(StrEnum):
    """The kind of work."""

    FEATURE = "feature"
    BUG = "bug"
    CHORE = "chore"
    DOCS = "docs"


class Work(msgspec.Struct, frozen=True):
    """One repository of a task and the branch that carries the work there."""

    repository: str
    branch: str


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What a task has one of (spec 2.1); `release` is the train it rides.

    `revision` counts the writes of the task; an edit says from which it was made.
    """

    slug: str
    title: str
    type: TaskType
    shape: str
    works: tuple[Work, ...]
    stage: Stage = Stage.DESIGNED
    worktree: str = ""
    local_url: str = ""
    qa_url: str = ""
    production_url: str = ""
    risk_tags: tuple[str, ...] = ()
    acceptance_criteria: str = ""
    test_plan: str = ""
    agent_context: str = ""
    depends_on: tuple[str, ...] = ()
    post_deploy_cmd: str = ""
    builder: str = ""
    builder_id: str = ""
    release: str | None = None
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    actual: Size | None = None
    revision: int = 0

    @property
    def repositories(self) -> tuple[str, ...]:
        """Names of the repositories that the task touches."""
        return tuple(work.repository for work in self.works)


class Reported(msgspec.Struct, frozen=True):
    """What an agent said its work took; None: it did not say, which is shown as "—" and never as 0 (spec 2.3)."""

    model: str | None = None
    tokens: Annotated[int, msgspec.Meta(ge=0)] | None = None
    cost_usd: Annotated[float, msgspec.Meta(ge=0)] | None = None


NOTHING_REPORTED = Reported()


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the timeline; `model`, tokens and cost are as the agent reported them, None when it did not."""

    task: str
    origin: Stage | None
    to: Stage
    actor: str
    source: str
    at: datetime
    seconds: float | None = None
    reason: str = ""
    model: str | None = None
    tokens: int | None = None
    cost_usd: float | None = None


class TrainMove(StrEnum):
    """Moves that only the train makes, never a person."""

    ATTACH = "attach"
    RETURN = "abandon or eject"
    RECORD = "record"


class BoardMove(StrEnum):
    """Moves that need more than a word: what must come with them is checked where they are made."""

    HANDOFF = "handoff"
    QUORUM = "review"


class Mover(msgspec.Struct, frozen=True):
    """Who may make a move: one of `roles` (of the train: whoever may move it), by way of `by` where it says so."""

    roles: frozenset[Role] = frozenset()
    by: TrainMove | BoardMove | None = None


_AGENT, _EITHER = frozenset({Role.AGENT}), frozenset({Role.AGENT, Role.REVIEWER})

MOVES: dict[tuple[Stage, Stage], Mover] = {
    (Stage.DESIGNED, Stage.BUILDING): Mover(_AGENT),
    (Stage.BUILDING, Stage.SUBMITTED): Mover(_AGENT, BoardMove.HANDOFF),
    (Stage.SUBMITTED, Stage.REVIEWED): Mover(frozenset({Role.REVIEWER}), BoardMove.QUORUM),
    (Stage.BUILDING, Stage.BLOCKED): Mover(_EITHER),
    (Stage.SUBMITTED, Stage.BLOCKED): Mover(_EITHER),
    (Stage.BLOCKED, Stage.BUILDING): Mover(_AGENT),
    (Stage.REVIEWED, Stage.ASSEMBLED): Mover(by=TrainMove.ATTACH),
    (Stage.ASSEMBLED, Stage.REVIEWED): Mover(by=TrainMove.RETURN),
    (Stage.ASSEMBLED, Stage.SHIPPED): Mover(by=TrainMove.RECORD),
    (Stage.SHIPPED, Stage.ARCHIVED): Mover(frozenset({Role.OPERATOR})),
}


class TaskQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which tasks to list. `text`: words of title or slug, or their beginnings; `limit` None: all of them.

    `after`: the slug with which the page before ended (`TaskList.next`).
    """

    stage: Stage | None = None
    repository: str | None = None
    builder: str | None = None
    release: str | None = None
    text: str = ""
    limit: int | None = 25
    after: str | None = None


class Suggestion(msgspec.Struct, frozen=True):
    """A task as autocomplete offers it."""

    slug: str
    title: str
    stage: Stage


def legal_moves(stage: Stage) -> list[Stage]:
    """The stages that `stage` leads to."""
    return [to for origin, to in MOVES if origin is stage]


def new_task(draft: Task, registry: Registry, shapes: Collection[str]) -> Task:
    """`draft` when it may be created; a blank slug is derived from the title. Refused with every problem at once."""
    task = msgspec.structs.replace(draft, title=one_line(draft.title))
    reasons, slug = problems(task, registry, shapes), ""
    if task.title:
        try:
            slug = checked_slug(task.slug) if task.slug else slug_from(task.title)
        except Refused as refusal:
            reasons += refusal.reasons
    if reasons:
        raise Refused.all(reasons)
    return msgspec.structs.replace(task, slug=slug, depends_on=tuple(dict.fromkeys(task.depends_on)))


def move(
    task: Task,
    to: Stage,
    actor: Actor,
    at: datetime,
    since: datetime,
    *,
    by: TrainMove | BoardMove | None = None,
    reason: str = "",
    reported: Reported = NOTHING_REPORTED,
    rides: str | None = None,
) -> tuple[Task, Move]:
    """The task after the move, and its timeline row; Refused names the stage, what is missing and the legal moves.

    `since`: when the stage that is left was entered. Moves of the train, handoffs and reviews say so in `by`.
    `rides`: the release that it boards.
    """
    mover = MOVES.get((task.stage, to))
    why, next_ = f"it is {task.stage}", f"legal from here: {', '.join(legal_moves(task.stage)) or 'none'}"
    if mover is None:
        raise Refused(f"{task.slug} cannot go to {to}", why, next_)
    reasons: list[Reason] = []
    if mover.by is not by:
        way = f"{mover.by} of a release" if isinstance(mover.by, TrainMove) else f"task {mover.by}"
        reasons.append(Reason(f"{task.slug} goes to {to} only by {way}", why, next_))
    if mover.roles and not mover.roles & actor.roles:
        roles = " or ".join(sorted(mover.roles))
        reasons.append(Reason(f"only {roles} may move {task.slug} to {to}", why, next_))
    if to is Stage.BLOCKED and not reason.strip():
        what = f"{task.slug} needs a reason to be blocked"
        reasons.append(Reason(what, f"{why}; whoever unblocks it must know why", f"give a reason; {next_}"))
    if reasons:
        raise Refused.all(reasons)
    changed = msgspec.structs.replace(task, stage=to)
    if to is Stage.BUILDING:
        changed = msgspec.structs.replace(changed, started_at=task.started_at or at)
        if not task.builder:
            changed = msgspec.structs.replace(changed, builder=actor.name, builder_id=actor.id)
    if to in (Stage.REVIEWED, Stage.ASSEMBLED):
        changed = msgspec.structs.replace(changed, release=rides)
    if to is Stage.SHIPPED:
        changed = msgspec.structs.replace(changed, completed_at=at)
    row = Move(
        task=task.slug, origin=task.stage, to=to, actor=actor.name, source=actor.face, at=at,
        seconds=(at - since).total_seconds(), reason=reason, **msgspec.structs.asdict(reported),
    )  # fmt: skip
    return changed, row


def post_deploy_argv(text: str) -> Argv | None:
    """The words of a post-deploy command, split like a shell would (spec 7.2); None for blank or `none` (spec 7.5).

    Refused, with the position, when it is malformed.
    """
    if text.strip().lower() in ("", "none"):
        return None
    return split_words(text)


def problems(task: Task, registry: Registry, shapes: Collection[str]) -> list[Reason]:
    """What is wrong with the fields that people give, all at once."""
    reasons: list[Reason] = []
    if not task.title:
        reasons.append(Reason("a task needs a title", "people find it by that", "say in a few words what changes"))
    elif len(task.title) > TITLE_LIMIT:
        what = f"the title has {len(task.title)} characters"
        reasons.append(Reason(what, f"at most {TITLE_LIMIT}", "say the rest in the criteria"))
    if task.shape not in shapes:
        guess = nearest(task.shape, shapes)
        hint = f"did you mean {guess}?" if guess else f"known: {', '.join(sorted(shapes))}"
        reasons.append(Reason(f"unknown shape {task.shape!r}", "config/feature_shapes.yml does not name it", hint))
    if not task.works:
        known = ", ".join(registry.repositories)
        reasons.append(Reason("a task names at least one repository", "its work lives there", f"known: {known}"))
    twice = sorted({name for name in task.repositories if task.repositories.count(name) > 1})
    reasons += [Reason(f"{name} is named twice", "a task has one branch in a repository", "keep one") for name in twice]
    for work in task.works:
        if work.repository not in registry.repositories:
            reasons.append(Reason(*unknown("repository", work.repository, registry.repositories)))
        elif work.branch in ((one := registry.repositories[work.repository]).release_branch, one.main_branch):
            what, why = f"{work.branch} of {one.name} is no task's branch", "it is what trains are merged into"
            reasons.append(Reason(what, why, "name the branch that carries the work"))
        try:
            checked_branch(work.branch)
        except Refused as refusal:
            reasons += refusal.reasons
    try:
        post_deploy_argv(task.post_deploy_cmd)
    except Refused as refusal:
        reasons += refusal.reasons
    return reasons


def one_line(text: str) -> str:
    return " ".join(text.split())
