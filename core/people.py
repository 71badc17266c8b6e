"""Who is the same person as whom (spec 2.5). Pure: identities are compared, and what an operator linked; never names.

What was recorded before there were identities has only a name. Where being the same person forbids something, an equal
name counts as the same person; where it allows something, it does not. Both are the stricter answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

import msgspec
from anyascii import anyascii

from core.errors import Reason, Refused
from core.permissions import Face

_LEGACY = "name:"
_DISCORD = re.compile(r"discord:[0-9]{15,20}")
_FACES = {"discord": Face.DISCORD, "agent": Face.API, "os": Face.CLI, "engine": Face.ENGINE}


class Deed(NamedTuple):
    """Who did something, by identity and by the name shown then, and when."""

    id: str
    name: str
    at: datetime

    def told_to(self, name: str) -> str:
        """The name, for somebody called `name`: with the identity where the two would read alike."""
        return f"{self.name} ({self.id})" if _folded(self.name) == _folded(name) else self.name


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who has acted through a face: the name shown last, and when. `same_as`: the others of this person."""

    id: str
    name: str
    face: Face | None
    seen_at: datetime
    same_as: tuple[str, ...] = ()


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """An operator said that two identities are one person; and took it back, where `unlinked_at` is given."""

    one: str
    other: str
    linked_by: str
    linked_at: datetime
    unlinked_by: str = ""
    unlinked_at: datetime | None = None
    id: int = 0


class People:
    """What the links say."""

    def __init__(self, links: Iterable[Link] = ()) -> None:
        self._links = tuple(links)

    def may_be(self, deed: Deed, id: str, name: str) -> bool:
        """Can `id` be who did this? Forbids: links of now count, and those that held at any time since the deed."""
        if (_is_unknown(deed.id) or _is_unknown(id)) and _folded(deed.name) == _folded(name):
            return True
        linked = self._reach(id, lambda link: link.unlinked_at is None or link.unlinked_at > deed.at)
        return deed.id in linked or any(_is_shell_of(deed.id, one) or _is_shell_of(one, deed.id) for one in linked)

    def was(self, deed: Deed, id: str) -> bool:
        """Is `id` surely who did this? Allows: only links that held at the deed, and still hold."""
        if _is_unknown(deed.id) or _is_unknown(id):
            return False
        return deed.id in self._reach(id, lambda link: link.unlinked_at is None and link.linked_at <= deed.at)

    def of(self, id: str) -> tuple[str, ...]:
        """The other identities of this person, now."""
        return tuple(sorted(self._reach(id, _holds) - {id}))

    def beside(self, id: str) -> list[Link]:
        """The links of this very identity that hold."""
        return [link for link in self._links if _holds(link) and id in (link.one, link.other)]

    def _reach(self, id: str, counts: Callable[[Link], bool]) -> set[str]:
        found, left = {id}, [link for link in self._links if counts(link)]
        while near := [link for link in left if (link.one in found) != (link.other in found)]:
            found |= {one for link in near for one in (link.one, link.other)}
        return found


NOBODY_LINKED = People()


def require_linkable(people: People, ids: Collection[str], one: str, other: str) -> None:
    """Refused, with every reason at once, when the two cannot become one person. `ids`: who is known.

    Discord knows more people than have spoken to us: any number of a user there will do.
    """
    reasons = [
        Reason(f"nobody is known as {id[:80]!r}", "it has acted or has a token, or is discord:NUMBER", "person list")
        for id in dict.fromkeys((one, other))
        if id not in ids and not _DISCORD.fullmatch(id)
    ]
    if one == other:
        reasons.append(Reason(f"{one[:80]} is one identity", "a link takes two", "person list"))
    elif other in people.of(one):
        reasons.append(Reason(f"{one} and {other} are one person already", "they are linked", "person list"))
    if reasons:
        raise Refused.all(reasons)


def face_of(id: str) -> Face | None:
    """Through which face an identity speaks; None for one of which only the name is known."""
    return _FACES.get(id.partition(":")[0])


def together(people: People, known: Iterable[Identity]) -> tuple[Identity, ...]:
    """Each with the others of its person."""
    return tuple(msgspec.structs.replace(one, same_as=people.of(one.id)) for one in known)


def unlinked(people: People, id: str, by: str, at: datetime) -> tuple[list[Link], list[Link]]:
    """Take one identity out of its person: the links that end, and those that keep the others together.

    Refused when it is linked to nobody.
    """
    ended = [msgspec.structs.replace(one, unlinked_by=by, unlinked_at=at) for one in people.beside(id)]
    if not ended:
        raise Refused(f"{id[:80]} is linked to nobody", "there is nothing to take back", "person list")
    left = [link.other if link.one == id else link.one for link in ended]
    return ended, [Link(one=one, other=other, linked_by=by, linked_at=at) for one, other in pairwise(left)]


def _holds(link: Link) -> bool:
    return link.unlinked_at is None


def _is_unknown(id: str) -> bool:
    return not id or id.startswith(_LEGACY)


def _is_shell_of(user: str, agent: str) -> bool:
    """A user of a machine is each of those for whom that user's shell speaks."""
    return user.startswith("os:") and agent.startswith(f"{user}/")


def _folded(name: str) -> str:
    """What reads alike is alike: letters of other scripts, case, blanks, and what nobody sees."""
    return " ".join(anyascii(name).casefold().split())
