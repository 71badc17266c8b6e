"""What one look at the world can say. Undecidable is `CannotTell`, never `NotYet`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

Value = str | int | float | bool | None
Facts = Mapping[str, Value]


class Already(msgspec.Struct, frozen=True):
    """It is so; `facts` are what later steps and people want to know of it."""

    facts: Facts = {}


class NotYet(msgspec.Struct, frozen=True):
    """It is not so, and we are sure of it."""

    detail: str = ""


class CannotTell(msgspec.Struct, frozen=True):
    """The place to look at did not answer, or not in a way we understand."""

    why: str


class Blind(msgspec.Struct, frozen=True):
    """There is nothing to look at, ever: the journal is the only witness."""

    why: str


Observation = Already | NotYet | CannotTell | Blind
