"""What was built from which commit, and what it says of itself: that is the declaration (spec 5.5). Values only."""

from __future__ import annotations

from datetime import datetime

import msgspec

from core.registry import Package, Sha
from core.releases import Artefact


class Required(msgspec.Struct, frozen=True, order=True):
    """What a built package needs: a name in its registry, and a range of versions as that registry writes it.

    An empty `range` is any version. One name may be required several times (under other markers): each must hold.
    """

    distribution: str
    range: str = ""


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """What a built package says of itself: all that the train believes of it.

    `name` and `version` as its registry will list them; `requires` under every extra, marker and platform, sorted.
    """

    name: str
    version: str
    requires: tuple[Required, ...] = ()


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """The files of one build, on record for good: the same commit is never built twice while they can be had.

    The first four fields are what decides the bytes, as far as it is ours to decide.
    """

    repository: str
    commit: Sha
    ecosystem: str
    distribution: str
    declared: Declared
    artefacts: tuple[Artefact, ...]
    at: datetime

    def is_of(self, package: Package, commit: Sha) -> bool:
        """True when it is what `package` would be built from at `commit`."""
        ours = (self.repository, self.commit, self.ecosystem, self.distribution)
        return ours == (package.name, commit, package.ecosystem, package.distribution)
