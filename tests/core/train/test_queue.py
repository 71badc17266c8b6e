"""The merge queue: who goes before whom, all of a task or nothing of it, nothing twice, and nobody's merges shown."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import Refused, Unreachable
from core.records import Records
from core.registry import Sha
from core.releases import Release
from core.repositories import Logged
from core.tasks import Task, Work
from core.train.branch import task_of
from core.train.queue import BranchQueue, Queue, order, queue_of, rebuilt
from tests.world.toy import World
from tests.world.toy_ports import toy_ports
from tests.world.toy_train import RELEASE, Station, draft, registry

REGISTRY = registry()


class Yard:
    """A toy world with tasks whose branches somebody pushed."""

    def __init__(self, station: Station) -> None:
        self.station, self.world, self.tasks = station, station.world, list[Task]()
        for name in REGISTRY.repositories:
            self.world.refs[name, "release"] = self.world.refs[name, "main"]

    def push(self, repository: str, branch: str, files: Mapping[str, bytes], *, on: str = "main") -> Sha:
        """Somebody commits `files` on top of the branch, or of `on` when it is new."""
        parent = self.world.refs.get((repository, branch)) or self.world.refs[repository, on]
        made = self.world.commit({**self.world.commits[parent][1], **files}, parent)
        self.world.refs[repository, branch] = made
        return made

    def task(self, slug: str, *repositories: str, path: str = "", depends_on: tuple[str, ...] = ()) -> Task:
        """A member whose branches each write `path` (a file of its own when blank)."""
        for name in repositories:
            self.push(name, f"feat/{slug}", {path or f"{slug}.py": slug.encode()})
        self.tasks.append(draft(slug, *repositories, depends_on=depends_on))
        return self.tasks[-1]

    async def queue(self) -> Queue:
        """What the queue is now."""
        return await queue_of(release(), self.tasks, REGISTRY, self.station.ports)

    async def pushed(self) -> Queue:
        """The queue, pushed to origin."""
        queue = await self.queue()
        for branch in queue.branches:
            self.world.refs[branch.repository, "release"] = branch.tip
        return queue

    def revert(self, repository: str, commit: Sha) -> Sha:
        """Somebody takes `commit` back on the release branch."""
        tip = self.world.refs[repository, "release"]
        before, after = self.world.commits[self.world.commits[commit][0][0]][1], self.world.commits[commit][1]
        files = dict(self.world.commits[tip][1])
        for path in before.keys() | after.keys():
            if before.get(path) != after.get(path):
                files.pop(path, None)
                files |= {path: before[path]} if path in before else {}
        made = self.world.commit(files, tip)
        self.world.refs[repository, "release"] = made
        return made


@pytest.fixture
def yard(station: Station) -> Yard:
    return Yard(station)


def release() -> Release:
    return Release(slug=RELEASE, opened_by="olive", opened_at=datetime(2026, 1, 1, tzinfo=UTC))


def of(queue: Queue, name: str) -> BranchQueue:
    return next(branch for branch in queue.branches if branch.repository == name)


def merged(queue: Queue) -> dict[str, list[str]]:
    return {branch.repository: [merge.task for merge in branch.merges] for branch in queue.branches}


# ── order ──────────────────────────────────────────────────────────────────────────────────────────────────────────

NAMES = [f"t{number}" for number in range(7)]


@st.composite
def trains(draw: st.DrawFn) -> list[Task]:
    """Tasks in the order of attachment; each may depend on any of a hidden order before it."""
    hidden = draw(st.permutations(NAMES))
    tasks = [
        draft(
            slug,
            *draw(st.lists(st.sampled_from(["money", "ledger", "hub", "turf", "docs"]), min_size=1, unique=True)),
            depends_on=tuple(draw(st.lists(st.sampled_from([*hidden[:at], "shipped"]), unique=True, max_size=2))),
        )
        for at, slug in enumerate(hidden)
    ]
    return draw(st.permutations(tasks))


@given(tasks=trains())
def test_whatever_a_task_needs_goes_before_it_and_else_packages_go_first(tasks: list[Task]) -> None:
    found = order(tasks, REGISTRY)
    place = {task.slug: at for at, task in enumerate(found)}
    assert sorted(place) == sorted(task.slug for task in tasks)
    assert all(place[need] < place[task.slug] for task in tasks for need in task.depends_on if need in place)
    free = [task for task in found if not place.keys() & {*task.depends_on}]
    first = [task.slug for task in tasks if task in free and is_package(task)]
    then = [task.slug for task in tasks if task in free and not is_package(task)]
    assert [task.slug for task in free if is_package(task)] == first
    assert [task.slug for task in free if not is_package(task)] == then


@given(tasks=trains())
def test_without_dependencies_every_package_is_before_every_app(tasks: list[Task]) -> None:
    loose = [draft(task.slug, *task.repositories) for task in tasks]
    kinds = [is_package(task) for task in order(loose, REGISTRY)]
    assert kinds == sorted(kinds, reverse=True)


def is_package(task: Task) -> bool:
    return bool(REGISTRY.packages.keys() & {*task.repositories})


def test_tasks_that_depend_on_each_other_are_refused_by_name() -> None:
    with pytest.raises(Refused, match="a, b"):
        order([draft("a", "hub", depends_on=("b",)), draft("b", "hub", depends_on=("a",))], REGISTRY)


# ── all or nothing ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_every_branch_is_merged_with_a_message_that_names_its_task(yard: Yard) -> None:
    yard.task("one", "hub", "money")
    yard.task("two", "hub")
    queue = await yard.queue()
    assert merged(queue) == {"money": ["one"], "hub": ["one", "two"]}
    for branch in queue.branches:
        for before, merge in zip([branch.base, *(one.commit for one in branch.merges)], branch.merges, strict=False):
            author, message = yard.world.messages[merge.commit]
            commit = Logged(sha=merge.commit, parents=(before, merge.head), author=author, message=message)
            assert yard.world.commits[merge.commit][0] == commit.parents
            assert task_of(commit) == merge.task
        assert branch.tip == branch.merges[-1].commit
    assert not yard.world.ledger


async def test_a_conflict_names_its_paths_and_the_rest_ride_on(yard: Yard) -> None:
    yard.task("one", "hub", path="same.py")
    yard.task("two", "hub", path="same.py")
    yard.task("three", "hub")
    queue = await yard.queue()
    assert merged(queue) == {"hub": ["one", "three"]}
    [ejection] = queue.ejections
    assert (ejection.task, ejection.conflicts) == ("two", {"hub": ("same.py",)})
    assert "conflicts in hub" in ejection.because


async def test_a_task_that_conflicts_in_one_repository_is_merged_in_none(yard: Yard) -> None:
    yard.task("one", "ledger", "hub", path="same.py")
    yard.task("two", "money", "docs", "hub", path="same.py")
    yard.task("three", "money", "docs", path="same.py")
    queue = await yard.queue()
    assert merged(queue) == {"ledger": ["one"], "money": ["three"], "hub": ["one"], "docs": ["three"]}
    assert [(one.task, one.conflicts) for one in queue.ejections] == [("two", {"hub": ("same.py",)})]


async def test_whoever_depends_on_an_ejected_task_follows_and_says_why(yard: Yard) -> None:
    yard.task("one", "hub", path="same.py")
    yard.task("two", "hub", path="same.py")
    yard.task("three", "docs", depends_on=("two",))
    yard.task("four", "turf", depends_on=("three",))
    yard.task("five", "turf", depends_on=("one",))
    queue = await yard.queue()
    assert merged(queue) == {"hub": ["one"], "turf": ["five"], "docs": []}
    assert [(one.task, one.needs) for one in queue.ejections] == [("two", ""), ("three", "two"), ("four", "three")]
    assert queue.ejections[1].because == "it depends on two, which is left behind"


PLACES = ["money", "ledger", "hub", "turf", "docs"]
trees = st.dictionaries(st.sampled_from(PLACES), st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3)


@given(works=st.lists(st.tuples(trees, st.integers(0, 6)), min_size=1, max_size=7))
@settings(max_examples=60, deadline=None)
def test_of_every_task_all_is_merged_or_nothing(works: list[tuple[dict[str, str], int]]) -> None:
    """Of each task: what it writes where, and which earlier one it depends on, if there is one."""
    world, tasks = World(), list[Task]()
    for name in PLACES:
        world.refs[name, "main"] = world.refs[name, "release"] = world.commit({"root": name.encode()})
    for at, (places, need) in enumerate(works):
        for name, path in places.items():
            root = world.refs[name, "main"]
            world.refs[name, f"feat/t{at}"] = world.commit({**world.commits[root][1], path: f"{at}".encode()}, root)
        tasks.append(draft(f"t{at}", *places, depends_on=(f"t{need}",) if need < at else ()))
    ports = toy_ports(world, cast(Records, None), Path())
    queue = asyncio.run(queue_of(release(), tasks, REGISTRY, ports))
    gone = {ejection.task for ejection in queue.ejections}
    contained = {branch.repository: world.ancestors(branch.tip) for branch in queue.branches}
    for task in tasks:
        there = {name for name in task.repositories if world.refs[name, f"feat/{task.slug}"] in contained[name]}
        assert there == (set[str]() if task.slug in gone else {*task.repositories})
        assert task.slug in gone or not gone & {*task.depends_on}


# ── again ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_second_look_merges_nothing_twice(yard: Yard) -> None:
    yard.task("one", "hub", "money")
    yard.task("two", "hub")
    first = await yard.pushed()
    again = await yard.queue()
    assert [branch.tip for branch in again.branches] == [branch.tip for branch in first.branches]
    assert all(branch.expected == branch.tip and not branch.merges for branch in again.branches)


async def test_a_branch_that_grew_is_merged_once_more_and_only_it(yard: Yard) -> None:
    yard.task("one", "hub")
    yard.task("two", "hub")
    first = of(await yard.pushed(), "hub")
    grown = yard.push("hub", "feat/one", {"more.py": b"more"})
    again = of(await yard.queue(), "hub")
    assert [(merge.task, merge.head) for merge in again.merges] == [("one", grown)]
    assert yard.world.commits[again.tip][0] == (first.tip, grown)


async def test_main_comes_first(yard: Yard) -> None:
    yard.push("hub", "release", {"release.py": b""})
    hotfix = yard.push("hub", "main", {"hotfix.py": b"hot"})
    yard.task("one", "hub")
    branch = of(await yard.queue(), "hub")
    assert yard.world.commits[branch.base][0] == (branch.expected, hotfix)
    assert yard.world.commits[branch.tip][0] == (branch.base, branch.merges[0].head)


async def test_a_release_branch_that_main_has_overtaken_goes_on_from_main(yard: Yard) -> None:
    yard.world.refs["hub", "main"] = yard.push("hub", "release", {"x.py": b""})
    main = yard.push("hub", "main", {"y.py": b""})
    yard.task("one", "hub")
    assert of(await yard.queue(), "hub").base == main


async def test_a_release_branch_that_is_not_there_yet_starts_at_main(yard: Yard) -> None:
    del yard.world.refs["hub", "release"]
    yard.task("one", "hub")
    branch = of(await yard.queue(), "hub")
    assert (branch.expected, branch.base) == (None, yard.world.refs["hub", "main"])


async def test_another_machine_comes_to_the_same_tip(yard: Yard) -> None:
    yard.push("hub", "release", {"release.py": b""})
    yard.push("hub", "main", {"hotfix.py": b"hot"})
    yard.task("one", "hub")
    yard.task("two", "hub")
    branch = of(await yard.queue(), "hub")
    for merge in branch.merges:
        del yard.world.commits[merge.commit]
    del yard.world.commits[branch.base]
    assert await rebuilt(REGISTRY.repositories["hub"], branch, yard.station.ports) == branch.tip
    assert branch.tip in yard.world.commits
    other = msgspec.structs.replace(branch, tip=Sha("0" * 40))
    with pytest.raises(Refused, match="cannot be made again"):
        await rebuilt(REGISTRY.repositories["hub"], other, yard.station.ports)


# ── branches that are not what they were ───────────────────────────────────────────────────────────────────────────


async def test_a_branch_that_nobody_pushed_ejects_its_task(yard: Yard) -> None:
    yard.task("one", "hub")
    yard.task("two", "hub", "docs")
    del yard.world.refs["docs", "feat/two"]
    queue = await yard.queue()
    assert merged(queue) == {"hub": ["one"], "docs": []}
    assert queue.ejections[0].because.startswith("docs has no branch feat/two")


async def test_a_branch_that_was_deleted_after_its_merge_is_merged_all_the_same(yard: Yard) -> None:
    yard.task("one", "hub")
    first = await yard.pushed()
    del yard.world.refs["hub", "feat/one"]
    again = await yard.queue()
    assert (again.ejections, of(again, "hub").tip) == ((), of(first, "hub").tip)


async def test_a_rewritten_branch_is_not_mixed_with_what_was_merged_of_it(yard: Yard) -> None:
    yard.task("one", "hub")
    [merge] = of(await yard.pushed(), "hub").merges
    del yard.world.refs["hub", "feat/one"]
    rewritten = yard.push("hub", "feat/one", {"one.py": b"better"})
    queue = await yard.queue()
    [ejection] = queue.ejections
    assert "was rewritten after it was merged" in ejection.because
    assert f"git revert --no-edit -m 1 {merge.commit}" in ejection.because
    assert [one.commit for one in of(queue, "hub").foreign] == [merge.commit]
    yard.revert("hub", merge.commit)
    after = await yard.queue()
    assert [one.head for one in of(after, "hub").merges] == [rewritten]
    assert of(after, "hub").foreign == ()


async def test_work_that_was_taken_back_is_not_called_merged(yard: Yard) -> None:
    yard.task("one", "hub")
    [merge] = of(await yard.pushed(), "hub").merges
    undoing = yard.revert("hub", merge.commit)
    yard.push("hub", "feat/one", {"more.py": b"more"})
    [ejection] = (await yard.queue()).ejections
    assert "was taken back" in ejection.because and f"git revert --no-edit {undoing}" in ejection.because
    yard.revert("hub", undoing)
    assert (await yard.queue()).ejections == ()


# ── what nobody owns ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_after_an_abandon_the_merge_is_shown_with_the_command_that_takes_it_off(yard: Yard) -> None:
    """L30: the commits stayed on the release branch and rode with the next train, owned by nobody."""
    yard.task("one", "hub")
    [merge] = of(await yard.pushed(), "hub").merges
    yard.tasks.clear()
    yard.task("two", "hub")
    branch = of(await yard.queue(), "hub")
    [shown] = branch.foreign
    assert shown.commit == merge.commit
    assert (shown.task, shown.title) == ("one", "Merge task one (feat/one)")
    assert f"git revert --no-edit -m 1 {merge.commit} &&" in shown.revert
    yard.revert("hub", merge.commit)
    assert of(await yard.queue(), "hub").foreign == ()


async def test_what_a_person_merged_is_its_member_s_and_what_nobody_owns_is_shown(yard: Yard) -> None:
    yard.task("one", "hub")
    yard.push("hub", "feat/other", {"other.py": b""})
    by_hand = list[Sha]()
    for name in ("feat/one", "feat/other"):
        tip, head = yard.world.refs["hub", "release"], yard.world.refs["hub", name]
        files = {**yard.world.commits[tip][1], **yard.world.commits[head][1]}
        by_hand.append(yard.world.commit(files, tip, head))
        yard.world.refs["hub", "release"] = by_hand[-1]
    stray = yard.push("hub", "release", {"stray.py": b""})
    branch = of(await yard.queue(), "hub")
    assert branch.merges == ()
    assert [one.commit for one in branch.foreign] == [stray, by_hand[1]]
    assert f"git revert --no-edit {stray}" in branch.foreign[0].revert


async def test_main_that_was_merged_and_our_own_pins_are_not_foreign(yard: Yard) -> None:
    yard.task("one", "hub")
    await yard.pushed()
    yard.push("hub", "main", {"hotfix.py": b"hot"})
    branch = of(await yard.pushed(), "hub")
    hub = REGISTRY.repositories["hub"]
    pinned = await yard.station.ports.repositories.derive(hub, branch.tip, {"needs.lock": b"x"}, "Pin money 1.1")
    yard.world.refs["hub", "release"] = pinned
    assert of(await yard.queue(), "hub").foreign == ()


# ── what no ejection can mend ──────────────────────────────────────────────────────────────────────────────────────


async def test_everything_that_cannot_be_reached_is_said_at_once(yard: Yard) -> None:
    yard.task("one", "hub", "money", "docs")
    yard.world.silent |= {"git hub", "git docs"}
    with pytest.raises(Unreachable) as found:
        await yard.queue()
    assert [reason.what for reason in found.value.reasons] == ["git hub does not answer", "git docs does not answer"]


async def test_a_main_that_conflicts_with_the_release_branch_is_nobody_s_fault(yard: Yard) -> None:
    yard.push("hub", "main", {"same.py": b"main"})
    yard.push("hub", "release", {"same.py": b"release"})
    yard.task("one", "hub")
    with pytest.raises(Refused, match=r"main does not merge into release of hub — both changed same\.py"):
        await yard.queue()


async def test_a_history_of_its_own_ejects_its_task_and_is_called_by_its_name(yard: Yard) -> None:
    yard.task("one", "hub")
    yard.world.refs["hub", "feat/one"] = yard.world.commit({"stranger": b""})
    [ejection] = (await yard.queue()).ejections
    assert "they have no commit in common" in ejection.because
    assert ejection.conflicts == {}


async def test_a_repository_that_is_no_longer_registered_is_refused(yard: Yard) -> None:
    yard.tasks.append(draft("one", "hub"))
    yard.tasks.append(msgspec.structs.replace(draft("two"), works=(Work("gone", "x"),)))
    with pytest.raises(Refused, match="unknown repository 'gone'"):
        await yard.queue()
