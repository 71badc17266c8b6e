"""Release notes as sections (spec 8.6): made once, when the record flips, and stored; faces make text of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from core.journal import Entry, EntryState, Run, SealRecord
from core.releases import Release
from core.tasks import Task
from core.train.consumer import left_behind


class PackageNote(msgspec.Struct, frozen=True):
    """A package that was published; `already_live`: this ship found it published."""

    name: str
    version: str
    sha: str
    already_live: bool


class AppNote(msgspec.Struct, frozen=True):
    """An app, the commit that main has now, whether it was deployed and proven to run, and its seal in words."""

    name: str
    sha: str
    deployed: bool
    verified: bool
    seal: str


class TaskNote(msgspec.Struct, frozen=True):
    """A task that rode along."""

    slug: str
    title: str
    repositories: tuple[str, ...]


class ReleaseNotes(msgspec.Struct, frozen=True, kw_only=True):
    """What was shipped, by whom, and how long it took from the confirmation on (seconds)."""

    release: str
    confirmed_by: str
    shipped_at: datetime
    seconds: float
    packages: tuple[PackageNote, ...]
    apps: tuple[AppNote, ...]
    tasks: tuple[TaskNote, ...]
    warnings: tuple[str, ...]

    def encoded(self) -> str:
        return msgspec.json.encode(self).decode()


def decoded(stored: str) -> ReleaseNotes:
    return msgspec.json.decode(stored, type=ReleaseNotes)


def release_notes(
    release: Release, tasks: Sequence[Task], ship: Run, entries: Iterable[Entry], seals: Sequence[SealRecord]
) -> ReleaseNotes:
    """Notes of a release that is being closed, from the journal and the seals."""
    by_step = {entry.step: entry for entry in sorted(entries, key=lambda entry: entry.attempt)}
    newest_seal = {seal.app: seal for seal in sorted(seals, key=lambda seal: seal.checked_at)}
    shipped_at = release.closed_at or ship.confirmed_at
    packages, apps = list[PackageNote](), list[AppNote]()
    for one in release.frozen:
        published = by_step.get(f"publish:{one.repository}")
        if published:
            found = bool(published.facts.get("found"))
            packages.append(PackageNote(one.repository, one.version or "", one.sha, found))
        else:
            advance, deploy = by_step.get(f"advance:{one.repository}"), by_step.get(f"deploy:{one.repository}")
            sha = str(advance.facts.get("sha", one.sha)) if advance else one.sha
            seal = newest_seal.get(one.repository)
            words = f"{seal.status}: {seal.summary}" if seal else "not sealed: no production address"
            verified = bool(deploy and deploy.facts.get("verified"))
            apps.append(AppNote(one.repository, sha, deploy is not None, verified, words))
    return ReleaseNotes(
        release=release.slug,
        confirmed_by=ship.confirmed_by,
        shipped_at=shipped_at,
        seconds=(shipped_at - ship.confirmed_at).total_seconds(),
        packages=tuple(packages),
        apps=tuple(apps),
        tasks=tuple(TaskNote(task.slug, task.title, task.repositories) for task in tasks),
        warnings=(
            *(reason.what for reason in left_behind(release)),
            *(str(r) for e in by_step.values() if e.state is EntryState.WARNED for r in e.reasons),
        ),
    )
