"""The one table of routes: method, path and use case. Server, document, page and client read it.

What a request says is the signature of its use case (`Arguments`); what it answers, the annotation of its return.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, partial
from http import HTTPStatus
from typing import Any, get_type_hints

import msgspec

from bot.api.arguments import Arguments
from core.board import Board
from core.conductor import Conductor, Offer
from core.doorkeeper import Doorkeeper
from core.errors import NotFound, Reason
from core.events import Event
from core.journal import Run, RunKind, RunState
from core.permissions import Actor, Role
from core.registry import Registry
from core.releases import Release
from core.train.plan import Plan
from core.train.proposal import Preview, Proposal


@dataclass(frozen=True, kw_only=True)
class Route:
    """One thing that can be asked. `owner`: whose use case it is; the docstring of `use_case` says what it does.

    `shows` makes the answer out of what the use case returns. `is_long`: it looks outside or runs tools, and does not
    fit into one transaction. `keeps_answer`: False where the answer holds a secret. `streams`: server-sent events.
    """

    owner: type
    method: str
    path: str
    use_case: Callable[..., Any]
    status: HTTPStatus = HTTPStatus.OK
    shows: Callable[[Any], Any] | None = None
    hides: frozenset[str] = frozenset()
    defaults: Mapping[str, object] = field(default_factory=dict[str, object])
    is_long: bool = False
    keeps_answer: bool = True
    streams: bool = False

    @property
    def writes(self) -> bool:
        """Does it need an Idempotency-Key?"""
        return self.method != "GET"

    @property
    def name(self) -> str:
        """Unique among the routes."""
        return f"{self.owner.__name__.lower()}-{self.use_case.__name__.replace('_', '-')}"

    @property
    def says(self) -> str:
        """What it does, in one paragraph."""
        return for_callers(self.use_case.__doc__ or "")

    @cached_property
    def arguments(self) -> Arguments:
        """What it wants to be told."""
        return Arguments(self.use_case, self.path, in_query=not self.writes, hides=self.hides, defaults=self.defaults)

    @cached_property
    def answer(self) -> Any:
        """The type of what it answers."""
        return get_type_hints(self.shows or self.use_case)["return"]


# ── what is shown otherwise than the core has it ───────────────────────────────────────────────────────────────────


class Me(msgspec.Struct, frozen=True):
    """Who a token speaks as."""

    id: str
    name: str
    roles: tuple[Role, ...]


class RunShown(msgspec.Struct, frozen=True, kw_only=True):
    """A plan that was let go, without the plan: how far it is, is in the release."""

    id: int
    release: str
    kind: RunKind
    state: RunState
    attempt: int
    digest: str
    confirmed_by: str
    confirmed_at: datetime
    reasons: tuple[Reason, ...] = ()
    ended_at: datetime | None = None


class PlanShown(msgspec.Struct, frozen=True, kw_only=True):
    """A plan beside the world; `digest` is what a ship confirms, until `expires_at` where it is an offer."""

    digest: str
    release: str
    plan: Plan | None
    previews: tuple[Preview, ...]
    problems: tuple[Reason, ...]
    unseen: tuple[Reason, ...] = ()
    expires_at: datetime | None = None


class ReleaseList(msgspec.Struct, frozen=True):
    """Newest first; `total` says how many there are, shown or not. `next`: the `after` of the next page."""

    releases: tuple[Release, ...]
    total: int
    next: str | None = None


def for_callers(docstring: str) -> str:
    """In one paragraph, without the pages of this project that callers do not have."""
    return re.sub(r" \((?:spec [\d.–]+|L\d+)\)|: L\d+(?=\))", "", " ".join(docstring.split()))


def run_shown(run: Run) -> RunShown:
    """Without the plan's bytes."""
    return msgspec.convert(run, RunShown, from_attributes=True)


def plan_shown(found: Proposal | Offer) -> PlanShown:
    """With its digest."""
    proposal, expires = (found.proposal, found.expires_at) if isinstance(found, Offer) else (found, None)
    shown = msgspec.convert(proposal, PlanShown, from_attributes=True)
    return msgspec.structs.replace(shown, expires_at=expires)


async def me(board: Board, actor: Actor) -> Me:
    """Who this token speaks as, and with which roles."""
    return Me(actor.id, actor.name, tuple(sorted(actor.roles)))


async def releases(conductor: Conductor, limit: int = 25, after: str | None = None) -> ReleaseList:
    """One page of the releases, newest first, and how many there are."""
    every = tuple(await conductor.releases(limit=None))
    names = [one.slug for one in every]
    if after is not None and after not in names:
        raise NotFound(f"unknown release {after!r}", "no release has this name", "leave `after` out")
    begin = names.index(after) + 1 if after is not None else 0
    page = every[begin : begin + limit]
    return ReleaseList(page, len(every), page[-1].slug if begin + limit < len(every) else None)


