"""What goes wrong where apps are deployed, with the real git and a platform that boots what it gets (spec 6.6 to 8)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from core.errors import Reason, Refused
from core.journal import RunState, SealStatus
from core.releases import ReleaseState
from core.train.progress import Progress, StepState
from tests.world.demo_trains import RELEASE_PHASE, DemoJourney
from tests.world.stations import OLIVE, RELEASE

LOSE_THE_ANSWER = "kill -9 $PPID"  # git receive-pack dies after it has moved the ref
PACKAGES_LIVE = ("coin-core 1.1.0", "coin-ledger 1.1.0")


def failed(progress: Progress) -> list[str]:
    """Steps that failed."""
    return [step.id for step in progress.of(StepState.FAILED)]


def waiting(progress: Progress) -> list[str]:
    """Steps that were never started."""
    return [step.id for step in progress.of(StepState.WAITING)]


def only_reason(progress: Progress, step: str) -> Reason:
    """Why the ship stopped at `step`, and at nothing else."""
    assert progress.state is RunState.STOPPED
    assert failed(progress) == [step]
    [reason] = progress.reasons
    return reason


async def require_log(journey: DemoJourney, step: str, text: str) -> None:
    """The report names a log that is there, and `text` is in it."""
    [found] = [one for one in (await journey.progress()).steps if one.id == step]
    assert found.log in await journey.report()
    assert text in Path(found.log).read_text()


async def finish(journey: DemoJourney, *, runs: int = 1, releases: int = 1) -> None:
    """Resume, and everything is there exactly once."""
    assert (await journey.resume()).state is RunState.FINISHED
    await journey.require_shipped_once(runs=runs, releases=releases)


async def options(journey: DemoJourney, app: str, **changed: object) -> None:
    """Change options of an app's target."""

    def change(repos: Any) -> None:
        repos["apps"][app]["prod_deploy"]["options"].update(changed)

    await journey.configure("release_repos", change)


async def checks(journey: DemoJourney) -> list[str]:
    """What the task with the post-deploy command says of it."""
    found = (await journey.station.board.show(OLIVE, "gold-seats")).checks
    return [check.text.rpartition("treasury: ")[2] for check in found if check.text.startswith("[post-deploy]")]


async def test_pushes_that_arrive_while_every_answer_is_lost_are_recognised(train: DemoJourney):
    for name in ("coin-core", "coin-ledger", "treasury", "wallet", "kiosk"):
        train.hook(train.world.origin(name), "post-receive", LOSE_THE_ANSWER)
    for name in ("treasury", "wallet"):
        train.hook(train.world.platform.apps[name].remote, "post-receive", LOSE_THE_ANSWER)
    progress = await train.ship()
    assert progress.state is RunState.FINISHED
    assert not progress.of(StepState.WARNED)
    await train.require_shipped_once()


async def test_a_build_that_fails_stops_the_train_and_is_built_again(hub: DemoJourney):
    hub.break_once("deploy:treasury")
    progress = await hub.ship()
    reason = only_reason(progress, "deploy:treasury")
    assert "SyntaxError in web.py" in reason.why
    assert reason.next.startswith("release resume builds it again")
    assert progress.live[:2] == PACKAGES_LIVE
    assert not progress.is_resting
    assert waiting(progress) == ["post-deploy:gold-seats", "seal:treasury", "record:r1"]
    await require_log(hub, "deploy:treasury", "SyntaxError in web.py")
    await finish(hub)


async def test_an_app_that_crashes_when_it_boots_is_not_deployed_whatever_git_said(hub: DemoJourney):
    await options(hub, "treasury", boot_seconds=0.5)
    treasury = hub.world.platform.apps["treasury"]
    treasury.knobs.preboot = False

    def crash(kind: str, effect: Mapping[str, object]) -> None:
        if kind == "platform.release":
            treasury.knobs.env["PYTHONHOME"] = "/nowhere"

    hub.listeners.append(crash)
    reason = only_reason(await hub.ship(), "deploy:treasury")
    assert "/up answers 503" in reason.why
    hub.listeners.remove(crash)
    del treasury.knobs.env["PYTHONHOME"]
    assert only_reason(await hub.resume(), "deploy:treasury") == reason  # nobody has started it again
    up = hub.await_effects("platform.boot", 1)
    await hub.heroku("releases:retry", "--app=treasury")
    await up()
    await finish(hub, releases=2)


