"""People in the record: the identities that have acted, and which of them an operator said are one person."""

from __future__ import annotations

from sqlalchemy import func, select, update

from adapters.database.connections import Connected
from adapters.database.tables import events, person_links
from core.people import Identity, Link, face_of


class PeopleRows(Connected):
    """The part of a transaction that is about people; see `core.records.Transaction`."""

    async def links(self) -> list[Link]:
        return [Link(**row) for row in (await self._run(_LINKS)).mappings()]

    async def add_link(self, link: Link) -> None:
        await self._insert(person_links, link)

    async def end_link(self, link: Link) -> None:
        ended = {"unlinked_by": link.unlinked_by, "unlinked_at": link.unlinked_at}
        await self._run(update(person_links).where(person_links.c.id == link.id).values(**ended))

    async def identities(self) -> list[Identity]:
        found = (await self._run(_LAST_SEEN)).mappings()
        return [Identity(id=one["id"], name=one["name"], face=face_of(one["id"]), seen_at=one["at"]) for one in found]


_LINKS = select(person_links).order_by(person_links.c.id)
# Whoever acts leaves an event: who is known, and by which name, needs no table of its own.
_NEWEST = select(func.max(events.c.id)).where(events.c.actor_id != "").group_by(events.c.actor_id)
_LAST_SEEN = (
    select(events.c.actor_id.label("id"), events.c.actor.label("name"), events.c.at)
    .where(events.c.id.in_(_NEWEST))
    .order_by(events.c.id.desc())
)
