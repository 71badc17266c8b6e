"""What runs where, as far as the record knows."""

from __future__ import annotations

from datetime import datetime

import msgspec

from core.journal import Entry, EntryState, SealRecord
from core.records import Transaction
from core.registry import App, Registry


class Deployment(msgspec.Struct, frozen=True):
    """What an app got from the last train that deployed it; `sha` None: never by us."""

    app: App
    sha: str | None = None
    verified: bool = False
    release: str | None = None
    at: datetime | None = None
    seal: SealRecord | None = None


async def deployments(tx: Transaction, registry: Registry) -> list[Deployment]:
    """Every app of the registry, in its order."""
    newest: dict[str, Entry] = {}
    seals: dict[str, SealRecord] = {}
    for release in reversed(await tx.releases(limit=None)):
        for entry in (await tx.entries(release.slug)).values():
            if entry.step.startswith("deploy:") and entry.state is EntryState.DONE:
                newest[entry.step.partition(":")[2]] = entry
        seals |= {seal.app: seal for seal in await tx.seals(release.slug)}
    return [_deployment(app, newest.get(name), seals.get(name)) for name, app in registry.apps.items()]


def _deployment(app: App, entry: Entry | None, seal: SealRecord | None) -> Deployment:
    if entry is None:
        return Deployment(app, seal=seal)
    seal = seal if seal and seal.release == entry.release else None  # an older one is no verdict on this commit
    sha, verified = str(entry.facts.get("sha", "")), bool(entry.facts.get("verified"))
    return Deployment(app, sha, verified, entry.release, entry.ended_at, seal)
