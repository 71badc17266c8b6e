"""Every reason not to start, all at once, before anything moves; and a confirmation that holds for what was shown."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from adapters.database.records import Database
from core.conductor import OFFER_LASTS, PlanChanged
from core.errors import Refused, StepFailed
from core.journal import RunState
from core.permissions import Actor, Face
from core.train.proposal import Outlook, Proposal
from tests.world.toy_train import ADA, OLIVE, RELEASE, REX, WHOLE_TRAIN, Station, draft, registry_of


async def proposed(station: Station) -> Proposal:
    """What the plan says now."""
    return await station.conductor.plan(RELEASE)


def whats(proposal: Proposal) -> list[str]:
    """The problems, without their reasons."""
    return [problem.what for problem in proposal.problems]


def outlooks(proposal: Proposal) -> dict[str, Outlook]:
    """What every step will do."""
    return {preview.step: preview.outlook for preview in proposal.previews}


async def assert_cannot_start(station: Station, *what: str) -> None:
    """The offer names exactly these problems, cannot be confirmed, and nothing was moved."""
    offer = await station.conductor.offer(OLIVE, RELEASE)
    assert whats(offer.proposal) == list(what)
    with pytest.raises(Refused, match="was offered"):
        await station.conductor.ship(OLIVE, RELEASE, offer.proposal.digest)
    assert station.world.ledger == []
    assert (await station.conductor.status(RELEASE)).progress is None


# ── refusals before anything moves ─────────────────────────────────────────────────────────────────────────────────


async def test_there_is_no_train(station: Station) -> None:
    with pytest.raises(Refused, match="no release is active"):
        await station.conductor.plan()
    with pytest.raises(Refused, match="unknown release 'r1'"):
        await station.conductor.offer(OLIVE, RELEASE)


async def test_a_train_that_is_still_assembling_does_not_ship(station: Station) -> None:
    await station.conductor.open(OLIVE, RELEASE, await station.reviewed(*WHOLE_TRAIN))
    await assert_cannot_start(station, "r1 is assembling")


async def test_a_silent_registry_stops_everything_before_the_irreversible(assembled: Station) -> None:
    """L11: an outage made every version look unpublished."""
    assembled.world.silent = {"registry"}
    proposal = await proposed(assembled)
    assert whats(proposal) == ["registry does not answer"]
    assert {outlooks(proposal)[step] for step in ("publish:money", "publish:ledger")} == {Outlook.REFUSED}
    await assert_cannot_start(assembled, "registry does not answer")


@pytest.mark.parametrize("trace", ["the tag without the version", "other bytes", "marked as yanked"])
async def test_a_number_that_is_spent_is_not_published(assembled: Station, trace: str) -> None:
    """L12: a listing omits what was yanked; the tag that is still there tells."""
    world, place = assembled.world, ("money", "1.1.0")
    match trace:
        case "the tag without the version":
            world.tags["money", "v1.1.0"] = assembled.frozen("money")
            problem = "money 1.1.0 was yanked or taken"
        case "other bytes":
            world.published[place] = {"money-1.1.0.pkg": "of somebody else"}
            problem = "money 1.1.0 is taken by other bytes"
        case _:
            world.yanked.add(place)
            problem = "money 1.1.0 was yanked"
    await assert_cannot_start(assembled, problem)


async def test_whose_bytes_are_at_our_number_is_said(assembled: Station) -> None:
    assembled.world.published["money", "1.1.0"] = {"money-1.1.0.pkg": "of somebody else"}
    [problem] = (await proposed(assembled)).problems
    assert "it seems to be somebody's" in problem.why
    assert problem.next.startswith("bump the version")


async def test_a_branch_that_moved_since_the_freeze_stops_the_train(assembled: Station) -> None:
    """Also where nothing is re-pinned: ship promotes what QA saw, and somebody meant this to be in it (spec 6.1)."""
    world = assembled.world
    for name in ("turf", "docs", "money"):
        world.refs[name, "release"] = world.commit({"late": b""}, world.refs[name, "release"])
    await assert_cannot_start(
        assembled,
        "turf has drifted since the freeze",
        "money has drifted since the freeze",
        "docs has drifted since the freeze",
    )


async def test_a_branch_that_is_gone_stops_the_train(assembled: Station) -> None:
    del assembled.world.refs["turf", "release"]
    await assert_cannot_start(assembled, "turf has drifted since the freeze")


async def test_a_main_that_diverged_is_named_and_force_is_never_advised(assembled: Station) -> None:
    """L36."""
    world = assembled.world
    world.refs["docs", "main"] = world.commit({"hotfix": b""}, world.refs["docs", "main"])
    [problem] = (await proposed(assembled)).problems
    assert problem.what == "main of docs has diverged"
    assert problem.next == "merge main into release, then release prepare"
    assert "force" not in str(problem)


async def test_a_dependency_never_moves_backwards(station: Station) -> None:
    """L15: an equality check downgraded a consumer."""
    newer = {"needs.txt": b"money@release\n", "needs.lock": b"money==1.10.0\n"}
    world = station.world
    world.refs["hub", "release"] = world.commit(newer, world.refs["hub", "main"])
    await station.prepared(draft("coin", "money"), draft("desk", "hub"))
    await assert_cannot_start(station, "hub would go back to money 1.1.0")


async def test_an_app_that_takes_a_package_from_a_branch_needs_it_aboard(station: Station) -> None:
    await station.prepared(draft("coin", "money"), draft("desk", "hub"))
    await assert_cannot_start(station, "hub takes ledger from a branch")


async def test_a_post_deploy_command_with_nowhere_to_run_stops_the_train(station: Station) -> None:
    """Spec 7.4: in dry runs too."""
    await station.prepared(draft("words", "docs", command="rake words"))
    await assert_cannot_start(station, "the post-deploy command of words has nowhere to run")


async def test_what_is_missing_here_is_named_before_anything_moves(assembled: Station) -> None:
    """L40: credentials, tools and built files; once, however many steps want it."""
    assembled.world.kept.clear()
    assembled.world.absent = {"TOY_KEY", "toy"}
    await assert_cannot_start(
        assembled,
        "toy is not installed",
        "the built file money-1.1.0.pkg is missing here",
        "the built file ledger-2.0.0.pkg is missing here",
        "TOY_KEY is not set",
    )


async def test_a_script_that_is_not_in_the_commit_that_ships_is_missed_before_anything_moves(
    assembled: Station, database: Database
) -> None:
    """L40: main had advanced before it was found that the script did not exist."""
    reg = assembled.registry
    docs = msgspec.structs.replace(reg.apps["docs"], test_cmd=("script/test", "docs"))
    other = registry_of(list(reg.packages.values()), list({**reg.apps, "docs": docs}.values()))
    await assert_cannot_start(
        Station(assembled.world, database, assembled.ports.scratch, other),
        "docs has no script/test at the commit that ships",
    )


async def test_what_is_live_already_needs_nothing_here(assembled: Station) -> None:
    """Spec 6.9: on another machine the built files of a package that is out are nobody's business."""
    assembled.world.fail("deploy hub", StepFailed("hub does not serve"))
    assert (await assembled.shipped()).state is RunState.STOPPED
    assembled.world.kept.clear()
    assert whats(await proposed(assembled)) == []
    assert (await assembled.shipped()).state is RunState.FINISHED


