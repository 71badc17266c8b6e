"""What a release branch holds: merges of members, what nobody owns, what was taken back (spec 4.4, L30).

Looks only. A merge of ours names its task in its last line; one that a person made is told by what it brought in.
"""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Collection, Mapping, Sequence

import msgspec

from core.errors import Reason, Unreachable
from core.ports import Pin, Ports
from core.registry import App, Package, Repository, Sha
from core.repositories import Logged, Relation
from core.tasks import Task
from core.words import short

_TASK = re.compile(r"^Task: ([a-z0-9-]+)$", re.MULTILINE)
_OURS = "Stationmaster"
_PINS = "Pin "


class Foreign(msgspec.Struct, frozen=True, kw_only=True):
    """What is on a release branch and no member owns. `task`: whose it was, blank when nobody can tell.

    `revert`: the command that takes it off, as one would type it in a clone.
    """

    repository: str
    commit: Sha
    title: str
    task: str = ""
    revert: str


class ReleaseBranch(msgspec.Struct, frozen=True, kw_only=True):
    """A repository as origin is now; `release` and `main` are None, and a member's branch not in `heads`, when origin
    has no such branch. `landed`: the first-parent line of release down to main, newest first. `merged`: what came on
    top of the members' work, whenever that was merged. `reverts`: a commit that is out → the one that took it out.
    """

    repository: Package | App
    release: Sha | None
    main: Sha | None
    heads: Mapping[str, Sha]
    landed: tuple[Logged, ...]
    merged: tuple[Logged, ...] = ()
    reverts: Mapping[Sha, Sha]

    def merges_of(self, task: str) -> list[Logged]:
        """The merges that name `task` and were not taken back."""
        return [one for one in self.landed if task_of(one) == task and one.sha not in self.reverts]


def merge_message(task: str, branch: str) -> str:
    """The message of a task's merge commit; the same for ever, so that the commit is."""
    return f"Merge task {task} ({branch})\n\nTask: {task}\n"


def pin_message(pins: Sequence[Pin]) -> str:
    return f"{_PINS}{', '.join(f'{pin.distribution} {pin.exact_in_words}' for pin in pins)}"


async def without_pins(repository: Repository, tip: Sha, landed: Sequence[Logged], ports: Ports) -> tuple[Sha, Sha]:
    """What lies beneath our own pins on top of `tip`, and a child of `tip` that takes them back: `tip` without pins.

    `landed`: the first-parent line from `tip`, newest first. What is merged on top of pins would conflict with them
    wherever somebody locked anew.
    """
    work = tip
    for one in itertools.takewhile(lambda one: one.message.startswith(_PINS), landed):
        if not await _only_pins(repository, one, ports):
            break
        work = one.parents[0]
    if work == tip:
        return tip, tip
    changed = await ports.repositories.changed_paths(repository, work, tip)
    before = {path: await ports.repositories.read(repository, work, path) for path in sorted(changed)}
    files = {path: text for path, text in before.items() if text is not None}
    return work, await ports.repositories.derive(repository, tip, files, "Take the pins back until all is merged")


def task_of(commit: Logged) -> str:
    """The task that a merge of ours names; blank for anything else."""
    named = _TASK.findall(commit.message) if len(commit.parents) > 1 else []
    return named[-1] if named else ""


async def look_at(repository: Package | App, branches: Collection[str], ports: Ports) -> ReleaseBranch:
    """Ask origin, once, about `repository` and the `branches` of its members."""
    release, main = repository.release_branch, repository.main_branch
    heads = await ports.repositories.branch_heads(repository, sorted({release, main, *branches}))
    history: Sequence[Logged] = ()
    if release in heads and main in heads:
        history = await ports.repositories.history(repository, heads[release], heads[main])
    tips = [heads[name] for name in (release, main) if name in heads]
    if len(tips) > 1 and await ports.repositories.relation(repository, *tips) in (Relation.AHEAD, Relation.EQUAL):
        del tips[1]  # release has all of main
    mine = {branch: heads[branch] for branch in branches if branch in heads}
    since = await _since(repository, mine, tips[::-1], ports)  # newest first: main has what release lacks
    known = {one.sha for one in history}
    return ReleaseBranch(
        repository=repository,
        release=heads.get(release),
        main=heads.get(main),
        heads=mine,
        landed=first_parents(heads.get(release), history),
        merged=tuple(since),
        reverts=await _reverts(repository, [*history, *(one for one in since if one.sha not in known)], ports),
    )


async def foreign(found: ReleaseBranch, members: Sequence[Task], ports: Ports) -> tuple[Foreign, ...]:
    """What landed and is neither main's, nor a member's, nor our own pin, nor taken back; newest first."""
    slugs = {task.slug for task in members}
    undoing = {by for undone, by in found.reverts.items() if undone in {one.sha for one in found.landed}}
    suspects = [
        one
        for one in found.landed
        if one.sha not in found.reverts.keys() | undoing
        and task_of(one) not in slugs
        and not await _only_pins(found.repository, one, ports)  # they come off by themselves
    ]
    if not suspects or found.release is None or found.main is None:
        return ()
    works = [work for task in members for work in task.works if work.repository == found.repository.name]
    owned = [head for work in works if (head := found.heads.get(work.branch))]
    unowned = await ports.repositories.history(found.repository, found.release, found.main, *owned)
    nobodys = {one.sha for one in unowned}
    return tuple(_foreign(found.repository, one) for one in suspects if nobodys & {*(one.parents[1:] or (one.sha,))})


