"""What goes wrong at the package index, with the real uv: what the operator reads, and what a resume makes of it."""

from __future__ import annotations

import asyncio

from core.journal import RunState
from core.train.progress import StepState
from tests.world.demo_trains import DemoJourney


async def test_a_publish_whose_answer_was_lost_is_recognised_and_no_failure_at_all(packages: DemoJourney):
    ship = await packages.confirm()
    lost = packages.world.index.script_fault("POST", "/legacy/", times=2, after=True, drop=True)
    progress = await packages.drive(ship)
    assert lost.times == 0
    assert progress.state is RunState.FINISHED
    assert not progress.of(StepState.WARNED, StepState.FAILED, StepState.UNKNOWN)
    await packages.require_shipped_once()


async def test_a_transient_conflict_and_an_overloaded_index_are_tried_again(packages: DemoJourney):
    ship = await packages.confirm()
    faults = [packages.world.index.script_fault("POST", "/legacy/", status=status) for status in (409, 503)]
    progress = await packages.drive(ship)
    assert [fault.times for fault in faults] == [0, 0]
    assert progress.state is RunState.FINISHED
    await packages.require_shipped_once()


async def test_a_package_that_is_published_late_in_the_index_is_waited_for(packages: DemoJourney):
    packages.world.index.index_delay_seconds = 1
    assert (await packages.ship()).state is RunState.FINISHED
    await packages.require_shipped_once()


async def test_a_package_that_never_shows_up_stops_the_train_and_the_resume_publishes_nothing_twice(
    packages: DemoJourney,
):
    await packages.configure("bot", lambda bot: bot["train"]["waits"].update(install_seconds=0.3))
    packages.world.index.index_delay_seconds = 4
    assert (await packages.ship()).state is RunState.STOPPED
    report = await packages.report()
    assert "coin-core 1.1.0 is published but not installable" in report
    assert "release resume: it goes on waiting and publishes nothing twice" in report
    assert not packages.of("index.published", name="coin-ledger")
    packages.world.index.index_delay_seconds = 0
    await packages.configure("bot", lambda bot: bot["train"]["waits"].update(install_seconds=20))
    assert (await packages.resume()).state is RunState.FINISHED
    await packages.require_shipped_once()


async def test_an_index_that_falls_silent_between_two_packages_stops_before_the_second(packages: DemoJourney):
    ship = await packages.confirm()
    silence = packages.world.index.script_fault("GET", "/simple/coin-ledger/", times=10**6)
    progress = await packages.drive(ship)
    assert progress.state is RunState.STOPPED
    assert progress.live == ("coin-core 1.1.0",)
    assert [step.id for step in progress.of(StepState.FAILED)] == ["publish:coin-ledger"]
    assert "advance:coin-core" in [step.id for step in progress.of(StepState.WAITING)]
    [reason] = progress.reasons
    assert (reason.what, reason.next) == (
        "cannot tell whether to publish coin-ledger 1.1.0",
        "release resume, when it answers again",
    )
    silence.times = 0
    assert (await packages.resume()).state is RunState.FINISHED
    await packages.require_shipped_once()


async def test_a_lock_that_the_index_does_not_serve_yet_is_resolved_again(hub: DemoJourney):
    ship = await hub.confirm()
    published = hub.await_effects("index.published", 4)
    driving = asyncio.create_task(hub.drive(ship))
    await published()
    hub.world.index.script_fault("GET", "/files/", times=4)
    progress = await driving
    assert progress.state is RunState.FINISHED
    await hub.require_shipped_once()


async def test_a_tag_that_origin_refuses_is_a_warning_and_its_advice_works(packages: DemoJourney):
    packages.break_once("tag:coin-core")
    progress = await packages.ship()
    assert progress.state is RunState.FINISHED
    await packages.require_shipped_once(tags=False)
    [warned] = progress.of(StepState.WARNED)
    assert "the disk of origin is full" in warned.reasons[0].why
    assert str(warned.reasons[0]) in await packages.report()
    _, found, command = warned.reasons[0].next.partition("git ")
    assert found
    await packages.git("coin-core", *command.split())
    await packages.require_shipped_once()
