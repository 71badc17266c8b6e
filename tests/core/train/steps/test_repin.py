"""Re-pinning: after all packages, only what points at a branch, proved by the lock, and recognised when seen again."""

from __future__ import annotations

import pytest

from core.errors import StepFailed, Unreachable
from core.journal import RunState
from core.registry import Sha
from core.train.progress import StepState
from tests.world.toy_train import RELEASE, Station, draft

HUB_MANIFEST, HUB_LOCK = b"money==1.1.0\nledger==2.0.0\n", b"ledger==2.0.0\nmoney==1.1.0\n"


def head(station: Station, name: str) -> Sha:
    """Where origin's release branch is."""
    return station.world.refs[name, "release"]


async def frozen(station: Station, name: str) -> Sha:
    """The commit that QA saw."""
    return next(one.sha for one in (await station.conductor.status(RELEASE)).release.frozen if one.repository == name)


def pushes(station: Station, name: str) -> list[tuple[str, ...]]:
    """What was pushed to the release branch of an app."""
    return [what for what in station.world.ledger if what[:3] == ("push", name, "release")]


async def test_only_the_dependency_and_its_lock_change(assembled: Station) -> None:
    """Spec 6.5; L13: the lock is read back."""
    assert (await assembled.shipped()).state is RunState.FINISHED
    parents, files = assembled.world.commits[head(assembled, "hub")]
    assert parents == (await frozen(assembled, "hub"),)
    assert files == {"needs.txt": HUB_MANIFEST, "needs.lock": HUB_LOCK}
    assert assembled.world.commits[head(assembled, "turf")][1] == {
        "needs.txt": b"ledger==2.0.0\nother==1.0.0\n",
        "needs.lock": b"ledger==2.0.0\nother==1.0.0\n",
    }
    assert pushes(assembled, "docs") == [], "what pins nothing is left alone"


async def test_every_package_is_live_before_the_first_consumer_moves(assembled: Station) -> None:
    assert (await assembled.shipped()).state is RunState.FINISHED
    kinds = [what[:2] for what in assembled.world.ledger]
    first_consumer = min(kinds.index(("push", "hub")), kinds.index(("push", "turf")))
    assert max(kinds.index(("publish", "money")), kinds.index(("publish", "ledger"))) < first_consumer


async def test_a_lock_that_moves_late_is_resolved_again(assembled: Station) -> None:
    """L13: the resolver exits 0 without moving before propagation."""
    assembled.world.stuck_locks = 3
    assert (await assembled.shipped()).state is RunState.FINISHED
    assert assembled.world.commits[head(assembled, "hub")][1]["needs.lock"] == HUB_LOCK


async def test_a_lock_that_never_moves_is_not_pushed(assembled: Station) -> None:
    """L13: consumers claimed the new version while the lock still held the old one."""
    assembled.world.stuck_locks = 10_000
    ship = await assembled.shipped()
    assert ship.state is RunState.STOPPED
    assert "the lock of hub did not move" in [reason.what for reason in ship.reasons]
    assert pushes(assembled, "hub") == pushes(assembled, "turf") == []
    assert (await assembled.progress()).live == ("money 1.1.0", "ledger 2.0.0")
    assembled.world.stuck_locks = 0
    assert (await assembled.resumed()).state is RunState.FINISHED


@pytest.mark.parametrize("trouble", [StepFailed("protected branch"), Unreachable("git does not answer")])
async def test_a_refused_push_stops_before_anything_is_deployed(assembled: Station, trouble: Exception) -> None:
    assembled.world.fail("push hub", trouble)
    assert (await assembled.shipped()).state is RunState.STOPPED
    progress = await assembled.progress()
    assert [step.id for step in progress.of(StepState.FAILED)] == ["repin:hub"]
    assert {"gate:hub", "advance:hub", "deploy:hub"} <= {step.id for step in progress.of(StepState.WAITING)}
    assert (await assembled.resumed()).state is RunState.FINISHED
    assert len(pushes(assembled, "hub")) == 1


async def test_a_push_whose_answer_got_lost_is_recognised(assembled: Station) -> None:
    assembled.world.fail("answer of push hub", Unreachable("git does not answer"))
    assert (await assembled.shipped()).state is RunState.FINISHED
    assert len(pushes(assembled, "hub")) == 1


async def test_a_resume_does_not_take_our_own_commit_for_drift(assembled: Station) -> None:
    """L17; and L18: what was pinned ships, not what was frozen."""
    world = assembled.world
    world.fail("deploy hub", StepFailed("hub does not serve"))
    assert (await assembled.shipped()).state is RunState.STOPPED
    pinned = head(assembled, "hub")
    assert (await assembled.resumed()).state is RunState.FINISHED
    assert pushes(assembled, "hub") == [("push", "hub", "release", pinned)]
    assert pinned != await frozen(assembled, "hub")
    assert world.running["hub"] == world.refs["hub", "main"] == pinned