async def test_old_code_that_answers_for_a_while_is_waited_out(hub: DemoJourney):
    hub.world.platform.apps["treasury"].knobs.boot_delay_seconds = 1
    progress = await hub.ship()
    assert progress.state is RunState.FINISHED
    [deploy] = [step for step in progress.steps if step.id == "deploy:treasury"]
    assert deploy.facts["verified"]
    assert deploy.seconds and deploy.seconds > 1
    await hub.require_shipped_once()


async def test_old_code_that_goes_on_answering_is_no_success_and_is_found_live_later(hub: DemoJourney):
    await options(hub, "treasury", boot_seconds=0.3)
    old = hub.head("treasury", "main")
    hub.world.platform.apps["treasury"].knobs.boot_delay_seconds = 2
    up = hub.await_effects("platform.boot", 1)
    reason = only_reason(await hub.ship(), "deploy:treasury")
    assert reason.what.startswith(f"treasury runs {old[:7]}, not ")
    await up()
    await finish(hub)


async def test_a_release_phase_that_fails_is_seen_although_git_exits_with_0(hub: DemoJourney):
    hub.break_once(RELEASE_PHASE)
    reason = only_reason(await hub.ship(), "deploy:treasury")
    assert reason.what == "the release phase of treasury failed"
    assert "the seats table is locked" in reason.why
    command = reason.next.partition(" once")[0]
    assert not hub.of("platform.release")
    up = hub.await_effects("platform.boot", 1)
    await hub.heroku(*command.split()[1:])
    await up()
    await finish(hub)


async def test_a_satellite_that_rolls_itself_back_beside_a_new_hub_is_a_resting_state(train: DemoJourney):
    train.break_once("deploy:kiosk")
    progress = await train.ship()
    reason = only_reason(progress, "deploy:kiosk")
    assert reason.what == "bin/deploy of kiosk exited with 1"
    assert "rolled back" in reason.why
    heads = {name: train.head(name, "main")[:7] for name in ("coin-core", "coin-ledger", "treasury")}
    heads |= {name: train.head(name, "main")[:7] for name in ("wallet", "kiosk")}
    assert progress.live[:2] == PACKAGES_LIVE
    assert sorted(progress.live[2:4]) == [f"main of {name} {heads[name]}" for name in ("coin-core", "coin-ledger")]
    assert progress.live[4:] == (
        f"main of treasury {heads['treasury']}",
        f"treasury {heads['treasury']}",
        f"main of wallet {heads['wallet']}",
        f"wallet {heads['wallet']}",
        f"main of kiosk {heads['kiosk']}",
    )
    assert waiting(progress)[0] == "post-deploy:gold-seats"
    report = await train.report()
    assert "an accepted resting state" in report
    assert "go on: stationmaster release resume r1" in report
    assert not train.of("platform.run")
    await finish(train)


async def test_a_script_that_hangs_is_killed_and_with_more_time_it_is_shipped_anew(satellite: DemoJourney):
    await options(satellite, "kiosk", timeout_seconds=0.5)
    remote = satellite.world.platform.apps["kiosk"].remote
    builds = satellite.hook(remote, "pre-receive", "exec sleep 600")
    progress = await satellite.ship()
    assert progress.state is RunState.ASKING
    assert [step.id for step in progress.of(StepState.UNKNOWN)] == ["deploy:kiosk"]
    assert "was killed" in progress.reasons[0].why
    satellite.hook(remote, "pre-receive", builds)
    await options(satellite, "kiosk", timeout_seconds=60)
    with pytest.raises(Refused, match="what is registered was changed — release ship"):
        await satellite.resume()
    # Nobody is asked about the script: the kiosk itself says that it runs something else.
    assert (await satellite.ship()).state is RunState.FINISHED
    await satellite.require_shipped_once()


async def test_a_script_that_hangs_after_its_work_is_believed_by_what_the_target_runs(satellite: DemoJourney):
    await options(satellite, "kiosk", timeout_seconds=5)
    satellite.hook(satellite.world.platform.apps["kiosk"].remote, "post-receive", "exec sleep 600")
    assert (await satellite.ship()).state is RunState.FINISHED
    await satellite.require_shipped_once()


