"""Who may do what (spec 9.5). Every use case asks here first; faces only say who is speaking."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from core.errors import Forbidden


class Role(StrEnum):
    """What a person or program may be in the team."""

    OPERATOR = "operator"
    AGENT = "agent"
    REVIEWER = "reviewer"


class Face(StrEnum):
    """Where a word came from; stored in the timeline (spec 2.3)."""

    DISCORD = "discord"
    CLI = "cli"
    API = "api"
    ENGINE = "engine"


class Actor(msgspec.Struct, frozen=True):
    """Who speaks, with which roles, through which face. `mention` is how that face can call them.

    `id` is who it is, whatever the name: `discord:SNOWFLAKE`, `agent:NAME` of a token, `os:UID` of a shell, `engine`.
    Everything that decides compares ids (`core.people`); names are shown.
    """

    id: str
    name: str
    roles: frozenset[Role]
    face: Face
    mention: str = ""


ENGINE = Actor("engine", "stationmaster", frozenset(), Face.ENGINE)


def require(actor: Actor, role: Role | frozenset[Role], to_do: str) -> None:
    """Forbidden unless `actor` has `role`, or one of several; `to_do` completes "may …"."""
    wanted = role if isinstance(role, frozenset) else frozenset({role})
    if not wanted & actor.roles:
        held, named = ", ".join(sorted(actor.roles)) or "no role", " or ".join(sorted(wanted))
        raise Forbidden(
            f"only the {named} role may {to_do}", f"{actor.name} has {held}", f"ask somebody with the {named} role"
        )
