"""The merge queue over real git: what it offers works when typed, and what people do to branches is noticed."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import msgspec
import pytest

from adapters.git import MirrorRepositories
from core.errors import Refused
from core.ports import Pin, Ports
from core.records import Records
from core.registry import App, Registry
from core.releases import Release
from core.repositories import Relation
from core.tasks import Task
from core.train.branch import pin_message
from core.train.freeze import freeze
from core.train.queue import BranchQueue, Ejection, queue_of
from core.train.steps import Merge
from tests.adapters.test_git import Team
from tests.adapters.test_merging import machine
from tests.world.toy import World
from tests.world.toy_ports import toy_ports
from tests.world.toy_train import draft


class Yard:
    """A team with tasks on branches of the hub, and a machine that merges them."""

    def __init__(self, folder: Path) -> None:
        self.team = Team(folder)
        self.hub = App(name="hub", url=str(self.team.origin))
        self.root = self.team.commit("root", push="main", a="1\n")
        self.ours = machine(folder)

    def ports(self, ours: MirrorRepositories) -> Ports:
        ports = toy_ports(World(), cast(Records, None), self.team.folder)
        return msgspec.structs.replace(ports, repositories=ours)

    async def queue(self, *tasks: Task) -> tuple[BranchQueue, tuple[Ejection, ...]]:
        release = Release(slug="r1", opened_by="olive", opened_at=datetime(2026, 1, 1, tzinfo=UTC))
        queue = await queue_of(release, tasks, Registry({}, {"hub": self.hub}), self.ports(self.ours))
        return queue.branches[0], queue.ejections

    async def pushed(self, *tasks: Task) -> BranchQueue:
        branch, _ = await self.queue(*tasks)
        await Merge(repository=self.hub, queue=branch).perform(self.ports(self.ours), {})
        return branch

    def type(self, command: str) -> None:
        """Somebody types `command` in their clone."""
        self.team.git("fetch", "-q", "origin")
        argv = ("sh", "-ec", command)
        subprocess.run(argv, cwd=self.team.clone, env=self.team.env, check=True, capture_output=True)


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    yard = Yard(tmp_path)
    for slug in ("one", "two"):
        yard.team.commit(slug, on=yard.root, push=f"feat/{slug}", **{slug: slug})
    return yard


ONE, TWO = draft("one", "hub"), draft("two", "hub")


async def test_a_second_run_merges_nothing_twice_and_a_grown_branch_its_rest(yard: Yard) -> None:
    first = await yard.pushed(ONE, TWO)
    assert yard.team.head("release") == first.tip
    again, _ = await yard.queue(ONE, TWO)
    assert (again.expected, again.tip, again.merges) == (first.tip, first.tip, ())
    grown = yard.team.commit("more", on=first.merges[0].head, push="feat/one", more="more")
    rest, _ = await yard.queue(ONE, TWO)
    assert [(merge.task, merge.head) for merge in rest.merges] == [("one", grown)]


async def test_another_machine_pushes_the_very_same_merges(yard: Yard) -> None:
    branch, _ = await yard.queue(ONE, TWO)
    elsewhere = machine(yard.team.folder, "elsewhere")
    await Merge(repository=yard.hub, queue=branch).perform(yard.ports(elsewhere), {})
    assert yard.team.head("release") == branch.tip


async def test_the_revert_that_is_offered_works_when_typed(yard: Yard) -> None:
    """L30: merges that no member owns are shown, and the revert is offered."""
    await yard.pushed(ONE, TWO)
    branch, _ = await yard.queue(TWO)
    [foreign] = branch.foreign
    assert foreign.task == "one"
    yard.type(foreign.revert)
    after, ejections = await yard.queue(TWO)
    assert (after.foreign, after.merges, ejections) == ((), (), ())
    assert "one" not in yard.team.git("ls-tree", "--name-only", "release", at=yard.team.origin).split()


async def test_who_was_taken_off_and_comes_back_is_told_how_to_bring_its_work_back(yard: Yard) -> None:
    await yard.pushed(ONE, TWO)
    branch, _ = await yard.queue(TWO)
    yard.type(branch.foreign[0].revert)
    _, [ejection] = await yard.queue(ONE, TWO)
    assert "was taken back" in ejection.because
    yard.type(ejection.because.rpartition(" — ")[2])
    back, ejections = await yard.queue(ONE, TWO)
    assert (ejections, back.foreign) == ((), ())
    assert "one" in yard.team.git("ls-tree", "--name-only", back.tip, at=yard.team.origin).split()


async def test_a_rewritten_branch_rides_again_once_its_old_merge_is_off(yard: Yard) -> None:
    await yard.pushed(ONE)
    other = yard.team.commit("better", on=yard.root, one="better")
    yard.team.git("push", "-qf", "origin", f"{other}:refs/heads/feat/one")
    _, [ejection] = await yard.queue(ONE)
    assert "was rewritten after it was merged" in ejection.because
    yard.type(ejection.because.rpartition(" — ")[2])
    branch, ejections = await yard.queue(ONE)
    assert (ejections, [merge.head for merge in branch.merges]) == ((), [other])


async def test_a_rewritten_branch_that_keeps_a_part_of_what_was_taken_back_is_noticed(yard: Yard) -> None:
    """git would bring in the new part only, and nobody would see that the old one is missing."""
    kept = yard.team.git("rev-parse", "origin/feat/one")
    yard.team.commit("second", on=kept, push="feat/one", second="second")
    branch = await yard.pushed(ONE)
    other = yard.team.commit("second, better", on=kept, second="better")
    yard.team.git("push", "-qf", "origin", f"{other}:refs/heads/feat/one")
    yard.type(f"git switch release && git revert --no-edit -m 1 {branch.tip} && git push origin release")
    _, [ejection] = await yard.queue(ONE)
    assert "was taken back" in ejection.because


async def test_pins_of_ours_are_taken_back_before_more_is_merged_and_stay_when_nothing_is(yard: Yard) -> None:
    """A builder who locks anew would conflict with them."""
    first = await yard.pushed(ONE)
    message = pin_message([Pin("money", "toy", "money", commit=first.tip)])
    pinned = await yard.ours.derive(yard.hub, first.tip, {"needs.txt": b"pinned", "needs.lock": b"new"}, message)
    await yard.ours.push(yard.hub, pinned, "release", expected=first.tip)
    same, _ = await yard.queue(ONE)
    assert (same.tip, same.work, same.merges, same.foreign) == (pinned, first.tip, (), ())

    yard.team.commit("lock anew", on=first.merges[0].head, push="feat/one", one="locked anew")
    grown, ejections = await yard.queue(ONE)
    assert (ejections, grown.foreign, grown.work) == ((), (), grown.tip)
    elsewhere = machine(yard.team.folder, "elsewhere")
    await Merge(repository=yard.hub, queue=grown).perform(yard.ports(elsewhere), {})
    assert yard.team.head("release") == grown.tip
    assert yard.team.git("show", f"{grown.tip}:one", at=yard.team.origin) == "locked anew"
    assert await yard.ours.relation(yard.hub, grown.tip, pinned) is Relation.AHEAD, "nothing is forced"


# ── taken back, by patch ───────────────────────────────────────────────────────────────────────────────────────────

REVERTS = {
    "as git words it": "git revert --no-edit -m 1 {merge}",
    "with a reference": "git revert --reference -m 1 --no-edit {merge} || git commit -q --allow-empty -m x",
    "under another title": "git revert --no-commit -m 1 {merge} && git commit -q -m 'Quieten the alarm'",
    "by hand": "git rm -q one && git commit -q -m 'Clean up'",
    "through a pull request": (
        "git switch -q -c pr && git revert --no-commit -m 1 {merge} && git commit -q -m 'Fix' && git switch -q release"
        " && git merge -q --no-ff -m 'Merge pull request 7' pr && git branch -D pr"
    ),
    "squashed from a pull request": (
        "git switch -q -c pr && git revert --no-edit -m 1 {merge} && git switch -q release"
        " && git merge -q --squash pr && git commit -q -m 'Fix (#7)' && git branch -D pr"
    ),
    "three times": ("git revert --no-edit -m 1 {merge} && git revert --no-edit HEAD && git revert --no-edit HEAD"),
}
_ON_RELEASE = "git switch -q release && git pull -q --ff-only && {} && git push -q origin release"


@pytest.mark.parametrize("revert", REVERTS.values(), ids=REVERTS.keys())
async def test_work_that_was_taken_back_is_ejected_however_that_is_worded(yard: Yard, revert: str) -> None:
    """It rode, was recorded shipped, stood in the notes, and was not in production."""
    branch = await yard.pushed(ONE, TWO)
    merge = next(one.commit for one in branch.merges if one.task == "one")
    yard.type(_ON_RELEASE.format(revert.format(merge=merge)))
    _, [ejection] = await yard.queue(ONE, TWO)
    assert ejection.task == "one" and "was taken back" in ejection.because
    yard.type(ejection.because.rpartition(" — ")[2])
    back, ejections = await yard.queue(ONE, TWO)
    assert ejections == ()
    assert "one" in yard.team.git("ls-tree", "--name-only", back.tip, at=yard.team.origin).split()


@pytest.mark.parametrize(
    "harmless",
    [
        "git revert --no-edit -m 1 {merge} && git revert --no-edit HEAD",
        "echo more >> one && git commit -q -a -m 'This reverts commit {merge}.'",
        "echo x > three && git add three && git commit -q -m 'Revert \"Merge task one\"'",
        "git commit -q --allow-empty -m 'This reverts commit {merge}.'",
    ],
)
async def test_what_only_says_that_it_takes_back_takes_nothing_back(yard: Yard, harmless: str) -> None:
    branch = await yard.pushed(ONE)
    yard.type(_ON_RELEASE.format(harmless.format(merge=branch.tip)))
    _, ejections = await yard.queue(ONE)
    assert ejections == ()


async def test_a_task_that_shipped_and_was_taken_back_on_main_does_not_ride_as_merged(yard: Yard) -> None:
    """Train abandoned, the offered revert typed, a hotfix shipped, and the task rode again without its work."""
    branch = await yard.pushed(ONE)
    yard.type(_ON_RELEASE.format(f"git revert --no-edit -m 1 {branch.tip}"))
    yard.type("git push -q origin release:main")
    _, [ejection] = await yard.queue(ONE)
    assert "was taken back" in ejection.because
    yard.type(ejection.because.rpartition(" — ")[2])
    back, ejections = await yard.queue(ONE)
    assert ejections == ()
    assert "one" in yard.team.git("ls-tree", "--name-only", back.tip, at=yard.team.origin).split()


async def test_a_hotfix_on_main_that_takes_a_shipped_task_back_is_seen_from_a_release_that_lacks_it(
    yard: Yard,
) -> None:
    branch = await yard.pushed(ONE)
    yard.type("git push -q origin origin/release:refs/heads/main")
    undo = f"git revert --no-edit -m 1 {branch.tip}"
    yard.type(f"git switch -q -C main origin/release && {undo} && git push -q origin main")
    _, [ejection] = await yard.queue(ONE)
    assert "was taken back" in ejection.because


async def test_a_revert_at_other_lines_is_still_one(yard: Yard) -> None:
    lines = "".join(f"{number}\n" for number in range(40))
    base = yard.team.commit("base", on=yard.root, push="main", a=lines)
    yard.team.git("push", "-q", "origin", ":feat/one")
    yard.team.commit("work", on=base, push="feat/one", a=lines.replace("30\n", "30\nnew\n"))
    branch = await yard.pushed(ONE)
    above = "sed -i '1i above' a && git commit -q -a -m above"
    yard.type(_ON_RELEASE.format(f"{above} && git revert --no-edit -m 1 {branch.tip}"))
    _, [ejection] = await yard.queue(ONE)
    assert "was taken back" in ejection.because


async def test_a_revert_that_differs_in_blanks_only_is_none(yard: Yard) -> None:
    branch = await yard.pushed(ONE)
    yard.type(_ON_RELEASE.format("printf ' one' > one && git commit -q -a -m blanks"))
    assert (await yard.queue(ONE))[1] == ()
    assert branch.merges


async def test_a_mode_and_a_binary_that_were_taken_back_are_seen(yard: Yard) -> None:
    yard.team.git("switch", "-q", "-C", "work", "origin/main")
    (yard.team.clone / "a").chmod(0o755)
    (yard.team.clone / "b.bin").write_bytes(bytes(range(256)))
    yard.team.git("add", "--all")
    yard.team.git("commit", "-q", "-m", "odd")
    yard.team.git("push", "-qf", "origin", "HEAD:refs/heads/feat/one")
    branch = await yard.pushed(ONE)
    yard.type(_ON_RELEASE.format(f"git revert --no-commit -m 1 {branch.tip} && git commit -q -m tidy"))
    _, [ejection] = await yard.queue(ONE)
    assert "was taken back" in ejection.because


async def test_a_thousand_commits_are_looked_at_at_once(yard: Yard) -> None:
    branch = await yard.pushed(ONE)
    many = "for n in $(seq 300); do echo $n > n; git add n; git commit -q -m $n; done"
    yard.type(_ON_RELEASE.format(f"{many}; git revert --no-edit -m 1 {branch.tip}"))
    _, [ejection] = await yard.queue(ONE)
    assert "was taken back" in ejection.because


async def test_a_freeze_without_qa_refuses_what_was_taken_back(yard: Yard) -> None:
    branch = await yard.pushed(ONE)
    undo = "git switch -q -C release origin/release && git revert --no-commit -m 1 {} && git commit -q -m tidy"
    yard.type(f"{undo.format(branch.tip)} && git push -q origin release")
    with pytest.raises(Refused, match="work of feat/one was taken back"):
        await freeze([yard.hub], [], [ONE], yard.ports(yard.ours))


async def test_code_under_our_name_is_shown_as_nobody_s_and_never_taken_back(yard: Yard) -> None:
    first = await yard.pushed(ONE)
    typed = "git switch -q -C release origin/release && echo x > code.py && git add . && git -c user.name=Stationmaster"
    author = "--author='Stationmaster <stationmaster@localhost>'"
    yard.type(f"{typed} commit -qm 'Pin money 1.1' {author} && git push -q origin release")
    branch, _ = await yard.queue(ONE)
    assert [one.title for one in branch.foreign] == ["Pin money 1.1"]
    assert branch.work == branch.tip == yard.team.head("release") != first.tip


async def test_a_revert_beside_lines_that_changed_since_takes_the_work_out_all_the_same(yard: Yard) -> None:
    body = "".join(f"line {number}\n" for number in range(30))
    root = yard.team.commit("base", on=yard.root, push="main", f=body)
    yard.team.commit("three", on=root, push="feat/three", f=body.replace("line 15\n", "line 15\nwork\n"))
    task = draft("three", "hub")
    await yard.pushed(task)
    change = "sed -i 's/^line 13$/changed/' f && git commit -qam near && git revert --no-edit -m 1 HEAD~1"
    yard.type(f"git switch -q -C release origin/release && {change} && git push -q origin release")
    _, [ejection] = await yard.queue(task)
    assert "was taken back" in ejection.because
