"""A train of real tools is brought to QA from the command line, and production gets what QA saw."""

from __future__ import annotations

import tomllib

from core.journal import RunState
from core.releases import ReleaseState
from tests.world.demo_trains import WHOLE, DemoJourney
from tests.world.stations import OLIVE, RELEASE, Depot


async def test_a_train_is_prepared_from_the_command_line_and_what_qa_saw_ships(depot: Depot[DemoJourney]) -> None:
    async with depot.journey() as journey:
        await journey.lay_branches()
        await journey.push("coin-core", "main", {"NOTICE": "what rides is not what the branch of the task holds"})
        await journey.station.conductor.open(OLIVE, RELEASE, WHOLE)
        looked = await journey.type("release", "assemble")
        assert looked.exit_code == 0, looked
        assert "kiosk has no QA: it is merged and frozen only" in looked.out
        assert journey.of("platform.release") == []

        prepared = await journey.type("release", "prepare")
        assert prepared.exit_code == 0, prepared
        for words in ("✓ deploy treasury to QA", "QA runs:", "next: stationmaster release ship"):
            assert words in prepared.out
        release = (await journey.station.conductor.status(RELEASE)).release
        assert release.state is ReleaseState.ASSEMBLED
        frozen = {one.repository: one.sha for one in release.frozen}
        on_qa = {str(one["app"]): one["commit"] for one in journey.of("platform.release")}
        assert on_qa == {"treasury-qa": frozen["treasury"], "wallet-qa": frozen["wallet"]}
        assert [one["app"] for one in journey.of("platform.run")] == ["treasury-qa"]
        for app in ("treasury", "wallet"):
            assert journey.head(app, "release") == frozen[app]
            packages = tomllib.loads(await journey.file(app, frozen[app], "uv.lock"))["package"]
            taken = {one["name"]: str(one["source"]["git"]).rpartition("#")[2] for one in packages[:2]}
            assert taken == {name: frozen[name] for name in ("coin-core", "coin-ledger")}
        assert frozen["coin-core"] != journey.head("coin-core", "feat/coin-fees")

        again = await journey.type("release", "prepare")
        assert again.exit_code == 0, again
        assert len(journey.of("platform.release")) == 2, "it was all recognised"

        assert (await journey.ship()).state is RunState.FINISHED
        await journey.require_shipped_once(runs=2)