@pytest.mark.parametrize("strange", ["touches more", "locks something else", "pins something else", "is a merge"])
async def test_a_commit_that_only_looks_like_ours_is_drift(assembled: Station, strange: str) -> None:
    """L17: child of the frozen one, only manifest and lock, content equal to what we would write."""
    world, parent = assembled.world, await frozen(assembled, "hub")
    files, parents = {"needs.txt": HUB_MANIFEST, "needs.lock": HUB_LOCK}, [parent]
    match strange:
        case "touches more":
            files["app.rb"] = b"late"
        case "locks something else":
            files["needs.lock"] = b"ledger==1.9.0\nmoney==1.1.0\n"
        case "pins something else":
            files["needs.txt"] = b"money==1.1.0\nledger==2.0.0\nevil==1.0.0\n"
        case _:
            parents.append(world.refs["docs", "main"])
    world.refs["hub", "release"] = world.commit(files, *parents)
    [problem] = (await assembled.conductor.plan(RELEASE)).problems
    assert problem.what == "hub has drifted since the freeze"
    assert problem.next == "release prepare"


async def test_a_branch_that_moves_while_the_packages_go_out_is_not_pushed_over(assembled: Station) -> None:
    """Spec 4.4: divergence is a refusal, never forced."""
    world = assembled.world
    somebodys = world.commit({"late": b""}, head(assembled, "hub"))
    world.meanwhile["publish ledger"] = lambda: world.refs.update({("hub", "release"): somebodys})
    ship = await assembled.shipped()
    assert ship.state is RunState.STOPPED
    assert "hub has drifted since the freeze" in [reason.what for reason in ship.reasons]
    assert head(assembled, "hub") == somebodys
    assert (await assembled.progress()).live == ("money 1.1.0", "ledger 2.0.0")


async def test_a_branch_that_moves_right_before_the_push_is_not_pushed_over(assembled: Station) -> None:
    world = assembled.world
    somebodys = world.commit({"late": b""}, head(assembled, "hub"))
    world.meanwhile["push hub"] = lambda: world.refs.update({("hub", "release"): somebodys})
    assert (await assembled.shipped()).state is RunState.STOPPED
    assert head(assembled, "hub") == somebodys


async def test_a_plain_version_is_left_alone(station: Station) -> None:
    """Spec 6.5."""
    world = station.world
    files = {"needs.txt": b"money==1.0.0\n", "needs.lock": b"money==1.0.0\n"}
    world.refs["hub", "release"] = world.commit(files, world.refs["hub", "main"])
    await station.prepared(draft("coin", "money"), draft("desk", "hub"))
    assert (await station.shipped()).state is RunState.FINISHED
    assert world.commits[world.running["hub"]][1] == files


async def test_a_new_commit_on_the_release_branch_of_a_hub_that_is_through_does_not_block_the_resume(
    assembled: Station,
) -> None:
    """Drift is about what has not shipped yet."""
    world = assembled.world
    world.fail("deploy turf", StepFailed("turf exited with 1"))
    assert (await assembled.shipped()).state is RunState.STOPPED
    world.refs["hub", "release"] = world.commit({"next": b""}, world.refs["hub", "release"])
    assert (await assembled.conductor.plan(RELEASE)).problems == ()
    assert (await assembled.resumed()).state is RunState.FINISHED
    assert [what[1] for what in world.ledger if what[0] == "deploy"] == ["hub", "turf"]


async def test_what_rides_beside_an_app_that_takes_a_published_version_is_told(station: Station) -> None:
    """The hub stayed old, the ship was green, and nobody said so."""
    world = station.world
    files = {"needs.txt": b"money==1.0.0\n", "needs.lock": b"money==1.0.0\n"}
    world.refs["hub", "release"] = world.commit(files, world.refs["hub", "main"])
    await station.prepared(draft("coin", "money"), draft("desk", "hub"))
    told = [reason.what for reason in (await station.conductor.plan(RELEASE)).unseen]
    assert "hub stays on money 1.0.0" in told
    assert (await station.shipped()).state is RunState.FINISHED
    notes = (await station.conductor.status(RELEASE)).release.notes
    assert "hub stays on money 1.0.0" in notes


async def test_a_lock_that_would_move_something_else_is_not_pushed(assembled: Station) -> None:
    assembled.world.also_locked = {"other": "==2.0.0"}
    ship = await assembled.shipped()
    assert ship.state is RunState.STOPPED
    [reason] = [one for one in ship.reasons if "turf" in one.what]
    assert (reason.what, reason.why) == (
        "the lock of turf would change for more than is pinned",
        "other 1.0.0 → 2.0.0",
    )
    assert pushes(assembled, "turf") == []


async def test_a_lock_that_takes_another_package_of_ours_from_a_commit_is_not_pushed(assembled: Station) -> None:
    """turf does not name money, and its lock had it from a branch."""
    commit = assembled.world.refs["money", "release"]
    assembled.world.also_locked = {"money": f"@{commit}"}
    ship = await assembled.shipped()
    assert ship.state is RunState.STOPPED
    assert "the lock of turf did not move" in [one.what for one in ship.reasons]
    assert pushes(assembled, "turf") == []


async def test_a_commit_like_ours_whose_lock_moved_something_else_is_drift(assembled: Station) -> None:
    world, parent = assembled.world, await frozen(assembled, "turf")
    files = {"needs.txt": b"ledger==2.0.0\nother==1.0.0\n", "needs.lock": b"ledger==2.0.0\nother==9.0.0\n"}
    world.refs["turf", "release"] = world.commit(files, parent)
    problems = (await assembled.conductor.plan(RELEASE)).problems
    assert [one.what for one in problems] == ["turf has drifted since the freeze"]
