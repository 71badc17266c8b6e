"""Before QA, branch references are pinned to the commits that ride: once, proved by the lock, taken back to merge.

Spec 5.4; how a re-pin behaves in general is in `test_repin`.
"""

from __future__ import annotations

import pytest

from core.errors import Refused, StepFailed, Unreachable
from core.journal import RunState
from core.registry import Sha
from core.train.progress import StepState
from core.train.proposal import Outlook
from tests.world.toy_train import OLIVE, RELEASE, Station, draft


def head(train: Station, name: str) -> Sha:
    """Where origin's release branch is."""
    return train.world.refs[name, "release"]


def files(train: Station, name: str) -> dict[str, bytes]:
    """What is on the release branch of an app."""
    return train.world.commits[head(train, name)][1]


def pushes(train: Station, name: str) -> list[tuple[str, ...]]:
    """What was pushed to a release branch, merges and pins."""
    return [what for what in train.world.ledger if what[:3] == ("push", name, "release")]


def lock_of(train: Station, *names: str) -> bytes:
    """A lock that names the release branch's commit of these packages."""
    return b"".join(f"{name}@{head(train, name)}\n".encode() for name in names)


def push(train: Station, name: str, branch: str, **changed: bytes) -> None:
    """Somebody commits to a branch; `_` in the name of a file stands for a dot."""
    world, parent = train.world, train.world.refs[name, branch]
    changes = {path.replace("_", "."): text for path, text in changed.items()}
    world.refs[name, branch] = world.commit({**world.commits[parent][1], **changes}, parent)


async def test_qa_runs_the_commits_that_are_frozen(train: Station) -> None:
    """L13, L19: the lock names the commit of the release branch, and what was pinned is what was tested and frozen."""
    assert (await train.brought_to_qa()).state is RunState.FINISHED
    assert files(train, "hub")["needs.lock"] == lock_of(train, "ledger", "money")
    assert files(train, "turf") == {
        "needs.txt": f"ledger@{head(train, 'ledger')}\nother==1.0.0\n".encode(),
        "needs.lock": lock_of(train, "ledger") + b"other==1.0.0\n",
    }
    assert train.world.on_qa == {"hub": head(train, "hub"), "turf": head(train, "turf")}
    frozen = {one.repository: one for one in (await train.conductor.status(RELEASE)).release.frozen}
    assert frozen["hub"].sha == head(train, "hub")
    assert frozen["hub"].by_reference == ("ledger", "money"), "the ship has something to pin"
    assert train.world.impossible == []


async def test_it_comes_after_the_merges_and_before_the_tests_and_only_where_something_rides(train: Station) -> None:
    found = await train.conductor.assembly(RELEASE)
    assert found.proposal.plan
    steps = [step.id for step in found.proposal.plan.steps]
    assert [step for step in steps if "repin" in step] == ["qa-repin:hub", "qa-repin:turf"]
    assert steps.index("merge:docs") < steps.index("qa-repin:hub") < steps.index("gate:hub")
    [preview] = [one for one in found.proposal.previews if one.step == "qa-repin:hub"]
    assert preview.outlook is Outlook.RUN
    assert preview.commands == (("toy", "lock", "ledger", "money"),)
    assert preview.title.startswith("re-pin hub to ledger ")
    assert preview.title.endswith(" for QA")


async def test_production_gets_the_published_versions_all_the_same(train: Station) -> None:
    await train.brought_to_qa()
    assert (await train.shipped()).state is RunState.FINISHED
    assert files(train, "turf") == {
        "needs.txt": b"ledger==2.0.0\nother==1.0.0\n",
        "needs.lock": b"ledger==2.0.0\nother==1.0.0\n",
    }
    assert train.world.running["turf"] == head(train, "turf")


async def test_a_second_prepare_recognises_the_pins(train: Station) -> None:
    """L17; and nothing is done twice, the command on QA neither."""
    await train.brought_to_qa()
    before = list(train.world.ledger)
    found = await train.conductor.assembly(RELEASE)
    assert {one.outlook for one in found.proposal.previews if one.step.startswith("qa-")} == {Outlook.SKIP}
    assert found.queue
    assert [branch.foreign for branch in found.queue.branches] == [()] * 5, "our own pins are not somebody's"
    assert (await train.brought_to_qa()).state is RunState.FINISHED
    assert train.world.ledger == before


@pytest.mark.parametrize("blind", [frozenset[str](), frozenset({"turf"})])
async def test_a_package_that_moved_is_pinned_anew_and_deployed_anew(train: Station, blind: frozenset[str]) -> None:
    """Also where the platform cannot say what it runs, and only the journal knows."""
    train.world.blind = set(blind)
    await train.brought_to_qa()
    push(train, "ledger", "feat/pay", code_py=b"mended")
    train.world.ledger.clear()
    assert (await train.brought_to_qa()).state is RunState.FINISHED
    assert files(train, "turf")["needs.lock"] == lock_of(train, "ledger") + b"other==1.0.0\n"
    assert files(train, "hub")["needs.lock"] == lock_of(train, "ledger", "money")
    assert [what[1] for what in train.world.ledger if what[0] == "deploy"] == ["hub on QA", "turf on QA"]
    assert pushes(train, "docs") == pushes(train, "money") == []


