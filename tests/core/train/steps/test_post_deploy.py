"""Post-deploy commands: nothing in the world remembers them, so the journal and the operator decide (spec 7)."""

from __future__ import annotations

import pytest

from core.conductor import Answer
from core.errors import NeedsOperator, Refused, StepFailed
from core.handoffs import tier_of
from core.journal import RunState
from core.train.progress import StepState
from core.train.proposal import Outlook
from tests.world.toy_train import OLIVE, RELEASE, Station, draft

BUSY = Refused("the record was busy for too long", "15 s were not enough", "try again")
SHOWN = "[post-deploy] rake 'seed seats' on hub"


def runs(station: Station) -> int:
    """How often the command really ran."""
    return station.world.ledger.count(("run", "hub", "rake", "seed seats"))


async def checks(station: Station) -> tuple[str, ...]:
    """The checks run of the task that declares the command."""
    found = (await station.board.show(OLIVE, "seats")).checks
    return tuple(check.text for check in found if tier_of(check.text) == "post-deploy")


async def asked(station: Station) -> list[str]:
    """The steps that nobody can tell of."""
    return [step.id for step in (await station.progress()).of(StepState.UNKNOWN)]


async def test_the_outcome_stands_in_the_checks_of_the_task(assembled: Station) -> None:
    """Spec 7.2, 7.3: shown as it was run, quotes included."""
    assert (await assembled.shipped()).state is RunState.FINISHED
    assert await checks(assembled) == (f"{SHOWN}: ok",)
    [check] = [one for one in (await assembled.board.show(OLIVE, "seats")).checks if tier_of(one.text) == "post-deploy"]
    assert (check.machine, check.commit) == (True, assembled.world.running["hub"])


async def test_a_command_that_fails_stops_the_ship_after_all_is_live_and_a_resume_runs_it_again(
    assembled: Station,
) -> None:
    """L01: a failing command was recorded as ok."""
    assembled.world.failing["answer of run hub"] = StepFailed("rake exited with 3", "PG::Error", "see its log")
    ship = await assembled.shipped()
    assert ship.state is RunState.STOPPED
    assert [str(reason) for reason in ship.reasons] == ["rake exited with 3 — PG::Error — see its log"]
    assert await checks(assembled) == (f"{SHOWN}: failed: rake exited with 3",)
    progress = await assembled.progress()
    assert [step.id for step in progress.of(StepState.FAILED)] == ["post-deploy:seats"]
    assert [step.id for step in progress.of(StepState.WAITING)] == ["seal:hub", "seal:turf", "record:r1"]
    assert (await assembled.resumed()).state is RunState.FINISHED
    assert runs(assembled) == 2
    assert (await checks(assembled))[1:] == (f"{SHOWN}: ok",)


async def test_the_check_is_written_before_anything_else_happens(assembled: Station) -> None:
    """Spec 7.3: the power goes between the two writes, and the check is the one that is there."""
    world = assembled.world

    def then_the_power_goes_after_one_write() -> None:
        world.power = lambda point: point != "after commit"

    world.failing["answer of run hub"] = StepFailed("rake exited with 3")
    world.meanwhile["answer of run hub"] = then_the_power_goes_after_one_write
    with pytest.raises(BaseExceptionGroup):
        await assembled.shipped()
    assert await checks(assembled) == (f"{SHOWN}: failed: rake exited with 3",)
    assert [step.id for step in (await assembled.progress()).of(StepState.RUNNING)] == ["post-deploy:seats"]


@pytest.mark.parametrize(("happened", "times"), [(True, 1), (False, 2)])
async def test_a_command_that_was_never_heard_of_again_is_asked_about(
    assembled: Station, happened: bool, times: int
) -> None:
    assembled.world.failing["answer of run hub"] = NeedsOperator("rake was never heard of again")
    assert (await assembled.shipped()).state is RunState.ASKING
    assert await asked(assembled) == ["post-deploy:seats"]
    assert await checks(assembled) == (f"{SHOWN}: nobody can tell how it ended",)
    assert (await assembled.resumed()).state is RunState.ASKING, "without an answer it is asked again"
    assert runs(assembled) == 1
    assert (await assembled.resumed(Answer(happened))).state is RunState.FINISHED
    assert runs(assembled) == times
    said = "an operator says that it happened (olive)" if happened else "ok"
    assert (await checks(assembled))[1:] == (f"{SHOWN}: {said}",)


async def test_a_command_that_ran_does_not_run_again_after_a_new_freeze_and_the_plan_says_so(station: Station) -> None:
    """A re-run repeats nothing, and nobody is left to think that it ran on the newer code."""
    seats, odds = draft("seats", "hub", command="rake 'seed seats'"), draft("odds", "turf", command="rake odds")
    await station.prepared(draft("pay", "money", "ledger"), seats, odds)
    station.world.fail("run turf", StepFailed("rake exited with 3"))
    assert (await station.shipped()).state is RunState.STOPPED
    head = station.world.refs["hub", "release"]
    newer = station.world.commit({**station.world.commits[head][1], "more": b""}, head)
    station.world.refs["hub", "release"] = newer
    await station.conductor.freeze(OLIVE, RELEASE)
    previews = {one.step: one for one in (await station.conductor.plan(RELEASE)).previews}
    seen = previews["post-deploy:seats"]
    assert (seen.outlook, seen.detail) == (
        Outlook.SKIP,
        "ran at 2026-01-01 00:00 UTC; runs again only with a changed command",
    )
    assert previews["post-deploy:odds"].outlook is Outlook.RUN
    assert (await station.shipped()).state is RunState.FINISHED
    assert (runs(station), station.world.running["hub"]) == (1, newer)


async def test_a_tool_that_breaks_in_an_unforeseen_way_is_asked_about_too(assembled: Station) -> None:
    assembled.world.failing["answer of run hub"] = OSError("disk full")
    ship = await assembled.shipped()
    assert ship.state is RunState.ASKING
    assert "OSError: disk full" in str(ship.reasons[0])


@pytest.mark.parametrize("write", [1, 2], ids=["the check", "the journal"])
async def test_a_command_whose_outcome_could_not_be_written_down_does_not_run_again_by_itself(
    assembled: Station, write: int
) -> None:
    """It ran; a record that was busy just then must not make it "failed"."""
    world = assembled.world

    def busy() -> None:
        world.failing["commit"] = BUSY

    def busy_at_the_second_write() -> None:
        def at_the_first() -> None:
            world.meanwhile["commit"] = busy

        world.meanwhile["commit"] = at_the_first

    world.meanwhile["answer of run hub"] = busy if write == 1 else busy_at_the_second_write
    ship = await assembled.shipped()
    assert ship.state in (RunState.ASKING, RunState.STOPPED)
    assert BUSY.reasons[0].what in str(ship.reasons)
    assert await asked(assembled) == ["post-deploy:seats"]
    assert runs(assembled) == 1
    assert (await assembled.resumed(Answer(happened=True))).state is RunState.FINISHED
    assert runs(assembled) == 1
