"""A merge in the mirror is the merge that `git merge --no-ff` makes in a checkout, or the same conflict."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.credentials import Secrets
from adapters.git import MirrorRepositories
from adapters.process import ChildProcesses
from core.errors import Refused, Unreachable
from core.registry import Sha
from core.repositories import Conflict, Relation
from tests.adapters.test_git import ABSENT, Team

Files = Mapping[str, bytes | None]
"""Path → content, None where it is removed."""
LINES = b"".join(b"line %d\n" % number for number in range(40))
MESSAGE = "Merge task pay (feat/pay)\n"


def machine(folder: Path, name: str = "state") -> MirrorRepositories:
    return MirrorRepositories(ChildProcesses(folder / "home", Secrets({}), os.environ), folder / name)


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


@pytest.fixture
def ours(tmp_path: Path) -> MirrorRepositories:
    return machine(tmp_path)


def commit(team: Team, files: Files, *, on: str = "", push: str = "") -> Sha:
    if on:
        team.git("checkout", "-q", "-f", "--detach", on)
    for name, content in files.items():
        path = team.clone / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
    return team.commit(push or "work", push=push)


def merged_by_hand(team: Team, ours: Sha, theirs: Sha) -> str | Conflict:
    """The tree that a person gets in a checkout, or the paths that they are asked about."""
    team.git("checkout", "-q", "-f", "--detach", ours)
    team.git("clean", "-q", "-fdx")
    argv = ("git", "merge", "-q", "--no-ff", "-m", "x", theirs)
    done = subprocess.run(argv, cwd=team.clone, env=team.env, capture_output=True, text=True)
    if done.returncode == 0:
        return team.git("rev-parse", "HEAD^{tree}")
    unmerged = team.git("ls-files", "-z", "--unmerged").split("\0")
    team.git("merge", "--abort")
    # A file that makes room for a folder is put aside under the name of its side.
    paths = (row.partition("\t")[2].removesuffix("~HEAD").removesuffix(f"~{theirs}") for row in unmerged if row)
    return Conflict(tuple(sorted({*paths})))


async def assert_the_same(team: Team, ours: MirrorRepositories, base: Files, left: Files, right: Files) -> None:
    """Whether a merge or a conflict comes of two sides of `base`, it is the one that a person gets."""
    root = commit(team, base, push="main")
    mine, other = commit(team, left, on=root, push="release"), commit(team, right, on=root, push="feat")
    by_hand, hub = merged_by_hand(team, mine, other), team.repository()
    await ours.branch_heads(hub, ("release", "feat"))
    found = await ours.merge(hub, mine, other, MESSAGE)
    if isinstance(found, Conflict):
        assert found == by_hand
    else:
        assert team.git("rev-parse", f"{found}^{{tree}}", at=mirror(team)) == by_hand
        assert await ours.parents(hub, found) == (mine, other)


def mirror(team: Team) -> Path:
    return team.folder / "state" / "mirrors" / "hub.git"


def edited(number: int, text: bytes, content: bytes = LINES) -> bytes:
    return content.replace(b"line %d\n" % number, text)


CASES: dict[str, tuple[Files, Files, Files]] = {
    "far apart": ({"a": LINES}, {"a": edited(2, b"L\n")}, {"a": edited(30, b"R\n")}),
    "the same line": ({"a": LINES}, {"a": edited(2, b"L\n")}, {"a": edited(2, b"R\n")}),
    "the same change": ({"a": LINES}, {"a": edited(2, b"X\n")}, {"a": edited(2, b"X\n")}),
    "union": (
        {"a.log": LINES, ".gitattributes": b"*.log merge=union\n"},
        {"a.log": LINES + b"L\n"},
        {"a.log": LINES + b"R\n"},
    ),
    "union below": (
        {"x/y/a.log": LINES, "x/.gitattributes": b"*.log merge=union\n"},
        {"x/y/a.log": LINES + b"L\n"},
        {"x/y/a.log": LINES + b"R\n"},
    ),
    "union in a folder with a strange name": (
        {"x [a] *ü/b.log": LINES, "x [a] *ü/.gitattributes": b'"b.log" merge=union\n'},
        {"x [a] *ü/b.log": LINES + b"L\n"},
        {"x [a] *ü/b.log": LINES + b"R\n"},
    ),
    "union taken back deeper down": (
        {"x/a": LINES, ".gitattributes": b"* merge=union\n", "x/.gitattributes": b"a !merge\n"},
        {"x/a": LINES + b"L\n"},
        {"x/a": LINES + b"R\n"},
    ),
    "union by a macro": (
        {"a": LINES, ".gitattributes": b"[attr]both merge=union\na both\n"},
        {"a": LINES + b"L\n"},
        {"a": LINES + b"R\n"},
    ),
    "union that only ours has": (
        {"a": LINES},
        {"a": LINES + b"L\n", ".gitattributes": b"a merge=union\n"},
        {"a": LINES + b"R\n"},
    ),
    "union that only theirs has": (
        {"a": LINES},
        {"a": LINES + b"L\n"},
        {"a": LINES + b"R\n", ".gitattributes": b"a merge=union\n"},
    ),
    "text that is called binary": (
        {"a": LINES, ".gitattributes": b"a binary\n"},
        {"a": edited(2, b"L\n")},
        {"a": edited(30, b"R\n")},
    ),
    "no merge at all": (
        {"a": LINES, ".gitattributes": b"a -merge\n"},
        {"a": edited(2, b"L\n")},
        {"a": edited(30, b"R\n")},
    ),
    "no diff, which is no matter for a merge": (
        {"a": LINES, ".gitattributes": b"a -diff\n"},
        {"a": edited(2, b"L\n")},
        {"a": edited(30, b"R\n")},
    ),
    "binary": ({"a": b"\0" + LINES}, {"a": b"\0L" + LINES}, {"a": b"\0R" + LINES}),
    "a driver that nobody has": (
        {"a": LINES, ".gitattributes": b"a merge=ours\n"},
        {"a": edited(2, b"L\n")},
        {"a": edited(30, b"R\n")},
    ),
    "line ends": (
        {"a": LINES.replace(b"\n", b"\r\n")},
        {".gitattributes": b"* text=auto eol=lf\n", "a": edited(2, b"L\n")},
        {"a": edited(30, b"R\n").replace(b"\n", b"\r\n")},
    ),
    "text that is stored with its line ends": (
        {"a": LINES, ".gitattributes": b"a text eol=crlf\n"},
        {"a": edited(2, b"L\n")},
        {"a": edited(30, b"R\n")},
    ),
    "renamed here, changed there": ({"a": LINES}, {"a": None, "b": LINES}, {"a": edited(2, b"R\n")}),
    "renamed twice": ({"a": LINES}, {"a": None, "b": LINES}, {"a": None, "c": LINES}),
    "a folder that moved": (
        {"x/a": LINES, "x/b": LINES + b"b\n"},
        {"x/a": None, "x/b": None, "y/a": LINES, "y/b": LINES + b"b\n"},
        {"x/c": b"new\n"},
    ),
    "removed here, changed there": ({"a": LINES, "k": b""}, {"a": None}, {"a": edited(2, b"R\n")}),
    "both new": ({"k": b""}, {"a": b"L\n"}, {"a": b"R\n"}),
    "a file for a folder": ({"k": b""}, {"a": b"L\n"}, {"a/b": b"R\n"}),
    "very many conflicts": (
        {f"{number:04}-{'x' * 80}": LINES for number in range(1000)},
        {f"{number:04}-{'x' * 80}": b"L\n" for number in range(1000)},
        {f"{number:04}-{'x' * 80}": b"R\n" for number in range(1000)},
    ),
}


@pytest.mark.parametrize("case", [name for name in CASES if name != "very many conflicts"])
async def test_a_merge_is_what_a_person_gets_in_a_checkout(team: Team, ours: MirrorRepositories, case: str) -> None:
    await assert_the_same(team, ours, *CASES[case])


async def test_of_very_many_conflicts_enough_are_named(team: Team, ours: MirrorRepositories) -> None:
    base, left, right = CASES["very many conflicts"]
    root = commit(team, base, push="main")
    mine, other = commit(team, left, on=root, push="release"), commit(team, right, on=root, push="feat")
    await ours.branch_heads(team.repository(), ("release", "feat"))
    found = await ours.merge(team.repository(), mine, other, MESSAGE)
    assert isinstance(found, Conflict)
    assert len(found.paths) > 500
    assert set(found.paths) <= base.keys()


texts = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n", b"d\r\n", b"\0\n"]), max_size=8).map(b"".join)
trees = st.dictionaries(st.sampled_from(["a", "x/a", "x/b.log", "y/c.log"]), texts, max_size=4)
rules = st.lists(
    st.tuples(
        st.sampled_from(["*", "*.log", "a", "/a", "x/*", "x/a"]),
        st.sampled_from(["merge=union", "-merge", "binary", "!merge", "text eol=crlf", "-text"]),
    ).map(" ".join),
    max_size=3,
).map(lambda lines: {"x/.gitattributes": "\n".join(lines).encode(), ".gitattributes": "\n".join(lines[1:]).encode()})


@given(base=trees, attributes=rules, left=trees, right=trees)
@settings(max_examples=25, deadline=None)
def test_any_two_sides_merge_as_in_a_checkout(
    base: dict[str, bytes], attributes: dict[str, bytes], left: dict[str, bytes], right: dict[str, bytes]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        team = Team(Path(folder) / "team")
        asyncio.run(assert_the_same(team, machine(team.folder), {**base, **attributes}, left, right))


async def test_sides_that_crossed_before_merge_as_in_a_checkout(team: Team, ours: MirrorRepositories) -> None:
    """Two last common commits, whose own merge needs the attributes too."""
    root = commit(team, {"a": LINES, ".gitattributes": b"a merge=union\n"}, push="main")
    left, right = (commit(team, {"a": LINES + text}, on=root, push=text.decode()[0]) for text in (b"L\n", b"R\n"))
    team.git("checkout", "-q", "-f", "--detach", left)
    team.git("merge", "-q", "--no-ff", "-m", "x", right)
    mine = commit(team, {"b": b""}, push="release")
    team.git("checkout", "-q", "-f", "--detach", right)
    team.git("merge", "-q", "--no-ff", "-m", "x", left)
    other = commit(team, {"a": (team.clone / "a").read_bytes() + b"more\n"}, push="feat")
    by_hand = merged_by_hand(team, mine, other)
    made = await ours.merge(team.repository(), mine, other, MESSAGE)
    assert not isinstance(made, Conflict)
    assert team.git("rev-parse", f"{made}^{{tree}}", at=mirror(team)) == by_hand


async def test_another_machine_makes_the_same_commit(team: Team, ours: MirrorRepositories) -> None:
    root = commit(team, {"a": LINES}, push="main")
    mine = commit(team, {"a": edited(2, b"L\n")}, on=root, push="release")
    other = commit(team, {"a": edited(30, b"R\n")}, on=root, push="feat")
    hub, elsewhere = team.repository(), machine(team.folder, "elsewhere")
    made = {await one.merge(hub, mine, other, MESSAGE) for one in (ours, elsewhere)}
    assert len(made) == 1
    assert not any(isinstance(one, Conflict) for one in made)


async def test_a_merge_can_be_taken_off_again(team: Team, ours: MirrorRepositories) -> None:
    """`git revert -m 1` leaves what was there before."""
    root = commit(team, {"a": LINES}, push="main")
    mine = commit(team, {"a": edited(2, b"L\n")}, on=root, push="release")
    other = commit(team, {"a": edited(30, b"R\n"), "b": b""}, on=root, push="feat")
    hub = team.repository()
    made = await ours.merge(hub, mine, other, MESSAGE)
    assert not isinstance(made, Conflict)
    await ours.push(hub, made, "release", expected=mine)
    team.git("fetch", "-q", "origin")
    assert team.git("log", "-1", "--format=%B", made).startswith("Merge task pay")
    team.git("checkout", "-q", "-f", "--detach", made)
    team.git("revert", "--no-edit", "-m", "1", made)
    assert team.git("rev-parse", "HEAD^{tree}") == team.git("rev-parse", f"{mine}^{{tree}}")


async def test_what_is_contained_already_is_not_merged_again(team: Team, ours: MirrorRepositories) -> None:
    root = commit(team, {"a": LINES}, push="main")
    mine = commit(team, {"a": edited(2, b"L\n")}, on=root, push="release")
    hub = team.repository()
    await ours.branch_head(hub, "release")
    assert await ours.merge(hub, mine, root, MESSAGE) == mine
    assert await ours.merge(hub, mine, mine, MESSAGE) == mine


async def test_the_same_change_on_two_branches_is_a_merge_all_the_same(team: Team, ours: MirrorRepositories) -> None:
    root = commit(team, {"a": LINES}, push="main")
    mine, other = (commit(team, {"a": edited(2, b"X\n")}, on=root, push=name) for name in ("release", "feat"))
    made = await ours.merge(team.repository(), mine, other, MESSAGE)
    assert not isinstance(made, Conflict)
    assert await ours.parents(team.repository(), made) == (mine, other)


async def test_a_branch_that_is_ahead_still_gets_a_merge_commit(team: Team, ours: MirrorRepositories) -> None:
    root = commit(team, {"a": LINES}, push="release")
    other = commit(team, {"a": edited(2, b"R\n")}, on=root, push="feat")
    made = await ours.merge(team.repository(), root, other, MESSAGE)
    assert not isinstance(made, Conflict)
    assert await ours.parents(team.repository(), made) == (root, other)


async def test_a_history_of_its_own_is_refused_and_no_conflict(team: Team, ours: MirrorRepositories) -> None:
    root = commit(team, {"a": LINES}, push="main")
    team.git("checkout", "-q", "--orphan", "stranger")
    stranger = commit(team, {"b": b""}, push="feat")
    await ours.branch_heads(team.repository(), ("main", "feat"))
    with pytest.raises(Refused, match="no commit in common"):
        await ours.merge(team.repository(), root, stranger, MESSAGE)


@pytest.mark.parametrize(
    "who", [b"A <a@b> -5 +0000", b"A <a@b>", b"A <a@b> 99999999999999999999 +0000", b"\xff <> 7 +9999"]
)
async def test_a_commit_that_no_git_would_write_stops_no_train(
    team: Team, ours: MirrorRepositories, who: bytes
) -> None:
    root = commit(team, {"a": LINES}, push="main")
    theirs = commit(team, {"b": b"new\n"}, on=root)
    tree, argv = (
        team.git("rev-parse", "HEAD^{tree}"),
        ("git", "hash-object", "-t", "commit", "-w", "--stdin", "--literally"),
    )
    text = b"tree %s\nparent %s\nauthor %s\ncommitter %s\nencoding no-such\n\n\xff\n"
    raw = text % (tree.encode(), root.encode(), who, who)
    made = subprocess.run(argv, cwd=team.clone, env=team.env, input=raw, check=True, capture_output=True)
    odd = Sha(made.stdout.decode().strip())
    team.git("push", "-q", "origin", f"{odd}:refs/heads/odd", f"{theirs}:refs/heads/feat")
    ahead = await ours.merge(team.repository(), root, theirs, MESSAGE)
    assert not isinstance(ahead, Conflict)
    merged = await ours.merge(team.repository(), ahead, odd, MESSAGE)
    assert not isinstance(merged, Conflict)
    await ours.push(team.repository(), merged, "main", expected=root)
    assert [one.sha for one in await ours.history(team.repository(), merged, ahead)] == [merged, odd]


async def test_a_commit_that_origin_does_not_have_is_cannot_tell(team: Team, ours: MirrorRepositories) -> None:
    root = commit(team, {"a": LINES}, push="main")
    with pytest.raises(Unreachable):
        await ours.merge(team.repository(), root, ABSENT, MESSAGE)
    with pytest.raises(Refused, match="is no commit"):
        await ours.merge(team.repository(), root, Sha("main"), MESSAGE)


async def test_attributes_of_a_merge_rule_over_no_checkout(team: Team, ours: MirrorRepositories) -> None:
    plain = commit(team, {"a": LINES}, push="main")
    root = commit(team, {".gitattributes": b"a eol=crlf merge=union\n"}, on=plain)
    mine = commit(team, {"a": LINES + b"L\n"}, on=root, push="release")
    other = commit(team, {"a": LINES + b"R\n"}, on=root, push="feat")
    hub = team.repository()
    assert not isinstance(await ours.merge(hub, mine, other, MESSAGE), Conflict)
    async with ours.checkout(hub, plain) as tree:
        assert (tree / "a").read_bytes() == LINES
    left = [path.name for path in (team.folder / "state" / "worktrees").rglob("*attributes*")]
    assert left == []


async def test_merges_of_one_mirror_side_by_side_keep_their_attributes(team: Team, ours: MirrorRepositories) -> None:
    root = commit(team, {"a": LINES}, push="main")
    union = commit(team, {".gitattributes": b"a merge=union\n", "a": LINES + b"L\n"}, on=root, push="one")
    plain, other = (
        commit(team, {"a": LINES + b"P\n"}, on=root, push="two"),
        commit(team, {"a": LINES + b"R\n"}, on=root),
    )
    team.git("push", "-q", "origin", f"{other}:refs/heads/feat")
    hub = team.repository()
    await ours.branch_heads(hub, ("one", "two", "feat"))
    found = await asyncio.gather(*(ours.merge(hub, side, other, MESSAGE) for side in (union, plain) * 4))
    assert [isinstance(one, Conflict) for one in found] == [False, True] * 4


# ── what the queue asks besides ─────────────────────────────────────────────────────────────────────────────────────


async def test_many_branches_are_one_question_and_one_fetch(team: Team, tmp_path: Path) -> None:
    root = commit(team, {"a": LINES}, push="main")
    heads = {f"feat/{n}": commit(team, {f"f{n}": b""}, on=root, push=f"feat/{n}") for n in range(4)}
    processes, seen = ChildProcesses(tmp_path / "home", Secrets({}), os.environ), list[str]()
    processes.on_spawn = lambda argv: seen.extend(word for word in argv if word in ("ls-remote", "fetch"))
    ours = MirrorRepositories(processes, tmp_path / "state")
    assert await ours.branch_heads(team.repository(), [*heads, "nosuch"]) == heads
    assert await ours.branch_heads(team.repository(), []) == {}
    assert seen == ["ls-remote", "fetch"]


async def test_a_history_is_what_one_has_and_the_others_have_not(team: Team, ours: MirrorRepositories) -> None:
    root = commit(team, {"a": LINES}, push="main")
    mine = commit(team, {"b": b""}, on=root, push="release")
    other = commit(team, {"c": b""}, on=root, push="feat")
    hub = team.repository()
    made = await ours.merge(hub, mine, other, MESSAGE)
    assert not isinstance(made, Conflict)
    found = await ours.history(hub, made, root)
    assert found[0].sha == made and found[0].parents == (mine, other) and found[0].message == MESSAGE
    assert {one.sha for one in found} == {made, mine, other}
    assert [one.sha for one in await ours.history(hub, made, root, other)] == [made, mine]
    assert (await ours.history(hub, mine))[0].author == "Ada"
    assert await ours.relation(hub, made, other) is Relation.AHEAD