async def trouble_of(task: str, branch: str, found: ReleaseBranch, ports: Ports) -> Reason | None:
    """Why `branch` must not be merged as it is: gone, rewritten since it was merged, or its merge was taken back."""
    head, where, merges = found.heads.get(branch), found.repository.name, found.merges_of(task)
    if head is None:
        what, why = f"{where} has no branch {branch}", "origin does not know it"
        return None if merges else Reason(what, why, f"push it, then release add {task}")
    for merge in merges:
        relation = await ports.repositories.relation(found.repository, head, merge.parents[1])
        if relation is Relation.UNKNOWN:
            raise Unreachable(f"cannot tell whether {branch} of {where} was rewritten", short(head), "try again")
        if relation not in (Relation.EQUAL, Relation.AHEAD):
            return Reason(
                f"{branch} of {where} was rewritten after it was merged",
                f"{short(merge.parents[1])} is on {found.repository.release_branch}, and the branch ({short(head)}) "
                "does not contain it any more",
                revert_command(found.repository, merge),
            )
    return await taken_back(task, branch, found, ports)


async def taken_back(task: str, branch: str, found: ReleaseBranch, ports: Ports) -> Reason | None:
    """Why the work of `branch` is not in, although git takes it for merged; with the command that brings it back."""
    head, where = found.heads.get(branch), found.repository.name
    if head is None:
        return None
    for one in dict.fromkeys((*found.landed, *found.merged)):
        if one.sha in found.reverts and task_of(one) in ("", task) and await _shares(found, one, head, ports):
            return Reason(
                f"work of {branch} was taken back on {found.repository.release_branch} of {where}",
                f"git takes {short(one.sha)} for merged, and {short(found.reverts[one.sha])} reverts it",
                _typed(found.repository, f"git revert --no-edit {found.reverts[one.sha]}"),
            )
    return None


def first_parents(tip: Sha | None, history: Sequence[Logged]) -> tuple[Logged, ...]:
    """The first-parent line of `history` from `tip`, newest first."""
    by_sha, found = {one.sha: one for one in history}, list[Logged]()
    while tip and (one := by_sha.get(tip)):
        found.append(one)
        tip = one.parents[0] if one.parents else None
    return tuple(found)


def revert_command(repository: Package | App, commit: Logged) -> str:
    """What takes `commit` off the release branch again, as one would type it in a clone."""
    mainline = "-m 1 " if len(commit.parents) > 1 else ""
    return _typed(repository, f"git revert --no-edit {mainline}{commit.sha}")


def _typed(repository: Package | App, command: str) -> str:
    branch = shlex.quote(repository.release_branch)
    return f"git switch {branch} && git pull --ff-only && {command} && git push origin {branch}"


def _foreign(repository: Package | App, commit: Logged) -> Foreign:
    return Foreign(
        repository=repository.name,
        commit=commit.sha,
        title=commit.message.partition("\n")[0],
        task=task_of(commit),
        revert=revert_command(repository, commit),
    )


async def _shares(found: ReleaseBranch, undone: Logged, head: Sha, ports: Ports) -> bool:
    """True when `head` contains a part of what `undone` had brought in: git would not bring that part in again."""
    before, brought = undone.parents[0], undone.parents[1] if len(undone.parents) > 1 else undone.sha
    history, repository = ports.repositories.history, found.repository
    return await history(repository, brought, before) != await history(repository, brought, before, head)


async def _only_pins(repository: Repository, commit: Logged, ports: Ports) -> bool:
    """True for a commit of ours that pins, or takes pins back. Whoever takes our name for code is somebody else."""
    if commit.author != _OURS or len(commit.parents) != 1:
        return False
    changed = await ports.repositories.changed_paths(repository, commit.parents[0], commit.sha)
    paths = await ports.repositories.paths(repository, commit.sha)
    pinned = {path for ecosystem in ports.ecosystems.values() for path in ecosystem.consumer_files(paths)}
    return bool(changed) and changed <= pinned


async def _reverts(repository: Repository, history: Sequence[Logged], ports: Ports) -> dict[Sha, Sha]:
    """What of `history` (newest first) is out → what took it out: a later commit with the inverse patch, until one with
    its own patch brings it back. By patch, never by message.
    """
    patches = await ports.repositories.patches(repository, [one.sha for one in history])
    places: dict[str, list[int]] = {}
    for at, one in enumerate(history):
        if one.sha in patches:
            places.setdefault(patches[one.sha].id, []).append(at)
    found: dict[Sha, Sha] = {}
    for at, one in enumerate(history):
        patch = patches.get(one.sha)
        if patch is None or patch.inverse not in places or patch.id == patch.inverse:
            continue
        out: Sha | None = None
        for later in sorted((p for p in (*places[patch.id], *places[patch.inverse]) if p < at), reverse=True):
            takes_out = patches[history[later].sha].id == patch.inverse
            out = (out or history[later].sha) if takes_out else None
        if out:
            found[one.sha] = out
    return found


async def _since(
    repository: Package | App, heads: Mapping[str, Sha], tips: Sequence[Sha], ports: Ports
) -> list[Logged]:
    """What came on `tips` on top of branches that they contain: a task may have ridden, or shipped, before."""
    found: dict[Sha, Logged] = {}
    for head, tip in itertools.product(heads.values(), tips):
        if await ports.repositories.relation(repository, tip, head) in (Relation.AHEAD, Relation.EQUAL):
            found |= {one.sha: one for one in await ports.repositories.history(repository, tip, head)}
    return list(found.values())
