"""Tasks and the moves they may make (spec 2.1–2.3). Pure: the caller brings the time and stores what comes back."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from core.errors import Reason, Refused
from core.permissions import Actor, Role
from core.registry import Argv, Registry, unknown
from core.words import checked_branch, checked_slug, nearest, slug_from, split_words

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
    """Everything of spec 2.1 that this version stores; `release` is the train it rides."""

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
    release: str | None = None
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None

    @property
    def repositories(self) -> tuple[str, ...]:
        """Names of the repositories that the task touches."""
        return tuple(work.repository for work in self.works)


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


Mover = frozenset[Role] | TrainMove
_AGENT, _OPERATOR = frozenset({Role.AGENT}), frozenset({Role.OPERATOR})

MOVES: dict[tuple[Stage, Stage], Mover] = {
    (Stage.DESIGNED, Stage.BUILDING): _AGENT,
    (Stage.BUILDING, Stage.SUBMITTED): _AGENT,
    (Stage.SUBMITTED, Stage.REVIEWED): frozenset({Role.REVIEWER}),
    (Stage.BUILDING, Stage.BLOCKED): frozenset({Role.AGENT, Role.REVIEWER}),
    (Stage.SUBMITTED, Stage.BLOCKED): frozenset({Role.AGENT, Role.REVIEWER}),
    (Stage.BLOCKED, Stage.BUILDING): _AGENT,
    (Stage.REVIEWED, Stage.ASSEMBLED): TrainMove.ATTACH,
    (Stage.ASSEMBLED, Stage.REVIEWED): TrainMove.RETURN,
    (Stage.ASSEMBLED, Stage.SHIPPED): TrainMove.RECORD,
    (Stage.SHIPPED, Stage.ARCHIVED): _OPERATOR,
}


def legal_moves(stage: Stage) -> list[Stage]:
    """The stages that `stage` leads to."""
    return [to for origin, to in MOVES if origin is stage]


def new_task(draft: Task, registry: Registry, shapes: frozenset[str]) -> Task:
    """`draft` when it may be created; a blank slug is derived from the title. Refused with every problem at once."""
    reasons: list[Reason] = []
    title = " ".join(draft.title.split())
    if not title:
        reasons.append(Reason("a task needs a title", "people find it by that", "say in a few words what changes"))
    elif len(title) > TITLE_LIMIT:
        reasons.append(
            Reason(f"the title has {len(title)} characters", f"at most {TITLE_LIMIT}", "say the rest in the criteria")
        )
    if draft.shape not in shapes:
        guess = nearest(draft.shape, shapes)
        hint = f"did you mean {guess}?" if guess else f"known: {', '.join(sorted(shapes))}"
        reasons.append(Reason(f"unknown shape {draft.shape!r}", "config/feature_shapes.yml does not name it", hint))
    if not draft.works:
        known = ", ".join(registry.repositories)
        reasons.append(Reason("a task names at least one repository", "its work lives there", f"known: {known}"))
    twice = sorted({name for name in draft.repositories if draft.repositories.count(name) > 1})
    reasons += [Reason(f"{name} is named twice", "a task has one branch in a repository", "keep one") for name in twice]
    for work in draft.works:
        if work.repository not in registry.repositories:
            reasons.append(Reason(*unknown("repository", work.repository, registry.repositories)))
        try:
            checked_branch(work.branch)
        except Refused as refusal:
            reasons += refusal.reasons
    try:
        post_deploy_argv(draft.post_deploy_cmd)
    except Refused as refusal:
        reasons += refusal.reasons
    slug = ""
    if title:
        try:
            slug = checked_slug(draft.slug) if draft.slug else slug_from(title)
        except Refused as refusal:
            reasons += refusal.reasons
    if reasons:
        raise Refused.all(reasons)
    return msgspec.structs.replace(draft, slug=slug, title=title)


def move(
    task: Task,
    to: Stage,
    actor: Actor,
    at: datetime,
    since: datetime,
    *,
    by_train: TrainMove | None = None,
    reason: str = "",
) -> tuple[Task, Move]:
    """The task after the move, and its timeline row; Refused names the stage, what is missing and the legal moves.

    `since`: when the stage that is left was entered. Moves of the train need `by_train`; nobody else can make them.
    """
    mover = MOVES.get((task.stage, to))
    legal = ", ".join(legal_moves(task.stage)) or "none"
    if mover is None:
        raise Refused(f"{task.slug} cannot go to {to}", f"it is {task.stage}", f"legal from here: {legal}")
    if isinstance(mover, TrainMove):
        if by_train is not mover:
            raise Refused(
                f"{task.slug} goes to {to} only by {mover} of a release",
                f"it is {task.stage}",
                f"legal from here: {legal}",
            )
    elif not mover & actor.roles:
        raise Refused(
            f"only {' or '.join(sorted(mover))} may move {task.slug} to {to}",
            f"it is {task.stage}",
            f"legal from here: {legal}",
        )
    if to is Stage.BLOCKED and not reason.strip():
        raise Refused(f"{task.slug} needs a reason to be blocked", "whoever unblocks it must know why", "give a reason")
    changed = msgspec.structs.replace(task, stage=to)
    if to is Stage.BUILDING:
        changed = msgspec.structs.replace(changed, started_at=task.started_at or at, builder=task.builder or actor.name)
    if to is Stage.SHIPPED:
        changed = msgspec.structs.replace(changed, completed_at=at)
    row = Move(
        task=task.slug, origin=task.stage, to=to, actor=actor.name, source=actor.face, at=at,
        seconds=(at - since).total_seconds(), reason=reason,
    )  # fmt: skip
    return changed, row


def post_deploy_argv(text: str) -> Argv | None:
    """The words of a post-deploy command, split like a shell would (spec 7.2); None for blank or `none` (spec 7.5).

    Refused, with the position, when it is malformed.
    """
    if text.strip().lower() in ("", "none"):
        return None
    return split_words(text)
