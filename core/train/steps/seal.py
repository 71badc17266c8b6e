"""The production smoke seal of an app: read-only, and it never fails the ship (spec 8.2, L44)."""

from __future__ import annotations

import asyncio

import msgspec

from core.errors import Trouble, Unreachable
from core.journal import SealRecord, SealStatus
from core.observations import Facts, NotYet, Observation
from core.ports import Ports
from core.registry import App, Sha
from core.train.step import Commit, Results, Step
from core.unforeseen import or_trouble

_LIMIT = 10  # times `seal_seconds`, which passes between the two looks that a check may take


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
            checked = await or_trouble(f"the check of {self.app.name}", self._checked(ports))
            seal = msgspec.structs.replace(checked, release=self.release)
        except Trouble as trouble:  # no verdict on the site, and the record must say so
            [first, *_] = trouble.reasons
            why = ": ".join(filter(None, ("not sealed", first.what, first.why)))
            now = ports.clock.now()
            seal = SealRecord(
                app=self.app.name, status=SealStatus.UNSEALED, summary=why, checked_at=now, release=self.release
            )
        if seal.status is SealStatus.RED:
            seal = msgspec.structs.replace(seal, rollback=await self._rollback(ports, results))
        async with ports.fenced() as tx:
            await tx.add_seal(seal)
        return {"status": seal.status, "summary": seal.summary, "rollback": "\n".join(seal.rollback)}

    async def _checked(self, ports: Ports) -> SealRecord:
        limit = _LIMIT * ports.waits.seal_seconds
        try:
            async with asyncio.timeout(limit):
                return await ports.smoke.check(self.app)
        except TimeoutError as error:
            raise Unreachable(f"the check of {self.app.name} came to no end", f"cut off after {limit:g} s") from error

    async def _rollback(self, ports: Ports, results: Results) -> tuple[str, ...]:
        """Advice that is true now (L47); none is better than wrong."""
        target = self.app.prod_deploy
        if target is None:
            return ()
        try:
            strategy = ports.strategies[target.strategy]
            before = results.get(f"advance:{self.app.name}", {}).get("was")
            was = Sha(str(before)) if before else None
            return await strategy.rollback(self.app, target, self.commit.required(results), was)
        except Trouble:
            return ()
