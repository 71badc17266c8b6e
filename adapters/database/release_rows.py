"""Releases in the record, with their members, their freeze, and what was built for it (spec 3, 5.5)."""

from __future__ import annotations

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.engine import RowMapping

from adapters.database.connections import Connected, changed_columns, changed_since, columns, fields
from adapters.database.tables import builds, frozen, members, releases
from core.builds import Build
from core.errors import Refused
from core.releases import ACTIVE, Frozen, Release


class ReleaseRows(Connected):
    """The part of a transaction that is about releases; see `core.ports.Transaction`."""

    async def release(self, slug: str) -> Release | None:
        return next(iter(await self._releases(releases.c.slug == slug)), None)

    async def active_release(self) -> Release | None:
        return next(iter(await self._releases(releases.c.state.in_(ACTIVE))), None)

    async def releases(self, *, limit: int | None = None) -> list[Release]:
        return await self._releases(limit=limit)

    async def insert_release(self, release: Release) -> None:
        if release.is_active and (other := await self.active_release()):
            raise Refused(
                f"{other.slug} is open",
                f"one release at a time; {other.opened_by} opened it {other.opened_at:%Y-%m-%d %H:%M} UTC",
                f"ship or abandon {other.slug} first",
            )
        if await self.release(release.slug):
            raise Refused(f"{release.slug} is taken", "a slug names one release for ever", "give another name")
        await self._insert(releases, release)
        await self._write_members(release)
        await self._write_frozen(release)

    async def update_release(self, before: Release, after: Release) -> None:
        unchanged = (
            releases.c.slug == before.slug,
            releases.c.state == before.state,
            releases.c.revision == before.revision,
        )
        guards = {"state": after.state, "revision": after.revision}
        values = changed_columns(releases, before, after) | guards
        if not (await self._run(update(releases).where(*unchanged).values(**values))).rowcount:
            raise changed_since(before.slug)
        if after.members != before.members:
            await self._write_members(after)
        if after.frozen != before.frozen:
            await self._write_frozen(after)

    async def add_build(self, build: Build) -> None:
        await self._insert(builds, build)

    async def builds(self, repository: str) -> list[Build]:
        return (await self._all_of(Build, builds.c.repository, repository))[::-1]

    async def _releases(self, *where: ColumnElement[bool], limit: int | None = None) -> list[Release]:
        """The chosen releases, newest first."""
        chosen = select(releases.c.slug).where(*where).order_by(releases.c.id.desc()).limit(limit)
        riding = await self._read_lists(members.c.release, chosen)
        freeze = await self._read_lists(frozen.c.release, chosen)
        rows = await self._run(chosen.with_only_columns(*fields(releases, Release)))
        return [
            Release(
                **row,
                members=tuple(member["task"] for member in riding.get(row["slug"], ())),
                frozen=tuple(_frozen(one) for one in freeze.get(row["slug"], ())),
            )
            for row in rows.mappings()
        ]

    async def _write_members(self, release: Release) -> None:
        await self._write_list(members.c.release, release.slug, [{"task": task} for task in release.members])

    async def _write_frozen(self, release: Release) -> None:
        await self._write_list(frozen.c.release, release.slug, [columns(frozen, one) for one in release.frozen])


def _frozen(row: RowMapping) -> Frozen:
    return Frozen(**{name: row[name] for name in Frozen.__struct_fields__})
