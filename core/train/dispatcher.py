"""Gives every running ship without a living owner to this process (design.md §1: level-triggered recovery)."""

from __future__ import annotations

import logging

from core.errors import LeaseLost, Refused
from core.journal import Ship, ShipState
from core.ports import Ports
from core.train import engine

log = logging.getLogger(__name__)


class Dispatcher:
    """Drives ships. `holder`: what others are told about who has the train."""

    def __init__(self, ports: Ports, holder: str, tick_seconds: float = 5) -> None:
        self._ports, self._holder, self._tick_seconds = ports, holder, tick_seconds

    async def run_forever(self) -> None:
        """At every tick, and whenever something happened, take over what is unfinished; ends by cancellation only."""
        seen = 0
        while True:
            try:
                seen = await self._last_event(seen)
                await self.tick()
                await self._ports.records.wait_for_events(seen, self._tick_seconds)
            except Exception:  # a tick that broke must not be the last one
                log.exception("the dispatcher's tick broke", extra={"action": "dispatcher.tick"})
                await self._ports.clock.sleep(self._tick_seconds)

    async def tick(self) -> None:
        """Drive every running ship whose owner is gone; whoever lives keeps theirs."""
        async with self._ports.records.reading() as tx:
            ships = await tx.running_ships()
        for ship in ships:
            try:
                await self.drive(ship.id)
            except (Refused, LeaseLost) as trouble:
                log.info("left alone: %s", trouble, extra={"action": "dispatcher.left", "ship": ship.id})

    async def drive(self, ship_id: int) -> Ship:
        """Run one ship here to its end. Refused while another process holds the train."""
        async with self._ports.records.lease(self._holder) as lease:
            # Read under the lease, never before it (L32).
            async with self._ports.records.reading() as tx:
                ship = await tx.ship(ship_id)
            assert ship, f"no ship {ship_id}"
            return await engine.run(ship, self._ports, lease) if ship.state is ShipState.RUNNING else ship

    async def _last_event(self, seen: int) -> int:
        async with self._ports.records.reading() as tx:
            return max([seen, *(event.id for event in await tx.events(after=seen))])
