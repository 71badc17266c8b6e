"""Bearer tokens of the HTTP API: who speaks when one is shown, and until when. Pure; `core.doorkeeper` keeps them.

Of a secret only its SHA-256 is stored. 256 random bits are in no dictionary, so a slow hash would protect nothing and
cost every request; and equal secrets have equal digests, which an index finds.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from datetime import datetime, timedelta

import msgspec

from core.errors import Reason, Refused
from core.permissions import Role

LONGEST_DAYS = 3650
_NAME = re.compile(r"[a-z0-9._-]{1,48}")


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """One token of the agent `name`; without `expires_at` it is good until it is revoked.

    The name is an operator's word for who speaks, and never changes: all tokens of one name are one identity.
    """

    name: str
    roles: tuple[Role, ...]
    created_by: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str = ""
    id: int = 0

    @property
    def identity(self) -> str:
        """Who speaks, whichever of its tokens is shown."""
        return f"agent:{self.name}"


class Issued(msgspec.Struct, frozen=True):
    """A new token with its secret, for the only time."""

    token: Token
    secret: str


def digest(secret: str) -> str:
    """What is stored of a secret, in hex."""
    # A header may hold any bytes; whatever is no text still is no secret of ours.
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()


def new_token(name: str, roles: Collection[Role], days: int | None, by: str, now: datetime) -> Token:
    """A token that speaks as `name`, good for `days` or for ever; Refused with every problem at once."""
    reasons: list[Reason] = []
    if not _NAME.fullmatch(name):
        why = "it is 1 to 48 of a-z, 0-9, -, _ and ., for all tokens of one agent"
        reasons.append(Reason(f"{name[:60]!r} is no name", why, "for example ada or builder-1"))
    if not roles:
        reasons.append(Reason("a token needs a role", "without one it could only look", f"one of {', '.join(Role)}"))
    if days is not None and not 0 < days <= LONGEST_DAYS:
        reasons.append(Reason(f"a token cannot last {days} days", f"1 to {LONGEST_DAYS}", "or leave it out"))
    if reasons:
        raise Refused.all(reasons)
    until = None if days is None else now + timedelta(days=days)
    return Token(name=name, roles=tuple(sorted(set(roles))), created_by=by, created_at=now, expires_at=until)


def require_good(token: Token, now: datetime) -> None:
    """Refused when `token` is revoked or has expired."""
    next_ = "ask an operator for another: token new"
    if token.revoked_at:
        why = f"{token.revoked_by} revoked it {token.revoked_at:%Y-%m-%d %H:%M} UTC"
        raise Refused(f"this token of {token.name} is revoked", why, next_)
    if token.expires_at and token.expires_at <= now:
        raise Refused(f"this token of {token.name} has expired", f"{token.expires_at:%Y-%m-%d %H:%M} UTC", next_)
