"""Gives every run without a living owner to this process (design.md §1: level-triggered recovery)."""

from __future__ import annotations

import logging

from core.errors import LeaseLost, Refused, Trouble
from core.journal import Run, RunState
from core.ports import Ports
from core.train import engine
from core.unforeseen import or_trouble

_TICK_SECONDS = 5
log = logging.getLogger(__name__)


class Dispatcher:
    """Drives runs. `holder`: what others are told about who has the train."""

    def __init__(self, ports: Ports, holder: str) -> None:
        self._ports, self._holder = ports, holder

    async def run_forever(self) -> None:
        """At every tick, and whenever something happened, take over what is unfinished; ends by cancellation only."""
        while True:
            try:
                await or_trouble("the dispatcher's tick", self._tick_and_wait())
            except Trouble as trouble:  # a tick that broke must not be the last one
                log.warning("%s", trouble, extra={"action": "dispatcher.tick"})
                await self._ports.clock.sleep(_TICK_SECONDS)

    async def tick(self) -> None:
        """Drive every run whose owner is gone; whoever lives keeps theirs."""
        async with self._ports.records.reading() as tx:
            runs = await tx.unfinished_runs()
        for run in runs:
            try:
                await self.drive(run.id)
            except (Refused, LeaseLost) as trouble:
                log.info("left alone: %s", trouble, extra={"action": "dispatcher.left", "run": run.id})

    async def drive(self, run_id: int) -> Run:
        """Drive one run here until it rests; one that rests already is given back as it is.

        Refused while another process holds the train, LeaseLost when another one has taken it over meanwhile.
        """
        async with self._ports.records.lease(self._holder) as lease:
            # Read under the lease, never before it (L32).
            async with self._ports.records.reading() as tx:
                run = await tx.run(run_id)
            assert run, f"no run {run_id}"
            return await engine.drive(run, self._ports, lease) if run.state is RunState.RUNNING else run

    async def _tick_and_wait(self) -> None:
        async with self._ports.records.reading() as tx:
            seen = await tx.last_event()
        await self.tick()
        await self._ports.records.wait_for_events(seen, _TICK_SECONDS)
