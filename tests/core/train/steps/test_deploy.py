"""Deploys: what is known of them however they end, and a hub that is new beside an older satellite (spec 6.7, 6.8)."""

from __future__ import annotations

import pytest

from core.conductor import Answer
from core.errors import NeedsOperator, Refused, StepFailed, Unreachable
from core.journal import RunState
from core.observations import Facts
from core.train.progress import StepState
from core.words import short
from tests.world.toy import Kill
from tests.world.toy_train import OLIVE, RELEASE, Station

LOST = Unreachable("the answer got lost", "the line is dead")


async def facts(station: Station, step: str) -> Facts:
    """What the journal says of a step."""
    return next(one.facts for one in (await station.progress()).steps if one.id == step)


def deploys(station: Station) -> list[str]:
    """The apps that were deployed, in order."""
    return [what[1] for what in station.world.ledger if what[0] == "deploy"]


async def deployed(station: Station) -> dict[str, str | None]:
    """What `/deployments` shows."""
    return {one.app.name: one.sha for one in await station.conductor.deployments()}


async def test_every_app_is_shown_with_the_commit_that_it_runs(assembled: Station) -> None:
    assert (await assembled.shipped()).state is RunState.FINISHED
    running = assembled.world.running
    assert await deployed(assembled) == {"turf": running["turf"], "hub": running["hub"], "docs": None}


async def test_the_commit_is_still_known_after_a_power_cut_in_the_middle_of_the_deploy(assembled: Station) -> None:
    world = assembled.world
    world.power = lambda point: not point.startswith("after ('deploy', 'hub'")
    with pytest.raises(BaseExceptionGroup) as cut:
        await assembled.shipped()
    assert cut.group_contains(Kill)
    world.power = lambda point: True
    await assembled.dispatcher.tick()
    assert (await assembled.progress()).state is RunState.FINISHED
    assert deploys(assembled) == ["hub", "turf"]
    assert (await deployed(assembled))["hub"] == world.running["hub"]


async def test_the_commit_is_still_known_when_the_answer_to_the_deploy_got_lost(assembled: Station) -> None:
    assembled.world.failing["answer of deploy hub"] = LOST
    assert (await assembled.shipped()).state is RunState.FINISHED
    assert deploys(assembled) == ["hub", "turf"]
    assert (await deployed(assembled))["hub"] == assembled.world.running["hub"]


async def test_the_commit_is_still_known_when_an_operator_had_to_look(assembled: Station) -> None:
    assembled.world.blind = {"turf"}
    assembled.world.failing["answer of deploy turf"] = NeedsOperator("turf was never heard of again")
    assert (await assembled.shipped()).state is RunState.ASKING
    assert (await assembled.resumed(Answer(happened=True))).state is RunState.FINISHED
    running = assembled.world.running["turf"]
    assert (await deployed(assembled))["turf"] == running
    assert f"turf {short(running)} (not verified)" in (await assembled.progress()).live
    assert (await facts(assembled, "deploy:turf"))["answered_by"] == OLIVE.name


async def test_a_satellite_that_fails_beside_the_new_hub_is_reported_and_a_resume_repeats_nothing(
    assembled: Station,
) -> None:
    """Spec 6.8: what is live in order, what failed, what was not started, and that this may rest."""
    world = assembled.world
    world.fail("deploy turf", StepFailed("script/deploy of turf exited with 1", "it rolled itself back"))
    assert (await assembled.shipped()).state is RunState.STOPPED
    progress = await assembled.progress()
    hub = short(world.running["hub"])
    live = [
        "money 1.1.0",
        "ledger 2.0.0",
        *(f"main of {name} {short(assembled.frozen(name))}" for name in ("ledger", "money")),
    ]
    assert list(progress.live) == [
        *live,
        f"main of hub {hub}",
        f"hub {hub}",
        f"main of turf {short(assembled.frozen('turf'))}",
    ]
    assert progress.is_resting
    assert [step.id for step in progress.of(StepState.FAILED)] == ["deploy:turf"]
    not_started = ["advance:docs", "post-deploy:seats", "seal:hub", "seal:turf", "record:r1"]
    assert [step.id for step in progress.of(StepState.WAITING)] == not_started
    before = list(world.ledger)
    assert (await assembled.resumed()).state is RunState.FINISHED
    assert world.ledger[: len(before)] == before
    assert [what[:2] for what in world.ledger[len(before) :]] == [("deploy", "turf"), ("push", "docs"), ("run", "hub")]
    assert not (await assembled.progress()).is_resting


async def test_a_hub_that_fails_holds_every_satellite_back(assembled: Station) -> None:
    assembled.world.fail("deploy hub", StepFailed("hub does not serve a74961a", "/up answers 503"))
    assert (await assembled.shipped()).state is RunState.STOPPED
    assert deploys(assembled) == []
    progress = await assembled.progress()
    assert [step.id for step in progress.of(StepState.FAILED)] == ["deploy:hub"]
    assert {"advance:turf", "deploy:turf", "advance:docs"} <= {step.id for step in progress.of(StepState.WAITING)}


@pytest.mark.parametrize("happened", [True, False])
async def test_a_blind_deploy_that_was_cut_off_is_asked_about(assembled: Station, happened: bool) -> None:
    world = assembled.world
    world.blind = {"turf"}
    moment = "after" if happened else "before"
    world.power = lambda point: not point.startswith(f"{moment} ('deploy', 'turf'")
    with pytest.raises(BaseExceptionGroup):
        await assembled.shipped()
    world.power = lambda point: True
    await assembled.dispatcher.tick()
    progress = await assembled.progress()
    assert progress.state is RunState.ASKING
    assert [step.id for step in progress.of(StepState.UNKNOWN)] == ["deploy:turf"]
    assert "release resume --answer happened" in str(progress.reasons[0].next)
    assert (await assembled.resumed(Answer(happened))).state is RunState.FINISHED
    assert deploys(assembled) == ["hub", "turf"]


async def test_an_answer_without_a_question_is_refused(assembled: Station) -> None:
    assembled.world.fail("deploy turf", StepFailed("script/deploy of turf exited with 1"))
    await assembled.shipped()
    with pytest.raises(Refused, match="there is no question to answer"):
        await assembled.conductor.resume(OLIVE, RELEASE, Answer(happened=True))
