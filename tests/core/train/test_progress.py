"""How far a ship is, as everybody reads it while it runs and after it stopped."""

from __future__ import annotations

from core.errors import StepFailed
from core.journal import RunState
from core.train.progress import Progress, StepState
from tests.world.toy_train import Station


def states(progress: Progress) -> dict[str, StepState]:
    """The state of every step."""
    return {step.id: step.state for step in progress.steps}


async def seen_at(station: Station, place: str, *, resume: bool = False) -> Progress:
    """What the report says at the moment when the ship is at `place`."""
    seen: list[Progress] = []

    async def look() -> None:
        seen.append(await station.progress())

    station.world.meanwhile[place] = look
    assert (await (station.resumed() if resume else station.shipped())).state is RunState.FINISHED
    return seen[0]


async def test_a_ship_that_runs_shows_what_is_done_what_runs_and_what_waits(assembled: Station) -> None:
    seen = await seen_at(assembled, "deploy hub")
    assert seen.state is RunState.RUNNING
    assert [step.id for step in seen.of(StepState.RUNNING)] == ["deploy:hub"]
    assert states(seen)["advance:hub"] is StepState.DONE
    assert states(seen)["advance:turf"] is StepState.WAITING
    [running] = seen.of(StepState.RUNNING)
    assert running.started_at and running.seconds is None
    assert running.phase == "ship the hub"
    assert running.log.endswith("1-deploy-hub.log")


async def test_what_failed_before_a_resume_waits_until_it_is_looked_at_again(assembled: Station) -> None:
    assembled.world.fail("deploy turf", StepFailed("turf exited with 1"))
    assert (await assembled.shipped()).state is RunState.STOPPED
    seen = await seen_at(assembled, "platform hub", resume=True)
    assert (seen.state, seen.attempt, seen.reasons) == (RunState.RUNNING, 2, ())
    assert seen.of(StepState.FAILED) == ()
    assert states(seen)["deploy:turf"] is StepState.WAITING
    assert states(seen)["publish:money"] is StepState.ALREADY
    assert "money 1.1.0" in seen.live, "what is live stays live while it is looked at again"
    assert seen.is_resting, "the hub is new and turf is not"


async def test_a_finished_ship_has_nothing_left_to_say(assembled: Station) -> None:
    assert (await assembled.shipped()).state is RunState.FINISHED
    progress = await assembled.progress()
    assert {step.state for step in progress.steps} == {StepState.DONE}
    assert all(step.seconds is not None and step.seconds > 0 for step in progress.steps)
    assert progress.ended_at and progress.ended_at > progress.confirmed_at
    assert (progress.confirmed_by, progress.reasons, progress.is_resting) == ("olive", (), False)
