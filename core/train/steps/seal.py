"""The production smoke seal of an app: read-only, and it never fails the ship (spec 8.2, L44)."""

from __future__ import annotations

import msgspec

from core.errors import Trouble
from core.journal import SealRecord, SealStatus
from core.observations import Facts, NotYet, Observation
from core.ports import Ports
from core.registry import App
from core.train.step import Commit, Results, Step


class Seal(Step, frozen=True, tag="seal"):
    """One app that was shipped."""

    soft = True
    release: str
    app: App
    commit: Commit

    @property
    def id(self) -> str:
        return f"seal:{self.app.name}"

    @property
    def title(self) -> str:
        return f"seal {self.app.name}"

    @property
    def identity(self) -> tuple[str, ...]:
        return (self.commit.frozen,)

    async def observe(self, ports: Ports, results: Results) -> Observation:
        return NotYet()

    async def perform(self, ports: Ports, results: Results) -> Facts:
        try:
            seal = msgspec.structs.replace(await ports.smoke.check(self.app), release=self.release)
        except Exception as error:  # a checker that breaks is no verdict on the site, and the record must say so
            why = f"not sealed: {type(error).__name__}: {error}"
            now = ports.clock.now()
            seal = SealRecord(
                app=self.app.name, status=SealStatus.UNSEALED, summary=why, checked_at=now, release=self.release
            )
        if seal.status is SealStatus.RED:
            seal = msgspec.structs.replace(seal, rollback=await self._rollback(ports, results))
        async with ports.fenced() as tx:
            await tx.add_seal(seal)
        return {"status": seal.status, "summary": seal.summary, "rollback": "\n".join(seal.rollback)}

    async def _rollback(self, ports: Ports, results: Results) -> tuple[str, ...]:
        """Advice that is true now (L47); none is better than wrong."""
        target = self.app.prod_deploy
        if target is None:
            return ()
        try:
            strategy = ports.strategies[target.strategy]
            return await strategy.rollback(self.app, target, self.commit.required(results))
        except Trouble:
            return ()
