"""Where every task of a train is, repository by repository, and what is odd about it. Pure.

Every oddity names the command that repairs it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

import msgspec

from core.errors import Reason
from core.releases import Release, ReleaseState
from core.train.branch import ReleaseBranch
from core.train.sightings import Mark, Row, Sighting
from core.train.step import drift
from core.words import short


class Standing(msgspec.Struct, frozen=True):
    """The table of a release: a row per task and repository in train order, and what is wrong, each with its repair."""

    release: str
    rows: tuple[Row, ...]
    anomalies: tuple[Reason, ...]


def standing(release: Release, sightings: Sequence[Sighting], unseen: Sequence[Reason] = ()) -> Standing:
    """The record beside what was looked up; `unseen`: what rides although not everybody has looked at it."""
    place = {slug: at for at, slug in enumerate(release.members)}
    rows = sorted((row for one in sightings for row in one.rows), key=lambda row: place.get(row.task, len(place)))
    odd = [reason for one in sightings for reason in _odd(release, one)]
    return Standing(release.slug, tuple(rows), tuple(dict.fromkeys([*unseen, *odd])))


def _odd(release: Release, seen: Sighting) -> Iterator[Reason]:
    yield from seen.troubles
    if seen.branch is None:
        return
    match release.state:
        case ReleaseState.ASSEMBLING:
            yield from _orphans(seen)
            yield from _stragglers(seen)
        case ReleaseState.ASSEMBLED:
            yield from _orphans(seen)
            yield from _stale(seen, seen.branch)
        case ReleaseState.SHIPPED:
            yield from _not_live(release, seen)
        case ReleaseState.ABANDONED:
            pass


def _orphans(seen: Sighting) -> Iterator[Reason]:
    for one in seen.foreign:
        whose = f"it was merged for {one.task}, which does not ride" if one.task else "no member owns it"
        branch = f"{seen.repository.release_branch} of {one.repository}"
        yield Reason(f"{short(one.commit)} “{one.title}” is on {branch}", f"{whose}; it would ship too", one.revert)


def _stragglers(seen: Sighting) -> Iterator[Reason]:
    for task in seen.grown:
        why = "commits came after its merge, and are not on the release branch"
        yield Reason(f"{task} has grown in {seen.repository.name}", why, "release prepare")


def _stale(seen: Sighting, now: ReleaseBranch) -> Iterator[Reason]:
    name = seen.repository.name
    if seen.frozen is None:
        yield Reason(f"{name} has no frozen commit", "it rides, and the freeze does not know it", "release prepare")
        return
    if seen.is_in_main is Mark.YES:
        return  # it has shipped, and the branch goes on
    if now.release not in (seen.frozen, seen.repinned):
        yield drift(seen.repository, now.release, seen.frozen)
    if seen.has_main is Mark.NO:
        what = f"{seen.repository.main_branch} of {name} has moved since the freeze"
        yield Reason(what, f"{seen.repository.release_branch} does not contain it", "release prepare")
    for row in seen.rows:
        if row.frozen is Mark.NO:
            what = f"{row.task} is not in what was frozen of {name}"
            yield Reason(what, "its branch went on, or was never merged", "release prepare")


def _not_live(release: Release, seen: Sighting) -> Iterator[Reason]:
    if seen.frozen is None or not any(row.live is Mark.NO for row in seen.rows):
        return
    what, main = f"{seen.repository.name} is live without what {release.slug} shipped", seen.repository.main_branch
    if seen.is_in_main is Mark.NO:
        push = ("git", "push", seen.repository.url, f"{seen.repinned or seen.frozen}:refs/heads/{main}")
        yield Reason(what, f"{main} does not contain {short(seen.frozen)}", shlex.join(push))
    elif seen.redeploy:
        yield Reason(what, f"production runs neither {short(seen.frozen)} nor {main}", seen.redeploy)