async def repositories(conductor: Conductor) -> Registry:
    """Every registered repository, and how it reaches production."""
    return conductor.registry


async def board_events(conductor: Conductor, after: int | None = None) -> list[Event]:
    """Everything that happens on the board and on the trains, as it happens; `after`: from that event on."""
    return await conductor.events(None, after or 0)


async def release_events(conductor: Conductor, slug: str | None, after: int = 0) -> list[Event]:
    """Everything that happened and happens to a release, from its beginning, or from the event `after` on."""
    return await conductor.events(slug, after)


# ── the table ─────────────────────────────────────────────────────────────────────────────────────────────────────

_board, _train, _door = (partial(Route, owner=owner) for owner in (Board, Conductor, Doorkeeper))
_CREATED, _TASK, _RELEASE = HTTPStatus.CREATED, "/v1/tasks/{slug}", "/v1/releases/{slug}"
_NOT_YOURS = frozenset(
    ("stage", "builder", "builder_id", "release", "created_at", "started_at", "completed_at", "actual", "revision")
)
_UNBORN = {"slug": "", "created_at": datetime.fromtimestamp(0, UTC)}
_started = partial(_train, method="POST", shows=run_shown, is_long=True)  # runs wherever a dispatcher lives

ROUTES: tuple[Route, ...] = (
    _board(method="GET", path="/v1/me", use_case=me),
    _board(method="GET", path="/v1/tasks", use_case=Board.list),
    _board(method="POST", path="/v1/tasks", use_case=Board.new, status=_CREATED, hides=_NOT_YOURS, defaults=_UNBORN),
    _board(method="GET", path=_TASK, use_case=Board.show),
    _board(method="PATCH", path=_TASK, use_case=Board.edit),
    *(
        _board(method="POST", path=f"{_TASK}/{use_case.__name__}", use_case=use_case)
        for use_case in (
            Board.start,
            Board.handoff,
            Board.comment,
            Board.feedback,
            Board.resolve,
            Board.block,
            Board.unblock,
            Board.move,
            Board.depend,
            Board.bid,
            Board.actual,
            Board.archive,
        )
    ),
    _board(method="POST", path=f"{_TASK}/review", use_case=Board.review, is_long=True),  # asks origin what is reviewed
    _board(method="GET", path="/v1/suggestions", use_case=Board.suggest),
    _board(method="GET", path="/v1/calibration", use_case=Board.calibration),
    _train(method="GET", path="/v1/releases", use_case=releases),
    _train(method="POST", path="/v1/releases", use_case=Conductor.open, status=_CREATED),
    _train(method="GET", path=_RELEASE, use_case=Conductor.status),
    *(
        _train(method="POST", path=f"{_RELEASE}/{use_case.__name__}", use_case=use_case)
        for use_case in (Conductor.add, Conductor.eject, Conductor.abandon)
    ),
    _train(method="GET", path=f"{_RELEASE}/assembly", use_case=Conductor.assembly, is_long=True),
    _train(method="GET", path=f"{_RELEASE}/standing", use_case=Conductor.standing, is_long=True),
    _started(path=f"{_RELEASE}/prepare", use_case=Conductor.prepare),
    _train(method="POST", path=f"{_RELEASE}/freeze", use_case=Conductor.freeze, is_long=True),
    _train(method="GET", path=f"{_RELEASE}/plan", use_case=Conductor.plan, shows=plan_shown, is_long=True),
    _train(method="POST", path=f"{_RELEASE}/offer", use_case=Conductor.offer, shows=plan_shown, is_long=True),
    _started(path=f"{_RELEASE}/ship", use_case=Conductor.ship, hides=frozenset({"origin"})),
    _train(method="POST", path=f"{_RELEASE}/resume", use_case=Conductor.resume, shows=run_shown),
    _train(method="POST", path=f"{_RELEASE}/cancel", use_case=Conductor.cancel, shows=run_shown),
    _train(method="GET", path=f"{_RELEASE}/notes", use_case=Conductor.notes),
    _train(method="GET", path=f"{_RELEASE}/events", use_case=release_events, streams=True),
    _train(method="GET", path="/v1/events", use_case=board_events, streams=True),
    _train(method="GET", path="/v1/deployments", use_case=Conductor.deployments),
    _train(method="GET", path="/v1/repos", use_case=repositories),
    _door(method="GET", path="/v1/tokens", use_case=Doorkeeper.tokens),
    _door(method="POST", path="/v1/tokens", use_case=Doorkeeper.issue, status=_CREATED, keeps_answer=False),
    _door(method="POST", path="/v1/tokens/{id}/revoke", use_case=Doorkeeper.revoke),
    _door(method="GET", path="/v1/people", use_case=Doorkeeper.people),
    _door(method="POST", path="/v1/people/link", use_case=Doorkeeper.link),
    _door(method="POST", path="/v1/people/unlink", use_case=Doorkeeper.unlink),
)