async def test_who_locked_anew_does_not_conflict_with_our_pins(train: Station) -> None:
    """The pins are taken back before anything is merged on top of them, however many there are."""
    await train.brought_to_qa()
    push(train, "ledger", "feat/pay", code_py=b"mended")
    await train.brought_to_qa()
    assert len(pushes(train, "turf")) == 3, "the merge, and two pins"
    push(train, "turf", "feat/seats", needs_lock=b"other==1.1.0\n", needs_txt=b"ledger@release\nother==1.1.0\n")
    assert (await train.brought_to_qa()).state is RunState.FINISHED
    assert (await train.conductor.status(RELEASE)).release.members == ("pay", "seats", "words")
    assert files(train, "turf")["needs.lock"] == lock_of(train, "ledger") + b"other==1.1.0\n"


async def test_another_machine_takes_the_pins_back_to_the_very_same_commit(train: Station) -> None:
    await train.brought_to_qa()
    push(train, "turf", "feat/seats", news=b"more")
    found = await train.conductor.assembly(RELEASE)
    assert found.queue
    queue = next(branch for branch in found.queue.branches if branch.repository == "turf")
    for made in (queue.base, queue.tip):
        del train.world.commits[made]
    assert found.proposal.plan
    merge = next(step for step in found.proposal.plan.steps if step.id == "merge:turf")
    await merge.perform(train.ports, {})
    assert head(train, "turf") == queue.tip


async def test_what_a_stopped_ship_had_pinned_is_pinned_to_what_rides_now(train: Station) -> None:
    """Else a package that had to be bumped would ship beside a consumer that holds the old number."""
    await train.brought_to_qa()
    train.world.red_gates = {"hub"}
    assert (await train.shipped()).state is RunState.STOPPED
    assert files(train, "turf")["needs.txt"] == b"ledger==2.0.0\nother==1.0.0\n"
    push(train, "ledger", "feat/pay", code_py=b"mended", VERSION=b"2.0.1")
    train.world.red_gates = set()
    assert (await train.brought_to_qa()).state is RunState.FINISHED
    assert files(train, "turf")["needs.lock"] == lock_of(train, "ledger") + b"other==1.0.0\n"
    assert (await train.shipped()).state is RunState.FINISHED
    assert files(train, "turf")["needs.lock"] == b"ledger==2.0.1\nother==1.0.0\n"
    assert train.world.impossible == []


async def test_a_lock_that_does_not_move_never_reaches_qa(train: Station) -> None:
    """L13."""
    train.world.stuck_locks = 10_000
    assert (await train.brought_to_qa()).state is RunState.STOPPED
    assert {step.id for step in (await train.progress()).of(StepState.FAILED)} == {"qa-repin:hub", "qa-repin:turf"}
    assert train.world.on_qa == {}
    assert len(pushes(train, "hub")) == 1, "the merges"
    train.world.stuck_locks = 0
    assert (await train.resumed()).state is RunState.FINISHED


async def test_a_push_whose_answer_got_lost_is_recognised_before_qa_too(train: Station) -> None:
    def merged() -> None:
        train.world.fail("answer of push hub", Unreachable("git does not answer"))

    train.world.meanwhile["answer of push hub"] = merged
    assert (await train.brought_to_qa()).state is RunState.FINISHED
    assert len(pushes(train, "hub")) == 2


async def test_a_prepare_that_failed_afterwards_goes_on_from_the_pins(train: Station) -> None:
    train.world.fail("deploy turf on QA", StepFailed("turf does not boot"))
    assert (await train.brought_to_qa()).state is RunState.STOPPED
    pinned = head(train, "hub")
    assert (await train.brought_to_qa()).state is RunState.FINISHED
    assert head(train, "hub") == pinned
    assert [what[1] for what in train.world.ledger if what[0] == "deploy"] == ["hub on QA", "turf on QA"]


async def test_a_commit_between_the_merges_and_the_pins_is_not_pushed_over(train: Station) -> None:
    """Spec 4.4."""
    train.world.meanwhile["index"] = lambda: push(train, "hub", "release", late=b"")
    run = await train.brought_to_qa()
    assert run.state is RunState.STOPPED
    assert "hub has drifted since the merges" in [reason.what for reason in run.reasons]
    assert files(train, "hub")["late"] == b""
    assert (await train.brought_to_qa()).state is RunState.FINISHED


async def test_a_consumer_of_a_package_that_does_not_ride_is_left_as_it_is(train: Station) -> None:
    """The ship refuses it, and says how to mend it."""
    await train.conductor.eject(OLIVE, "seats")
    await train.conductor.eject(OLIVE, "pay")
    await train.conductor.add(OLIVE, *await train.reviewed(draft("alone", "turf")))
    train.world.refs["turf", "feat/alone"] = train.world.refs["turf", "feat/seats"]
    assert (await train.brought_to_qa()).state is RunState.FINISHED
    assert files(train, "turf")["needs.txt"] == b"ledger@release\nother==1.0.0\n"
    [problem] = (await train.conductor.plan(RELEASE)).problems
    assert problem.what == "turf takes ledger from a branch"


async def test_a_riding_package_that_is_taken_from_a_path_is_refused_before_anything_is_merged(train: Station) -> None:
    push(train, "turf", "feat/seats", needs_txt=b"ledger@../ledger\n")
    before = list(train.world.ledger)
    found = (await train.conductor.assembly(RELEASE)).proposal
    assert [problem.what for problem in found.problems] == ["what is not in git cannot be at a commit"]
    with pytest.raises(Refused, match="not in git"):
        await train.conductor.prepare(OLIVE, RELEASE)
    assert train.world.ledger == before