async def test_what_breaks_in_an_unforeseen_way_is_one_reason_among_the_others(
    assembled: Station, caplog: pytest.LogCaptureFixture
) -> None:
    """A raw exception reached the face, and hid every other reason."""
    world = assembled.world
    world.failing["git docs"] = OSError("too many open files")
    world.silent = {"git hub"}
    problems = (await assembled.conductor.offer(OLIVE, RELEASE)).proposal.problems
    assert [problem.what for problem in problems] == ["git hub does not answer", "advance main of docs broke off"]
    assert problems[1].why == "OSError: too many open files"
    number = problems[1].next.split()[-1]
    assert number in caplog.text
    assert "Traceback" in caplog.text


async def test_a_freeze_that_breaks_in_an_unforeseen_way_says_so_in_words(assembled: Station) -> None:
    assembled.world.failing["git docs"] = OSError("too many open files")
    with pytest.raises(StepFailed, match="freeze docs broke off"):
        await assembled.conductor.freeze(OLIVE, RELEASE)


async def test_all_reasons_come_at_once(assembled: Station) -> None:
    world = assembled.world
    world.published["money", "1.1.0"] = {"money-1.1.0.pkg": "of somebody else"}
    world.refs["turf", "release"] = world.commit({"late": b""}, world.refs["turf", "release"])
    world.refs["docs", "main"] = world.commit({"hotfix": b""}, world.refs["docs", "main"])
    world.silent = {"git hub"}
    await assert_cannot_start(
        assembled,
        "money 1.1.0 is taken by other bytes",
        "git hub does not answer",
        "turf has drifted since the freeze",
        "main of docs has diverged",
    )


