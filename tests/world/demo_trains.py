"""Trains in the demo's world: two Python packages, a hub that takes both, and two satellites."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import aiohttp

from bot.demo.origins import WORK
from bot.demo.transcript import Transcript
from bot.demo.world import BREAKABLE, DemoWorld
from core.registry import Package
from core.releases import Frozen
from tests.world.stations import NEW, Journey

PACKAGES, HUB, SATELLITE = ("coin-fees",), ("coin-fees", "gold-seats"), ("kiosk-hours",)
WHOLE = (*HUB, "card-view", "kiosk-hours")
RELEASE_PHASE = "release:treasury"
_SEED = "python3 manage.py seed 'gold seats'"


class LookedAtWorld(DemoWorld):
    """The demo's world, as journeys look at it."""

    def origin(self, name: str) -> Path:
        """See `stations.World`."""
        return Path(self.origins.path(name))

    def violations(self) -> Sequence[str]:
        self.index.look()
        return self.index.violations


class DemoJourney(Journey[LookedAtWorld]):
    """A journey whose faults are those of the demo's world."""

    tasks: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "coin-fees": {"shape": "library", "repositories": ["coin-core", "coin-ledger"]},
        "gold-seats": {
            "shape": "ui",
            "repositories": ["treasury"],
            "post_deploy_cmd": _SEED,
            "depends_on": ["coin-fees"],
        },
        "card-view": {"shape": "ui", "repositories": ["wallet"], "depends_on": ["coin-fees"]},
        "kiosk-hours": {"shape": "script", "repositories": ["kiosk"]},
    }

    def __init__(self, folder: Path) -> None:
        transcript = Transcript()
        super().__init__(LookedAtWorld(folder, transcript), transcript)

    async def prepare(self) -> None:
        """Also merge the work by hand."""
        await super().prepare()
        for name, branches in WORK.items():
            await self.git(name, "checkout", "--quiet", "-b", "release", next(iter(branches)))
            await self.git(name, "push", "--quiet", "origin", "release")

    def break_once(self, step: str) -> None:
        """Let the world fail at `step`, once; see `BREAKABLE`."""
        kind, _, name = step.partition(":")
        assert name in BREAKABLE[kind], step
        mark = self.world.folder / "broken" / step
        mark.parent.mkdir(exist_ok=True)
        mark.touch()

    def repair(self, step: str) -> None:
        """Take the mark of `break_once` away."""
        (self.world.folder / "broken" / step).unlink(missing_ok=True)

    async def upload(self, name: str, filename: str, body: bytes, author: str = "") -> None:
        """Somebody uploads a file of version `NEW` to the index."""
        form = aiohttp.FormData({"name": name, "version": NEW, "author": author})
        form.add_field("content", body, filename=filename)
        headers = {"Authorization": aiohttp.encode_basic_auth("__token__", self.world.index.token)}
        url = self.world.index.publish_url
        async with aiohttp.request("POST", url, data=form, headers=headers) as answer:
            assert answer.status == 200, await answer.text()

    def locked(self, lock: bytes) -> Mapping[str, str]:
        """See `Journey`."""
        packages = tomllib.loads(lock.decode())["package"]
        return {one["name"]: one["version"] for one in packages if "registry" in one["source"]}

    async def _require_published(self, package: Package, frozen: Frozen, tags: bool) -> None:
        await super()._require_published(package, frozen, tags)
        published = [one["filename"] for one in self.of("index.published", name=package.distribution, version=NEW)]
        assert sorted(map(str, published)) == sorted(one.filename for one in frozen.artefacts)
