"""From the tasks that ride to the freeze, by way of QA: what is done, in order, once, and what is refused."""

from __future__ import annotations

import asyncio

import pytest

from core.conductor import Answer
from core.errors import NeedsOperator, Refused, StepFailed
from core.journal import Run, RunKind, RunState
from core.releases import ReleaseState
from core.tasks import Stage
from core.train.progress import StepState
from core.train.proposal import Outlook
from tests.world.toy_train import OLIVE, RELEASE, Station, draft
from tests.world.waiting import until


async def state_of(station: Station) -> ReleaseState:
    return (await station.conductor.status(RELEASE)).release.state


async def clashing(train: Station) -> None:
    """A task that changes the words of docs as the task before it does, and one that needs it."""
    world, main = train.world, train.world.refs["docs", "main"]
    world.refs["docs", "feat/clash"] = world.commit({"readme": b"other words"}, main)
    world.refs["docs", "feat/tail"] = world.commit({"tail": b""}, main)
    drafts = draft("clash", "docs"), draft("tail", "docs", depends_on=("clash",))
    for slug in await train.reviewed(*drafts):
        await train.conductor.add(OLIVE, slug)


def kinds(station: Station) -> list[tuple[str, ...]]:
    return [what[:2] for what in station.world.ledger]


async def test_a_prepare_merges_tests_brings_to_qa_and_freezes_what_qa_saw(train: Station) -> None:
    run = await train.brought_to_qa()
    assert (run.kind, run.state, run.reasons) == (RunKind.PREPARE, RunState.FINISHED, ())
    assert await state_of(train) is ReleaseState.ASSEMBLED
    release = (await train.conductor.status(RELEASE)).release
    frozen = {one.repository: one.sha for one in release.frozen}
    assert frozen == {name: train.world.refs[name, "release"] for name in ("ledger", "money", "hub", "turf", "docs")}
    assert train.world.on_qa == {"hub": frozen["hub"], "turf": frozen["turf"]}
    assert kinds(train)[-3:] == [("deploy", "hub on QA"), ("deploy", "turf on QA"), ("run", "hub on QA")]
    assert train.world.impossible == []


async def test_a_ship_follows_a_prepare_and_takes_its_green_gates(train: Station) -> None:
    await train.brought_to_qa()
    assert (await train.shipped()).state is RunState.FINISHED
    progress = await train.progress()
    assert {one.id: one.state for one in progress.steps}["gate:hub"] is StepState.DONE, "a re-pinned commit is another"
    assert train.world.impossible == []
    assert [what for what in train.world.ledger if what[0] == "run"] == [
        ("run", "hub on QA", "rake", "seed seats"),
        ("run", "hub", "rake", "seed seats"),
    ]


async def test_what_was_green_for_qa_is_not_tested_again_by_the_ship(train: Station) -> None:
    """The turf has no re-pin here: its commit and its command are the ones that QA saw."""
    docs = train.registry.apps["docs"]
    assert docs.test_cmd
    train.world.points.clear()
    await train.brought_to_qa()
    assert train.world.points.count("ask gate money") == 1


async def test_the_tasks_say_where_qa_sees_them_and_what_ran_there(train: Station) -> None:
    await train.brought_to_qa()
    tasks = {task.slug: task for task in (await train.conductor.status(RELEASE)).tasks}
    assert (tasks["seats"].qa_url, tasks["words"].qa_url) == ("http://qa.localhost", "")
    page = await train.board.show(OLIVE, "seats")
    assert [check.text for check in page.checks if "post-deploy" in check.text] == [
        "[post-deploy] rake 'seed seats' on hub (QA): ok"
    ]


async def test_an_app_without_qa_is_reported_and_skipped(train: Station) -> None:
    found = await train.conductor.assembly(RELEASE)
    assert found.not_on_qa == ("docs",)
    assert found.proposal.plan
    assert "qa-deploy:docs" not in [step.id for step in found.proposal.plan.steps]


async def test_a_look_at_the_assembly_changes_nothing_and_says_what_would_happen(train: Station) -> None:
    await clashing(train)
    before = dict(train.world.refs)
    found = await train.conductor.assembly(RELEASE)
    assert found.queue
    assert not found.proposal.problems
    assert [one.task for one in found.queue.ejections] == ["clash", "tail"]
    assert found.queue.ejections[0].conflicts == {"docs": ("readme",)}
    assert {one.outlook for one in found.proposal.previews} == {Outlook.RUN}
    assert (train.world.refs, train.world.ledger, train.world.on_qa) == (before, [], {})
    assert await state_of(train) is ReleaseState.ASSEMBLING