async def test_a_repository_that_left_the_registry_stops_the_train(assembled: Station, database: Database) -> None:
    reg = assembled.registry
    smaller = registry_of([reg.packages["money"]], [app for app in reg.apps.values() if app.name != "docs"])
    elsewhere = Station(assembled.world, database, assembled.ports.scratch, smaller)
    assert whats(await elsewhere.conductor.plan(RELEASE)) == [
        "ledger is frozen but not registered",
        "docs is frozen but not registered",
    ]


# ── the dry run ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_dry_run_changes_nothing_and_shows_the_plan_that_ship_then_accepts(assembled: Station) -> None:
    """Spec 6.11; L51: it waits for nothing either."""
    world, events = assembled.world, await assembled.conductor.events(RELEASE, 0)
    before = dict(world.refs), dict(world.running), dict(world.published), dict(world.tags), dict(world.commits)
    seen = len(world.points)
    dry = await proposed(assembled)
    assert (world.refs, world.running, world.published, world.tags, world.commits) == before
    assert world.ledger == []
    assert "sleep" not in world.points[seen:]
    assert await assembled.conductor.events(RELEASE, 0) == events
    offer = await assembled.conductor.offer(OLIVE, RELEASE)
    assert offer.proposal == dry
    ship = await assembled.conductor.ship(OLIVE, RELEASE, dry.digest)
    assert ship.digest == dry.digest


async def test_the_plan_shows_the_exact_commands_and_what_will_be_skipped(assembled: Station) -> None:
    """L03: one argv is shown and run."""
    assembled.world.fail("deploy turf", StepFailed("turf exited with 1"))
    assert (await assembled.shipped()).state is RunState.STOPPED
    proposal = await proposed(assembled)
    by_step = {preview.step: preview for preview in proposal.previews}
    assert by_step["publish:money"].commands == (("toy", "publish", "money-1.1.0.pkg"),)
    assert by_step["deploy:hub"].commands == (("toy", "deploy", "hub", assembled.world.running["hub"]),)
    assert by_step["post-deploy:seats"].commands == (("toy", "run", "hub", "rake", "seed seats"),)
    skipped = {step for step, outlook in outlooks(proposal).items() if outlook is Outlook.SKIP}
    assert {"publish:money", "repin:hub", "gate:hub", "advance:hub", "deploy:hub", "advance:turf"} <= skipped
    assert outlooks(proposal)["deploy:turf"] is Outlook.RUN


# ── the confirmation ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_world_that_changed_since_the_offer_shows_the_new_plan_instead(assembled: Station) -> None:
    """Spec 6.2."""
    offer = await assembled.conductor.offer(OLIVE, RELEASE)
    [artefact] = next(
        one for one in (await assembled.conductor.status(RELEASE)).release.frozen if one.repository == "money"
    ).artefacts
    assembled.world.published["money", "1.1.0"] = {artefact.filename: artefact.sha256}
    with pytest.raises(PlanChanged) as changed:
        await assembled.conductor.ship(OLIVE, RELEASE, offer.proposal.digest)
    assert outlooks(changed.value.proposal)["publish:money"] is Outlook.SKIP
    assert changed.value.proposal.digest != offer.proposal.digest
    assert (await assembled.conductor.status(RELEASE)).progress is None