async def test_a_post_deploy_command_that_exits_with_3_is_written_down_stops_and_runs_again(hub: DemoJourney):
    hub.break_once("post-deploy:gold-seats")
    reason = only_reason(await hub.ship(), "post-deploy:gold-seats")
    assert "exited with 3 on treasury" in reason.what
    assert "the seats table is locked" in reason.why
    assert await checks(hub) == ["failed: python3 manage.py seed 'gold seats' exited with 3 on treasury"]
    assert (await hub.station.conductor.status(RELEASE)).release.state is ReleaseState.ASSEMBLED
    await finish(hub, runs=2)
    assert (await checks(hub))[1:] == ["ok"]


async def test_a_post_deploy_command_that_is_never_heard_of_again_is_asked_about(hub: DemoJourney):
    hub.world.platform.apps["treasury"].knobs.loses_exit_codes = True
    progress = await hub.ship()
    assert progress.state is RunState.ASKING
    assert "release resume r1 --answer happened" in await hub.report()
    await require_log(hub, "post-deploy:gold-seats", "seeded gold seats")
    assert await checks(hub) == ["nobody can tell how it ended"]
    assert (await hub.resume()).state is RunState.ASKING  # asked again, and not run again
    assert len(hub.of("platform.run")) == 1
    await require_log(hub, "post-deploy:gold-seats", "seeded gold seats")
    assert (await hub.resume(happened=True)).state is RunState.FINISHED
    await hub.require_shipped_once(runs=1)


async def test_a_post_deploy_command_that_is_answered_for_with_again_runs_again(hub: DemoJourney):
    treasury = hub.world.platform.apps["treasury"]
    treasury.knobs.loses_exit_codes = True
    assert (await hub.ship()).state is RunState.ASKING
    treasury.knobs.loses_exit_codes = False
    assert (await hub.resume(happened=False)).state is RunState.FINISHED
    await hub.require_shipped_once(runs=2)


async def test_a_red_gate_deploys_nothing_and_a_fix_is_frozen_anew(hub: DemoJourney):
    hub.break_once("gate:treasury")
    progress = await hub.ship()
    reason = only_reason(progress, "gate:treasury")
    assert reason.next == "fix it, then release prepare; if it was chance, release resume"
    assert progress.live == PACKAGES_LIVE
    await require_log(hub, "gate:treasury", "FAILED (failures=1)")
    assert not hub.of("platform.release")
    await hub.push("treasury", "release", {"NEWS": "a fix\n"})
    await hub.station.conductor.freeze(OLIVE)
    assert (await hub.ship()).state is RunState.FINISHED
    await hub.require_shipped_once()


async def test_a_red_gate_that_was_chance_is_green_at_the_resume(hub: DemoJourney):
    hub.break_once("gate:treasury")
    assert (await hub.ship()).state is RunState.STOPPED
    await finish(hub)


async def test_a_red_release_check_publishes_nothing_at_all(packages: DemoJourney):
    packages.break_once("gate:coin-core")
    progress = await packages.ship()
    assert "bin/check exited 1" in only_reason(progress, "gate:coin-core").why
    assert progress.live == ()
    assert not packages.of("index.published")
    await finish(packages)


async def test_a_red_page_never_stops_the_ship_and_says_how_to_roll_back(satellite: DemoJourney):
    satellite.break_once("seal:kiosk")
    old = satellite.head("kiosk", "main")
    assert (await satellite.ship()).state is RunState.FINISHED
    [seal] = (await satellite.station.conductor.status(RELEASE)).seals
    assert seal.status is SealStatus.RED
    assert "/ is 200 with '<h1>': 500" in seal.summary
    [back] = seal.rollback
    assert back.startswith("git restore --source=") and back.split()[2].partition("=")[2] == old
    await satellite.require_shipped_once()
    satellite.repair("seal:kiosk")
    kiosk = satellite.station.settings.registry.app("kiosk")
    assert (await satellite.station.ports.smoke.check(kiosk)).status is SealStatus.GREEN