async def test_who_conflicts_is_ejected_and_the_rest_ride_on(train: Station) -> None:
    await clashing(train)
    assert (await train.brought_to_qa()).state is RunState.FINISHED
    status = await train.conductor.status(RELEASE)
    assert status.release.members == ("pay", "seats", "words")
    page = await train.board.show(OLIVE, "clash")
    assert (page.task.stage, page.task.release) == (Stage.REVIEWED, None)
    assert "- readme" in page.remarks[-1].body


async def test_half_a_task_does_not_ship(train: Station) -> None:
    """L25: its other half was merged by a prepare that stopped, and then it did not fit any more."""
    world = train.world
    world.refs["money", "feat/mint"] = world.commit({"mint": b"m"}, world.refs["money", "main"])
    await train.conductor.add(OLIVE, *await train.reviewed(draft("mint", "money")))
    world.meanwhile["push ledger"] = lambda: world.silent.update({"git ledger", "push ledger"})
    assert (await train.brought_to_qa()).state is RunState.ASKING
    world.silent.clear()
    others = {path: b"other " + path.encode() for path in world.commits[world.refs["ledger", "feat/pay"]][1]}
    world.refs["ledger", "release"] = world.commit(others, world.refs["ledger", "release"])
    assembly = await train.conductor.assembly(RELEASE)
    assert assembly.queue and assembly.queue.ejections[0].task == "pay"
    with pytest.raises(Refused, match="money carries pay, which does not ride") as refused:
        await train.brought_to_qa()
    assert "git revert" in refused.value.reasons[0].next


async def test_a_train_of_which_nobody_would_be_left_is_not_prepared(station: Station) -> None:
    await station.conductor.open(OLIVE, RELEASE, await station.reviewed(draft("gone", "docs")))
    with pytest.raises(Refused, match="r1 has nothing to prepare") as refusal:
        await station.conductor.prepare(OLIVE, RELEASE)
    assert "gone: " in refusal.value.reasons[0].why


# ── it stops, and goes on ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_failure_on_qa_leaves_it_assembling_and_the_next_prepare_deploys_nothing_twice(train: Station) -> None:
    train.world.fail("deploy turf on QA", StepFailed("turf does not boot"))
    assert (await train.brought_to_qa()).state is RunState.STOPPED
    assert await state_of(train) is ReleaseState.ASSEMBLING
    assert (await train.brought_to_qa()).state is RunState.FINISHED
    assert [what[1] for what in train.world.ledger if what[0] == "deploy"] == ["hub on QA", "turf on QA"]
    assert await state_of(train) is ReleaseState.ASSEMBLED


async def test_a_stopped_prepare_is_resumed_like_a_ship(train: Station) -> None:
    train.world.fail("deploy turf on QA", StepFailed("turf does not boot"))
    await train.brought_to_qa()
    assert (await train.resumed()).state is RunState.FINISHED
    assert await state_of(train) is ReleaseState.ASSEMBLED


async def test_a_command_on_qa_that_was_never_heard_of_again_is_asked_about(train: Station) -> None:
    train.world.fail("answer of run hub on QA", NeedsOperator("rake was never heard of again"))
    assert (await train.brought_to_qa()).state is RunState.ASKING
    assert (await train.resumed(Answer(happened=True))).state is RunState.FINISHED
    assert [what[0] for what in train.world.ledger].count("run") == 1


async def test_a_red_test_stops_the_prepare_before_anything_reaches_qa(train: Station) -> None:
    train.world.red_gates = {"money"}
    assert (await train.brought_to_qa()).state is RunState.STOPPED
    assert train.world.on_qa == {}


async def test_the_prepare_of_a_dead_process_is_taken_over(train: Station) -> None:
    await train.conductor.prepare(OLIVE, RELEASE)
    await train.dispatcher.tick()
    assert await state_of(train) is ReleaseState.ASSEMBLED


async def test_a_prepare_that_is_cancelled_during_a_deploy_lets_it_end_and_does_no_more(train: Station) -> None:
    async def cancelled() -> None:
        await train.conductor.cancel(OLIVE, RELEASE)
        looks = train.world.points.count("ask read")
        await until(lambda: train.world.points.count("ask read") > looks + 1)  # the engine has noticed

    train.world.meanwhile["answer of deploy hub on QA"] = cancelled
    assert (await train.brought_to_qa()).state is RunState.CANCELLED
    steps = {one.id: one.state for one in (await train.progress()).steps}
    assert (steps["qa-deploy:hub"], steps["qa-deploy:turf"]) == (StepState.DONE, StepState.WAITING)
    assert (await train.brought_to_qa()).state is RunState.FINISHED