async def test_a_train_that_changed_since_the_offer_is_not_shipped(assembled: Station) -> None:
    offer = await assembled.conductor.offer(OLIVE, RELEASE)
    await assembled.conductor.eject(OLIVE, "words")
    await assembled.conductor.freeze(OLIVE)
    with pytest.raises(PlanChanged):
        await assembled.conductor.ship(OLIVE, RELEASE, offer.proposal.digest)


async def test_a_problem_that_came_up_since_the_offer_refuses_the_confirmation(assembled: Station) -> None:
    offer = await assembled.conductor.offer(OLIVE, RELEASE)
    world = assembled.world
    world.refs["docs", "release"] = world.commit({"late": b""}, world.refs["docs", "release"])
    with pytest.raises(Refused, match="docs has drifted"):
        await assembled.conductor.ship(OLIVE, RELEASE, offer.proposal.digest)
    assert world.ledger == []


async def test_an_offer_expires(assembled: Station) -> None:
    """L05: declined, absent and expired are three different outcomes."""
    offer = await assembled.conductor.offer(OLIVE, RELEASE)
    assembled.world.now += OFFER_LASTS + timedelta(seconds=1)
    with pytest.raises(Refused, match="the confirmation has expired"):
        await assembled.conductor.ship(OLIVE, RELEASE, offer.proposal.digest)
    assert (await assembled.shipped()).state is RunState.FINISHED


async def test_what_was_never_offered_cannot_be_confirmed(assembled: Station) -> None:
    with pytest.raises(Refused, match="no plan '0123456789' was offered for r1"):
        await assembled.conductor.ship(OLIVE, RELEASE, "0123456789")
    dry = await proposed(assembled)
    with pytest.raises(Refused, match="was offered for r1"):
        await assembled.conductor.ship(OLIVE, RELEASE, dry.digest)


@pytest.mark.parametrize(
    "actor", [ADA, REX, Actor("test:nobody", "nobody", frozenset(), Face.DISCORD)], ids=lambda actor: actor.name
)
async def test_only_operators_open_fill_freeze_offer_ship_resume_cancel_and_abandon(
    assembled: Station, actor: Actor
) -> None:
    """Spec 9.5, and the guard stands inside every act (L55)."""
    digest = (await assembled.conductor.offer(OLIVE, RELEASE)).proposal.digest
    conductor = assembled.conductor
    for attempt in (
        conductor.open(actor, "r2"),
        conductor.add(actor, "pay"),
        conductor.eject(actor, "words"),
        conductor.freeze(actor),
        conductor.offer(actor),
        conductor.ship(actor, RELEASE, digest),
        conductor.resume(actor),
        conductor.cancel(actor),
        conductor.abandon(actor),
    ):
        with pytest.raises(Refused, match="only the operator role may"):
            await attempt
    assert (await conductor.ship(OLIVE, RELEASE, digest)).confirmed_by == "olive"


# ── what is confirmed is what runs ─────────────────────────────────────────────────────────────────────────────────


def elsewhere(station: Station, **changed: str) -> Station:
    """The same record in a process that is configured otherwise."""
    said = {"stationmaster": "0.1.0", "toy publish_url": "http://a", "other publish_url": "http://x", **changed}
    return station.configured(said)


