"""What the steps that go through an app's deploy strategy share: where they act, and by which strategy (spec 5.1)."""

from __future__ import annotations

from typing import ClassVar

from core.ports import Ports, Strategy
from core.registry import App, Place, Target
from core.train.step import Commit, Step


class OnTarget(Step, frozen=True, kw_only=True):
    """Something is done to one app at `place`, where it has a target."""

    interruptible: ClassVar[bool] = False  # cut off, nobody could tell how far the platform got
    app: App
    commit: Commit
    place: Place = Place.PRODUCTION

    @property
    def irreversible(self) -> bool:
        return self.place is Place.PRODUCTION

    @property
    def target(self) -> Target:
        target = self.app.target(self.place)
        assert target
        return target

    def strategy(self, ports: Ports) -> Strategy:
        return ports.strategies[self.target.strategy]
