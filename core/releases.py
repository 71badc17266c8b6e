"""The release record: states, members, the freeze, and the guards of spec 3. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from core.errors import Refused
from core.registry import Sha


class ReleaseState(StrEnum):
    """A release is active while assembling or assembled; the other two are final."""

    ASSEMBLING = "assembling"
    ASSEMBLED = "assembled"
    SHIPPED = "shipped"
    ABANDONED = "abandoned"


ACTIVE = frozenset({ReleaseState.ASSEMBLING, ReleaseState.ASSEMBLED})

STATE_MOVES: dict[ReleaseState, frozenset[ReleaseState]] = {
    ReleaseState.ASSEMBLING: frozenset({ReleaseState.ASSEMBLED, ReleaseState.ABANDONED}),
    ReleaseState.ASSEMBLED: frozenset({ReleaseState.ASSEMBLING, ReleaseState.SHIPPED, ReleaseState.ABANDONED}),
    ReleaseState.SHIPPED: frozenset(),
    ReleaseState.ABANDONED: frozenset(),
}


class Artefact(msgspec.Struct, frozen=True, order=True):
    """A built file that production will get (spec 5.5): name, sha256 of its bytes in hex, size in bytes."""

    filename: str
    sha256: str
    size: int


class Stay(msgspec.Struct, frozen=True):
    """A use of a package of ours that no re-pin moves: a published version (blank: nothing locks it), or a file of a
    kind that is never re-pinned, where it may even come from a branch.
    """

    package: str
    version: str = ""
    file: str = ""
    by_reference: bool = False


class Frozen(msgspec.Struct, frozen=True, kw_only=True):
    """What QA saw of one repository (spec 5.2).

    `requires`: registered packages that it depends on; of a package, as it was built. `ranges`: which versions of them
    it takes, and of itself. `by_reference`: those that its manifest takes from a branch, commit or path, and which ship
    must therefore re-pin (spec 6.5). `stays`: those that an app takes in a way that no re-pin moves.
    """

    repository: str
    sha: Sha
    version: str | None = None
    artefacts: tuple[Artefact, ...] = ()
    requires: tuple[str, ...] = ()
    ranges: Mapping[str, tuple[str, ...]] = {}
    by_reference: tuple[str, ...] = ()
    stays: tuple[Stay, ...] = ()


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A train. `members` are task slugs in the order of attachment; `revision` grows with every change of them."""

    slug: str
    state: ReleaseState = ReleaseState.ASSEMBLING
    members: tuple[str, ...] = ()
    frozen: tuple[Frozen, ...] = ()
    revision: int = 0
    opened_by: str
    opened_at: datetime
    assembled_at: datetime | None = None
    closed_at: datetime | None = None
    notes: str = ""

    @property
    def is_active(self) -> bool:
        """True while it holds the one slot for trains."""
        return self.state in ACTIVE


def attach(release: Release, task: str) -> Release:
    """The release with `task` at its end; an assembled one is reopened and its freeze is gone (spec 3.2)."""
    _require_active(release, f"take {task}")
    if task in release.members:
        raise Refused(f"{task} already rides {release.slug}", "it was attached before", "nothing to do")
    return _reopened(release, (*release.members, task))


def eject(release: Release, task: str) -> Release:
    """The release without `task`; the rest ride on (spec 3.4), to be frozen again."""
    _require_active(release, f"eject {task}")
    if task not in release.members:
        members = ", ".join(release.members) or "none"
        raise Refused(f"{task} does not ride {release.slug}", f"members: {members}", "release status, which shows them")
    return _reopened(release, tuple(member for member in release.members if member != task))


def assemble(release: Release, frozen: tuple[Frozen, ...], at: datetime) -> Release:
    """The release with its freeze recorded, anew when it had one. A blank SHA is an error, never a value (L20)."""
    _require_active(release, "be frozen")
    if not release.members:
        raise Refused(f"{release.slug} has no members", "there is nothing to ship", "release add TASK")
    if blank := [one.repository for one in frozen if not one.sha]:
        raise Refused(f"no commit for {', '.join(blank)}", "a blank never stands for a commit", "release prepare")
    return msgspec.structs.replace(release, state=ReleaseState.ASSEMBLED, frozen=frozen, assembled_at=at)


def close(release: Release, state: ReleaseState, at: datetime) -> Release:
    """The release shipped or abandoned; nothing leaves either (L23)."""
    if state not in STATE_MOVES[release.state] or state in ACTIVE:
        raise Refused(f"{release.slug} cannot become {state}", f"it is {release.state}", _next(release))
    return msgspec.structs.replace(release, state=state, closed_at=at)


def reopen(release: Release) -> Release:
    """The release with its freeze gone: its QA is about to change."""
    _require_active(release, "be prepared")
    return _reopened(release, release.members)


def _reopened(release: Release, members: tuple[str, ...]) -> Release:
    return msgspec.structs.replace(
        release,
        state=ReleaseState.ASSEMBLING,
        members=members,
        frozen=(),
        assembled_at=None,
        revision=release.revision + 1,
    )


def _require_active(release: Release, to_do: str) -> None:
    if not release.is_active:
        raise Refused(f"{release.slug} cannot {to_do}", f"it is {release.state}", _next(release))


def _next(release: Release) -> str:
    match release.state:
        case ReleaseState.ASSEMBLING:
            return "release prepare"
        case ReleaseState.ASSEMBLED:
            return "release ship"
        case _:
            return "release open NAME"