@pytest.mark.parametrize(
    ("key", "what"),
    [
        ("toy publish_url", "this was confirmed with another configuration"),
        ("stationmaster", "this was confirmed with another version of stationmaster"),
    ],
)
async def test_a_resume_under_another_configuration_acts_by_nothing_and_says_what_differs(
    assembled: Station, key: str, what: str
) -> None:
    """publish_url was edited between the stop and the resume, and the next package went to the new registry."""
    station = elsewhere(assembled)
    station.world.fail("publish money", *[StepFailed("the registry is full")] * 3)
    assert (await station.shipped()).state is RunState.STOPPED
    before = list(station.world.ledger)
    stopped = await elsewhere(assembled, **{key: "http://b"}).resumed()
    assert (stopped.state, station.world.ledger) == (RunState.STOPPED, before)
    [reason] = stopped.reasons
    assert reason.what == what and "is http://b here" in reason.why and f"{key} was " in reason.why
    assert (await elsewhere(assembled, **{"other publish_url": "http://y"}).resumed()).state is RunState.FINISHED


async def test_what_another_registry_has_is_never_recorded_as_ours(assembled: Station) -> None:
    """index_url was edited after the stop; what was found over there was written down as published by this ship."""
    station, world = elsewhere(assembled), assembled.world
    world.fail("publish money", *[StepFailed("the registry is full")] * 3)
    assert (await station.shipped()).state is RunState.STOPPED
    [artefact] = (await assembled.conductor.status(RELEASE)).release.frozen[1].artefacts
    world.published["money", "1.1.0"] = {artefact.filename: artefact.sha256}
    other = elsewhere(assembled, **{"toy publish_url": "http://b"})
    assert (await other.resumed()).state is RunState.STOPPED
    assert (await other.progress()).live == ()


async def test_between_the_offer_and_the_press_a_change_is_told_line_by_line(assembled: Station) -> None:
    offer = await elsewhere(assembled).conductor.offer(OLIVE)
    with pytest.raises(PlanChanged) as changed:
        other = elsewhere(assembled, **{"toy publish_url": "http://b"})
        await other.conductor.ship(OLIVE, RELEASE, offer.proposal.digest)
    assert [reason.what for reason in changed.value.reasons[1:]] == [
        "gone: toy publish_url: http://a",
        "new: toy publish_url: http://b",
    ]


@pytest.mark.parametrize("length", [10, 11, 63, 64])
async def test_a_plan_is_named_by_ten_characters_or_more_of_its_digest(assembled: Station, length: int) -> None:
    digest = (await assembled.conductor.offer(OLIVE)).proposal.digest
    assert len(digest) == 64
    for wrong in (digest[:9], "", digest[:length] + "x", digest[:10][::-1] + digest[10:]):
        with pytest.raises(Refused, match="no plan"):
            await assembled.conductor.ship(OLIVE, RELEASE, wrong)
    run = await assembled.conductor.ship(OLIVE, RELEASE, digest[:length])
    assert run.digest == digest
    with pytest.raises(Refused, match="is shipping already"):
        await assembled.conductor.ship(OLIVE, RELEASE, digest)


@pytest.mark.parametrize(
    ("mode", "what"),
    [
        ("120000", "script/test of docs is no program"),
        ("100644", "script/test of docs cannot be run"),
        ("040000", "script/test of docs is no program"),
        ("160000", "script/test of docs is no program"),
        ("", "docs has no script/test at the commit that ships"),
    ],
)
async def test_a_script_that_is_anything_but_an_executable_file_is_refused_in_the_plan(
    assembled: Station, database: Database, mode: str, what: str
) -> None:
    reg = assembled.registry
    docs = msgspec.structs.replace(reg.apps["docs"], test_cmd=("script/test", "docs"))
    other = registry_of(list(reg.packages.values()), list({**reg.apps, "docs": docs}.values()))
    assembled.world.modes["script/test"] = mode
    await assert_cannot_start(Station(assembled.world, database, assembled.ports.scratch, other), what)


async def test_an_act_that_an_older_version_wrote_down_is_recognised(assembled: Station) -> None:
    plan = (await assembled.conductor.offer(OLIVE)).proposal.plan
    assert plan
    step = plan.steps[0]
    assert len(step.key) == len(step.id) + 33
    assert step.entry_in({step.key[: len(step.id) + 9]: "known"}) == "known"  # pyright: ignore[reportArgumentType]
