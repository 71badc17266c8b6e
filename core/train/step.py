"""What a step is, and its five laws.

`observe` changes nothing; after `perform`, `observe` says yes where it ever can; `perform` survives its own echo;
undecidable is `CannotTell`, never `NotYet`; inputs are the step's own fields and earlier results, nothing ambient.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import ClassVar

import msgspec

from core.errors import Reason
from core.journal import Entry
from core.observations import Facts, Observation
from core.ports import Needs, Ports
from core.registry import App, Argv, Package, Sha
from core.words import short

Results = Mapping[str, Facts]


class Commit(msgspec.Struct, frozen=True):
    """The commit that ships: the frozen one, or what `repinned_by` made of it (stored, not recomputed: L18).

    `commits`: the packages' commits that it was made with, where nothing else tells two of them apart.
    """

    frozen: Sha
    repinned_by: str | None = None
    commits: tuple[Sha, ...] = ()

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes two of them the same."""
        return (self.frozen, self.repinned_by or "", *self.commits)

    def sha(self, results: Results) -> Sha | None:
        """The commit; None while the re-pin has not happened."""
        if self.repinned_by is None:
            return self.frozen
        facts = results.get(self.repinned_by)
        return Sha(str(facts["sha"])) if facts else None

    def required(self, results: Results) -> Sha:
        """The commit, where the plan's order guarantees it."""
        sha = self.sha(results)
        assert sha, f"{self.repinned_by} has no result yet"
        return sha


def drift(repository: Package | App, head: Sha | None, expected: Sha, since: str = "the freeze") -> Reason:
    """Why a release branch that is not where `since` saw it must not go on."""
    where = f"is {short(head)}" if head else "is gone"
    return Reason(
        f"{repository.name} has drifted since {since}",
        f"origin's {repository.release_branch} {where}, expected was {short(expected)}",
        "release prepare",
    )


def recalling(step: Step, entry: Entry | None, results: Results) -> Results:
    """What a look may know: the earlier results and, under the step's own id, the facts of an earlier attempt at it."""
    return {**results, step.id: entry.facts} if entry else results


class Step(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """One act. Subclasses are data; `kind` is stored with them."""

    interruptible: ClassVar[bool] = True
    """False: a cancel lets it end, since nobody could tell how far it got."""
    soft: ClassVar[bool] = False
    """True: failing is a warning and never stops the ship."""

    @property
    def id(self) -> str:
        """`kind:subject`, unique within a plan."""
        raise NotImplementedError

    @property
    def title(self) -> str:
        """The act in words, without its outcome."""
        raise NotImplementedError

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes two steps of one release the same act; a change of anything else keeps what the journal knows."""
        raise NotImplementedError

    @property
    def key(self) -> str:
        """The name of this act in the journal: the id and a hash of the identity."""
        return f"{self.id}@{hashlib.sha256(repr(self.identity).encode()).hexdigest()[:32]}"

    def entry_in(self, journal: Mapping[str, Entry]) -> Entry | None:
        """What is known of this act; before version 0.2 its name in the journal was shorter."""
        return journal.get(self.key) or journal.get(self.key[: len(self.id) + 9])

    @property
    def source(self) -> tuple[Package | App, Sha] | None:
        """Where the files that the step needs must be: a repository and the frozen commit."""
        return None

    @property
    def irreversible(self) -> bool:
        """True: once it was started, the run can no longer be cancelled."""
        return False

    def needs(self, ports: Ports) -> Needs:
        """What must be there before the train may start."""
        return Needs()

    def subject(self, results: Results) -> Facts:
        """What is known of the act before it happens: facts of the step however it ends."""
        return {}

    def commands(self, ports: Ports, results: Results) -> tuple[Argv, ...]:
        """The exact argvs that `perform` runs, as far as they are known now (L03)."""
        return ()

    async def observe(self, ports: Ports, results: Results) -> Observation:
        """Is it already so? May raise Refused (it can never be so) and Unreachable (cannot tell).

        `results` as `recalling` gives them.
        """
        raise NotImplementedError

    async def perform(self, ports: Ports, results: Results) -> Facts:
        """Make it so. Raises Trouble; whatever it raises, the engine looks again before it decides."""
        raise NotImplementedError
