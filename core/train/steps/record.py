"""The record flips last, in one transaction, from evidence (spec 6.3, L26)."""

from __future__ import annotations

import msgspec

from core.board import moved
from core.errors import StepFailed
from core.notes import release_notes
from core.observations import Already, Facts, NotYet, Observation
from core.permissions import ENGINE
from core.ports import Ports
from core.releases import ReleaseState, close
from core.tasks import Stage, TrainMove
from core.train.step import Results, Step


class Record(Step, frozen=True, tag="record"):
    """The release and every member become shipped; the notes are stored with them."""

    release: str
    evidence: tuple[str, ...]
    """Ids of the steps that must have a result before the flip."""

    @property
    def id(self) -> str:
        return f"record:{self.release}"

    @property
    def title(self) -> str:
        return "record the release as shipped"

    @property
    def identity(self) -> tuple[str, ...]:
        return (self.release,)

    async def observe(self, ports: Ports, results: Results) -> Observation:
        async with ports.records.reading() as tx:
            release = await tx.release(self.release)
        return Already() if release and release.state is ReleaseState.SHIPPED else NotYet()

    async def perform(self, ports: Ports, results: Results) -> Facts:
        # From evidence, not from having come so far (L26).
        if missing := [step for step in self.evidence if step not in results]:
            raise StepFailed("the record stays as it is", f"no evidence of {', '.join(missing)}", "release resume")
        now = ports.clock.now()
        async with ports.fenced() as tx:
            release, ship = await tx.release(self.release), await tx.latest_run(self.release)
            assert release and ship
            members = [task for slug in release.members if (task := await tx.task(slug))]
            for task in members:
                await moved(tx, task, Stage.SHIPPED, ENGINE, now, TrainMove.RECORD)
            shipped = close(release, ReleaseState.SHIPPED, now)
            entries, seals = await tx.entries(self.release), await tx.seals(self.release)
            notes = release_notes(shipped, members, ship, list(entries.values()), seals)
            await tx.update_release(release, msgspec.structs.replace(shipped, notes=notes.encoded()))
        return {"tasks": len(members)}
