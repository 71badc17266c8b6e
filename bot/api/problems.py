"""What an answer says when it is no: problem details (RFC 9457) with what, why and next of every reason. Pure.

A trouble of the core becomes a problem here, and the problem a trouble again in the client: same words, same exit code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus

import msgspec

from core.errors import Forbidden, LeaseLost, NeedsOperator, NotFound, Reason, Refused, StepFailed, Trouble, Unreachable
from core.unforeseen import BrokeOff

CONTENT_TYPE = "application/problem+json"

_KINDS: dict[type[Trouble], tuple[str, HTTPStatus]] = {
    Forbidden: ("forbidden", HTTPStatus.FORBIDDEN),
    NotFound: ("not-found", HTTPStatus.NOT_FOUND),
    LeaseLost: ("lease-lost", HTTPStatus.CONFLICT),
    NeedsOperator: ("needs-operator", HTTPStatus.CONFLICT),
    Refused: ("refused", HTTPStatus.CONFLICT),
    BrokeOff: ("broke-off", HTTPStatus.INTERNAL_SERVER_ERROR),
    StepFailed: ("step-failed", HTTPStatus.BAD_GATEWAY),
    Unreachable: ("unreachable", HTTPStatus.SERVICE_UNAVAILABLE),
}
_BY_KIND = {kind: trouble for trouble, (kind, _) in _KINDS.items()}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every answer that is no. `type` is stable and for programs; `reasons` are for whoever reads."""

    type: str
    title: str
    status: int
    detail: str
    reasons: tuple[Reason, ...]


class Rejected(Refused):
    """The request itself was wrong, and no use case heard of it."""

    def __init__(self, status: HTTPStatus, reasons: Sequence[Reason], headers: Mapping[str, str] | None = None) -> None:
        first, *rest = reasons
        super().__init__(first, also=rest)
        self.status, self.headers = status, headers or {}


def problem(trouble: Trouble) -> Problem:
    """What is told of `trouble`."""
    if isinstance(trouble, Rejected):
        kind, status = _kind(trouble.status), trouble.status
    else:
        kind, status = next(said for known, said in _KINDS.items() if isinstance(trouble, known))
    return Problem(
        type=f"/#{kind}",
        title=kind.replace("-", " ").capitalize(),
        status=status,
        detail=trouble.reasons[0].what,
        reasons=trouble.reasons,
    )


def kinds(statuses: Iterable[int]) -> dict[str, str]:
    """Kind → what it means: of every trouble, and of requests that are wrong in themselves (`statuses` below 500)."""
    wrong = {_kind(HTTPStatus(one)): HTTPStatus(one).description for one in statuses if one < 500}
    return wrong | {kind: trouble.__doc__ or "" for trouble, (kind, _) in _KINDS.items()}


def _kind(status: HTTPStatus) -> str:
    return status.phrase.lower().replace(" ", "-")


def trouble(problem: Problem) -> Trouble:
    """The trouble that `problem` tells of."""
    return _BY_KIND.get(problem.type.removeprefix("/#"), Refused).all(problem.reasons)
