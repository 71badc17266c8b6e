"""A train of gems, with the real gem and bundle, from freeze to a frozen `bundle install` in production."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from core.journal import RunState
from core.train.progress import StepState
from tests.journeys.conftest import FAST
from tests.world.gem_server import Fault
from tests.world.gem_trains import APPS, GEMS, WHOLE, GemJourney
from tests.world.stations import NEW, OLIVE, RELEASE, Depot

pytestmark = pytest.mark.skipif(
    shutil.which("gem") is None or shutil.which("bundle") is None,
    reason="gem and bundle are missing: apt-get install --no-install-recommends ruby ruby-bundler",
)


@pytest.fixture(scope="session")
def gem_depot() -> Generator[Depot[GemJourney]]:
    """Where worlds of gems are kept, one for each test process."""
    with tempfile.TemporaryDirectory(prefix="gems-", dir=FAST) as folder:
        depot = Depot(Path(folder), GemJourney)
        yield depot
        depot.close()


@pytest.fixture
async def gems(gem_depot: Depot[GemJourney]) -> AsyncGenerator[GemJourney]:
    """Two gems, a hub and a satellite ride."""
    async with gem_depot.journey(*WHOLE) as journey:
        yield journey


async def test_a_train_of_gems_ships_and_a_frozen_bundle_installs_what_was_published(gems: GemJourney):
    proposal = await gems.proposal()
    assert any(argv[:2] == ("gem", "push") for preview in proposal.previews for argv in preview.commands)
    progress = await gems.ship()
    assert progress.state is RunState.FINISHED
    assert not progress.of(StepState.WARNED)
    await gems.require_shipped_once()
    assert gems.world.gems.requests.count("POST /api/v1/gems") == len(GEMS) * 2  # yesterday's, and today's once each
    for app in APPS:
        await gems.git(app, "fetch", "--quiet", "origin")
        await gems.git(app, "checkout", "--quiet", "--detach", "origin/main")
        assert await gems.installed(app) == [NEW, NEW]


async def test_gems_are_locked_to_the_commits_that_ride_until_they_are_published(gem_depot: Depot[GemJourney]):
    async with gem_depot.journey() as gems:
        await gems.lay_branches()
        await gems.push("money", "main", {"NOTICE": "what rides is not what the branch of the task holds"})
        await gems.station.conductor.open(OLIVE, RELEASE, WHOLE)
        prepared = await gems.type("release", "prepare")
        assert prepared.exit_code == 0, prepared
        release = (await gems.station.conductor.status(RELEASE)).release
        frozen = {one.repository: one.sha for one in release.frozen}
        assert frozen["money"] != gems.head("money", "feat/fees")
        for app in APPS:
            lock = await gems.file(app, frozen[app], "Gemfile.lock")
            assert set(re.findall(r"revision: (\w+)", lock)) == {frozen[gem] for gem in GEMS}
            await gems.git(app, "checkout", "--quiet", "--force", "--detach", frozen[app])
            assert await gems.installed(app) == [NEW, NEW]
        assert (await gems.ship()).state is RunState.FINISHED
        await gems.require_shipped_once()


async def test_a_push_whose_answer_was_lost_is_recognised(gems: GemJourney):
    ship = await gems.confirm()
    gems.world.gems.faults.append(lost := Fault("POST", "/api/v1/gems", status=0, times=2, after=True))
    progress = await gems.drive(ship)
    assert lost.times == 0
    assert progress.state is RunState.FINISHED
    await gems.require_shipped_once()


async def test_a_gem_that_cannot_be_installed_yet_is_waited_for_before_the_next_is_pushed(gems: GemJourney):
    server, ship = gems.world.gems, await gems.confirm()
    server.faults += [Fault("GET", f"/info/{name}", status=404, times=5) for name in GEMS]
    server.requests.clear()
    assert (await gems.drive(ship)).state is RunState.FINISHED
    first, second = (at for at, request in enumerate(server.requests) if request == "POST /api/v1/gems")
    assert server.requests[first:second].count("GET /info/money") == 6
    await gems.require_shipped_once()


async def test_a_lock_before_the_index_has_the_gem_everywhere_is_tried_again(gems: GemJourney):
    faults = [Fault("GET", f"/info/{name}", status=404, agent="bundler/") for name in GEMS]
    gems.world.gems.faults += faults
    assert (await gems.ship()).state is RunState.FINISHED
    assert not any(fault.times for fault in faults)
    await gems.require_shipped_once()


async def test_a_lock_that_never_moves_stops_before_anything_is_deployed(gems: GemJourney):
    await gems.configure("bot", lambda bot: bot["train"]["waits"].update(lock_tries=2))
    gems.world.gems.faults.append(silence := Fault("GET", "/info/", status=404, times=10**6, agent="bundler/"))
    progress = await gems.ship()
    assert progress.state is RunState.STOPPED
    assert progress.live == tuple(f"{name} {NEW}" for name in GEMS)
    assert {step.id for step in progress.of(StepState.FAILED)} == {"repin:office", "repin:till"}
    assert not gems.of("platform.release")
    silence.times = 0
    assert (await gems.resume()).state is RunState.FINISHED
    await gems.require_shipped_once()


async def test_a_number_that_holds_another_gem_is_refused_and_says_whose_it_is(gems: GemJourney):
    await gems.world.upload(await gems.world.build("money", NEW, "Mallory"))
    [reason] = (await gems.proposal()).problems
    assert reason.what == "money 1.1.0 is taken by other bytes"
    assert "Mallory's" in reason.why
    assert not gems.of("platform.release")
    assert gems.head("money", "main") != gems.head("money", "release")


async def test_a_number_that_was_yanked_is_refused_although_no_listing_has_it(gems: GemJourney):
    await gems.world.upload(await gems.world.build("money", NEW, "Ada"))
    gems.world.gems.yank("money", NEW)
    [reason] = (await gems.proposal()).problems
    assert reason.what == "money 1.1.0 was yanked"
    assert reason.next == "bump the version, then release prepare"


async def test_a_gem_that_needs_what_nobody_has_is_not_frozen_and_its_task_gets_off_as_said(
    gem_depot: Depot[GemJourney],
):
    async with gem_depot.journey() as gems:
        gemspec = (gems.checkout("ledger") / "ledger.gemspec").read_text()
        needs = gemspec.replace('"money", ">= 1.1.0"', '"money", "~> #{Ledger::VERSION}", ">= 1.1.0"')
        assert needs != gemspec
        await gems.push("ledger", "release", {"ledger.gemspec": needs})
        await gems.review("books", shape="any", repositories=["ledger"])
        await gems.review("till-roll", shape="any", repositories=["till"])
        await gems.station.conductor.open(OLIVE, RELEASE, ["books", "till-roll"])
        refused = await gems.type("release", "freeze")
        assert refused.exit_code == 2
        said = " ".join(refused.err.split())
        assert "nobody could install ledger 1.1.0: it requires money ~> 1.1.0, >= 1.1.0" in said
        assert "money does not ride, and live of it are 1.0.0" in said
        assert "release eject books" in said
        assert gems.world.gems.requests.count("POST /api/v1/gems") == len(GEMS)  # yesterday's
        assert (await gems.type("release", "eject", "books")).exit_code == 0
