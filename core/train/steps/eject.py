"""Take a member off that cannot ride, and tell its builder why; the rest ride on (spec 4.2)."""

from __future__ import annotations

from core.board import remarked
from core.conversation import RemarkKind
from core.observations import Already, Facts, NotYet, Observation
from core.permissions import ENGINE
from core.ports import Ports
from core.train.ejecting import take_off
from core.train.queue import Ejection
from core.train.step import Results, Step


class Eject(Step, frozen=True, tag="eject"):
    """One member. Whatever of it was merged before stays on its release branches, and is shown as nobody's (L30)."""

    release: str
    ejection: Ejection

    @property
    def id(self) -> str:
        return f"eject:{self.ejection.task}"

    @property
    def title(self) -> str:
        return f"eject {self.ejection.task}: {self.ejection.because.partition(' — ')[0]}"

    @property
    def identity(self) -> tuple[str, ...]:
        return (self.ejection.because, repr(sorted(self.ejection.conflicts.items())))

    async def observe(self, ports: Ports, results: Results) -> Observation:
        async with ports.records.reading() as tx:
            release = await tx.release(self.release)
        rides = release is not None and self.ejection.task in release.members
        return NotYet() if rides else Already()

    async def perform(self, ports: Ports, results: Results) -> Facts:
        now, task = ports.clock.now(), self.ejection.task
        async with ports.fenced() as tx:
            release = await tx.release(self.release)
            assert release
            if task in release.members:  # an operator may have been faster
                await take_off(tx, release, task, ENGINE, now, self.ejection.because)
                body = feedback(self.release, self.ejection)
                await remarked(tx, task, RemarkKind.QA_FEEDBACK, ENGINE, now, body)
        return {"because": self.ejection.because}


def feedback(release: str, ejection: Ejection) -> str:
    """What the builder reads: why, and every path to be settled, by repository."""
    lines = [f"Ejected from {release}: {ejection.because}."]
    for repository, paths in ejection.conflicts.items():
        lines += [f"{repository}:", *(f"- {path}" for path in paths)]
    return "\n".join(lines)