# ── races ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_two_prepares_at_once_are_one(train: Station, neighbour: Station) -> None:
    other = Station(neighbour.world, neighbour.ports.records, train.ports.scratch, train.registry)
    both = await asyncio.gather(
        *(one.conductor.prepare(OLIVE, RELEASE) for one in (train, other)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in both) == ["Refused", "Run"]


async def test_nobody_gets_on_and_nothing_ships_while_it_is_prepared(train: Station) -> None:
    await train.reviewed(draft("late", "docs"))

    async def everybody_tries() -> None:
        conductor = train.conductor
        for attempt in (
            conductor.add(OLIVE, "late"),
            conductor.eject(OLIVE, "words"),
            conductor.offer(OLIVE),
            conductor.prepare(OLIVE, None),
        ):
            with pytest.raises(Refused, match="r1 is being prepared already"):
                await attempt

    train.world.meanwhile["deploy hub on QA"] = everybody_tries
    assert (await train.brought_to_qa()).state is RunState.FINISHED


async def test_nothing_is_prepared_while_it_ships(train: Station) -> None:
    await train.brought_to_qa()

    async def prepared_meanwhile() -> None:
        with pytest.raises(Refused, match="r1 is shipping already"):
            await train.conductor.prepare(OLIVE, RELEASE)

    train.world.meanwhile["deploy hub"] = prepared_meanwhile
    assert (await train.shipped()).state is RunState.FINISHED


async def test_a_late_task_makes_a_stopped_prepare_stale(train: Station) -> None:
    train.world.fail("deploy turf on QA", StepFailed("turf does not boot"))
    await train.brought_to_qa()
    world = train.world
    world.refs["docs", "feat/late"] = world.commit({"late": b""}, world.refs["docs", "main"])
    await train.conductor.add(OLIVE, *await train.reviewed(draft("late", "docs")))
    with pytest.raises(Refused, match="the plan has changed") as refusal:
        await train.conductor.resume(OLIVE, RELEASE)
    assert refusal.value.reasons[0].next == "release prepare"
    assert (await train.brought_to_qa()).state is RunState.FINISHED
    assert (await train.conductor.status(RELEASE)).release.members[-1] == "late"


async def test_a_task_that_was_attached_while_it_was_planned_is_not_forgotten(train: Station) -> None:
    async def attached() -> None:
        await train.conductor.add(OLIVE, *await train.reviewed(draft("late", "docs")))

    train.world.meanwhile["git hub"] = attached
    with pytest.raises(Refused, match="r1 was changed just now"):
        await train.conductor.prepare(OLIVE, RELEASE)


async def test_a_branch_that_moves_while_qa_looks_is_not_frozen(train: Station) -> None:
    def pushed() -> None:
        place = ("turf", "release")
        train.world.refs[place] = train.world.commit({"sneaked": b"in"}, train.world.refs[place])

    train.world.meanwhile["run hub on QA"] = pushed
    run = await train.brought_to_qa()
    assert run.state is RunState.STOPPED
    assert run.reasons[0].what == "turf has moved since QA saw it"
    assert await state_of(train) is ReleaseState.ASSEMBLING


async def test_what_is_advised_when_main_moved_under_a_stopped_prepare_leads_on(train: Station) -> None:
    """It said to merge main by hand; then the branch was not what QA had seen, and the next resume stopped at that."""
    train.world.fail("deploy turf on QA", StepFailed("turf does not boot"))
    assert (await train.brought_to_qa()).state is RunState.STOPPED
    main = train.world.refs["hub", "main"]
    train.world.refs["hub", "main"] = train.world.commit({**train.world.commits[main][1], "late": b""}, main)
    stopped = await train.resumed()
    [reason] = stopped.reasons
    assert reason.what == "release of hub does not contain main"
    assert reason.next.startswith("release prepare,")
    assert (await train.brought_to_qa()).state is RunState.FINISHED


async def test_a_late_task_reopens_a_prepared_train(train: Station) -> None:
    await train.brought_to_qa()
    world = train.world
    world.refs["docs", "feat/late"] = world.commit({"late": b""}, world.refs["docs", "main"])
    await train.conductor.add(OLIVE, *await train.reviewed(draft("late", "docs")))
    assert await state_of(train) is ReleaseState.ASSEMBLING
    problems = (await train.conductor.plan(RELEASE)).problems
    assert [problem.next for problem in problems] == ["release prepare"]
    run: Run = await train.brought_to_qa()
    assert run.state is RunState.FINISHED
    assert [what[1] for what in train.world.ledger if what[0] == "deploy"] == ["hub on QA", "turf on QA"]
