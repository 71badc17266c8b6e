"""Who may do what (spec 9.5). Every use case asks here first; faces only say who is speaking."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from core.errors import Refused


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
    """Who speaks, with which roles, through which face. `mention` is how that face can call them."""

    name: str
    roles: frozenset[Role]
    face: Face
    mention: str = ""


ENGINE = Actor("stationmaster", frozenset(), Face.ENGINE)


def require(actor: Actor, role: Role, to_do: str) -> None:
    """Refused unless `actor` has `role`; `to_do` completes "may …"."""
    if role not in actor.roles:
        held = ", ".join(sorted(actor.roles)) or "none"
        raise Refused(
            f"only the {role} role may {to_do}", f"{actor.name} has: {held}", f"ask somebody with the {role} role"
        )
