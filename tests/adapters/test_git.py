"""Repositories over real git: real remotes on disk and over HTTP, real races, real deadlines."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.credentials import Secrets
from adapters.git import MirrorRepositories
from adapters.git_tokens import GitTokens
from adapters.process import ChildProcesses
from adapters.pushing import push_argv
from core.errors import Refused, StepFailed, Unreachable
from core.registry import Argv, Repository, Sha
from core.repositories import Relation, Repositories
from tests.world.git_server import Fault, GitServer
from tests.world.waiting import until

ABSENT = Sha("1" * 40)


class Team:
    """A person's clone and the origin they share with us, as bare repository `hub.git` in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.origin, self.clone = folder / "hub.git", folder / "clone"
        folder.mkdir(exist_ok=True)
        self.env = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
        for role in ("AUTHOR", "COMMITTER"):
            self.env |= {f"GIT_{role}_NAME": "Ada", f"GIT_{role}_EMAIL": "ada@localhost"}
            self.env[f"GIT_{role}_DATE"] = "1700000000 +0100"
        self.git("init", "-q", "--bare", "-b", "main", str(self.origin), at=folder)
        self.git("config", "http.receivepack", "true", at=self.origin)
        self.git("init", "-q", "-b", "main", str(self.clone), at=folder)
        self.git("remote", "add", "origin", str(self.origin))

    def git(self, *args: str, at: Path | None = None) -> str:
        argv = ("git", *args)
        done = subprocess.run(argv, cwd=at or self.clone, env=self.env, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self, message: str = "work", *, push: str = "", on: str = "", **files: str) -> Sha:
        """A commit with `files` (`__` stands for /), on top of `on`; pushed as branch `push`."""
        if on:
            self.git("checkout", "-q", "--detach", on)
        for name, text in files.items():
            path = self.clone / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        if push:
            self.git("push", "-q", "origin", f"HEAD:refs/heads/{push}")
        return Sha(self.git("rev-parse", "HEAD"))

    def head(self, branch: str) -> str:
        return self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}", at=self.origin)

    def hook(self, name: str, script: str) -> None:
        path = self.origin / "hooks" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def repository(self, url: str = "") -> Repository:
        return Repository(name="hub", url=url or str(self.origin))


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


@pytest.fixture
def hub(team: Team) -> Repository:
    return team.repository()


@pytest.fixture
def processes(tmp_path: Path) -> ChildProcesses:
    return ChildProcesses(tmp_path / "home", Secrets({}), os.environ)


@pytest.fixture
def ours(tmp_path: Path, processes: ChildProcesses) -> MirrorRepositories:
    return MirrorRepositories(processes, tmp_path / "state")


@pytest.fixture
async def server(team: Team) -> AsyncGenerator[GitServer]:
    async with GitServer(team.folder) as server:
        yield server


def spawned(processes: ChildProcesses) -> list[Argv]:
    seen: list[Argv] = []
    processes.on_spawn = seen.append
    return seen


# ── looking ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_is_what_the_core_asks_for(ours: MirrorRepositories) -> None:
    _: Repositories = ours


async def test_a_branch_is_where_origin_says_now(team: Team, hub: Repository, ours: MirrorRepositories) -> None:
    first = team.commit(push="main")
    assert await ours.branch_head(hub, "main") == first
    second = team.commit(push="main")
    assert await ours.branch_head(hub, "main") == second
    assert await ours.relation(hub, second, first) is Relation.AHEAD


async def test_a_missing_and_a_deleted_branch_are_not_there(
    team: Team, hub: Repository, ours: MirrorRepositories
) -> None:
    assert await ours.branch_head(hub, "main") is None
    team.commit(push="release/1")
    assert await ours.branch_head(hub, "release") is None
    assert await ours.branch_head(hub, "1") is None
    assert await ours.branch_head(hub, "release/1")
    team.git("push", "-q", "origin", ":release/1")
    assert await ours.branch_head(hub, "release/1") is None


async def test_a_branch_may_take_the_place_of_a_folder_of_branches(
    team: Team, hub: Repository, ours: MirrorRepositories
) -> None:
    team.commit(push="release/1")
    await ours.branch_head(hub, "release/1")
    team.git("push", "-q", "origin", ":release/1")
    now = team.commit(push="release")
    assert await ours.branch_head(hub, "release") == now


async def test_a_branch_that_was_forced_back_is_reported_where_it_is(
    team: Team, hub: Repository, ours: MirrorRepositories
) -> None:
    first, second = team.commit(push="main"), team.commit(push="main")
    assert await ours.branch_head(hub, "main") == second
    team.git("push", "-qf", "origin", f"{first}:refs/heads/main")
    assert await ours.branch_head(hub, "main") == first


@pytest.mark.parametrize("branch", ["--upload-pack=touch owned", "-main", "", "a b", "rel*", "main:other", "a^{}"])
async def test_a_branch_that_looks_like_something_else_is_refused(
    branch: str, hub: Repository, ours: MirrorRepositories
) -> None:
    with pytest.raises(Refused, match="git may not be given"):
        await ours.branch_head(hub, branch)


async def test_an_url_that_is_an_option_runs_nothing(team: Team, ours: MirrorRepositories) -> None:
    first = team.commit()
    evil = team.repository(f"--upload-pack=touch {team.folder}/owned")
    for attempt in (ours.branch_head(evil, "main"), ours.read(evil, first, "x"), ours.push_to(evil, first, "-x", "y")):
        with pytest.raises(Refused):
            await attempt
    with pytest.raises(Unreachable):
        await ours.branch_head(team.repository(f"ext::touch {team.folder}/owned"), "main")
    assert not (team.folder / "owned").exists()


async def test_an_origin_that_is_not_there_is_cannot_tell(team: Team, ours: MirrorRepositories) -> None:
    with pytest.raises(Unreachable, match="does not appear to be a git repository"):
        await ours.branch_head(team.repository(str(team.folder / "gone.git")), "main")


async def test_a_server_that_never_answers_hits_the_deadline(
    team: Team, server: GitServer, processes: ChildProcesses
) -> None:
    server.is_silent = True
    ours, began = MirrorRepositories(processes, team.folder / "state", network_seconds=1), time.monotonic()
    with pytest.raises(Unreachable, match="still running after 1 s"):
        await ours.branch_head(team.repository(f"{server.url}/hub.git"), "main")
    assert time.monotonic() - began < 5


async def test_a_tag_names_the_commit_not_the_tag_object(team: Team, hub: Repository, ours: MirrorRepositories) -> None:
    commit = team.commit(push="main")
    team.git("tag", "-a", "-m", "x", "v1")
    team.git("tag", "light")
    team.git("push", "-q", "origin", "v1", "light")
    assert await ours.tag_commit(hub, "v1") == commit
    assert await ours.tag_commit(hub, "light") == commit
    assert await ours.tag_commit(hub, "v") is None


# ── relations ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_five_answers_never_two(team: Team, hub: Repository, ours: MirrorRepositories) -> None:
    base = team.commit(push="main")
    left, right = team.commit("left", push="left", on=base), team.commit("right", push="right", on=base)
    assert await ours.relation(hub, base, base) is Relation.EQUAL
    assert await ours.relation(hub, left, base) is Relation.AHEAD
    assert await ours.relation(hub, base, right) is Relation.BEHIND
    assert await ours.relation(hub, left, right) is Relation.DIVERGED
    for pair in ((ABSENT, base), (base, ABSENT), (ABSENT, ABSENT)):
        assert await ours.relation(hub, *pair) is Relation.UNKNOWN


OPPOSITE = {Relation.AHEAD: Relation.BEHIND, Relation.BEHIND: Relation.AHEAD}


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, 99), min_size=1, max_size=5))
def test_relations_agree_with_the_history_whatever_it_is(parents: list[int]) -> None:
    """`parents[i]` picks the parent of commit i + 1 among those before it."""

    async def check(folder: Path) -> None:
        team = Team(folder)
        ours = MirrorRepositories(ChildProcesses(folder, Secrets({}), os.environ), folder / "state")
        commits, above = [team.commit("0", push="b0")], [{0}]
        for index, parent in enumerate(parents, start=1):
            on = parent % index
            commits.append(team.commit(str(index), push=f"b{index}", on=commits[on]))
            above.append({index} | above[on])
        last = len(commits) - 1
        for other in range(len(commits)):
            found = await ours.relation(team.repository(), commits[last], commits[other])
            ahead, behind = other in above[last], last in above[other]
            expected = {(True, True): Relation.EQUAL, (True, False): Relation.AHEAD, (False, True): Relation.BEHIND}
            assert found is expected.get((ahead, behind), Relation.DIVERGED)
            back = await ours.relation(team.repository(), commits[other], commits[last])
            assert back is OPPOSITE.get(found, found)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(check(Path(folder)))


# ── reading at a commit ────────────────────────────────────────────────────────────────────────────────────────────


async def test_files_are_read_at_the_commit_that_ships(team: Team, hub: Repository, ours: MirrorRepositories) -> None:
    """And a machine that never saw the commit asks origin for it."""
    old = team.commit(push="main", version__file="1.0.0", VERSION="1.0.0\n")
    new = team.commit(push="main", version__file="1.1.0", VERSION="1.1.0\r\n")
    assert await ours.read(hub, old, "version/file") == b"1.0.0"
    assert await ours.read(hub, new, "VERSION") == b"1.1.0\r\n"
    for nothing in ("version", "version/none", "VERSION/below", "../VERSION", "/VERSION", ""):
        assert await ours.read(hub, new, nothing) is None
    assert await ours.parents(hub, new) == (old,)
    assert await ours.parents(hub, old) == ()
    assert await ours.commit_epoch(hub, old) == 1_700_000_000


async def test_a_commit_that_origin_does_not_have_is_cannot_tell(
    team: Team, hub: Repository, ours: MirrorRepositories
) -> None:
    team.commit(push="main")
    with pytest.raises(Unreachable):
        await ours.read(hub, ABSENT, "VERSION")
    with pytest.raises(Refused, match="is no commit"):
        await ours.read(hub, Sha("main"), "VERSION")


async def test_changed_paths_name_both_ends_of_a_rename(team: Team, hub: Repository, ours: MirrorRepositories) -> None:
    old = team.commit(a__old="a text that is long enough to be recognised\n" * 9, gone="1", same="1")
    team.git("mv", "a/old", "new ünder")
    team.git("rm", "-q", "gone")
    new = team.commit(push="main", added="1")
    assert await ours.changed_paths(hub, old, new) == {"a/old", "new ünder", "gone", "added"}
    assert await ours.changed_paths(hub, new, new) == set()


async def test_reading_leaves_no_git_process_behind(team: Team, hub: Repository, ours: MirrorRepositories) -> None:
    commit = team.commit(push="main", VERSION="1")
    await asyncio.gather(*(ours.read(hub, commit, "VERSION") for _ in range(20)))
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    if not children.exists():
        pytest.skip("needs /proc to count children")
    names = lambda: [Path(f"/proc/{pid}/comm").read_text() for pid in children.read_text().split()]  # noqa: E731
    await until(lambda: "git\n" not in names())


# ── mirrors ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_twenty_fetches_at_once_all_succeed(team: Team, hub: Repository, ours: MirrorRepositories) -> None:
    """In two processes' worth of instances, which share the folder."""
    commits = [team.commit(str(number), push=f"b{number}", VERSION=str(number)) for number in range(20)]
    theirs = MirrorRepositories(ChildProcesses(team.folder, Secrets({}), os.environ), team.folder / "state")
    heads = (one.branch_head(hub, f"b{number}") for number in range(20) for one in (ours, theirs))
    assert await asyncio.gather(*heads) == [commit for commit in commits for _ in range(2)]


async def test_what_is_known_is_not_fetched_again(
    team: Team, hub: Repository, ours: MirrorRepositories, processes: ChildProcesses
) -> None:
    commit = team.commit(push="main")
    seen = spawned(processes)
    await asyncio.gather(*(ours.read(hub, commit, "x") for _ in range(5)))
    assert sum("fetch" in argv for argv in seen) == 1


async def test_a_half_made_mirror_is_made_again(team: Team, hub: Repository, ours: MirrorRepositories) -> None:
    commit = team.commit(push="main")
    for left in ("mirrors/hub.git/objects", "mirrors/hub.new/refs"):
        (team.folder / "state" / left).mkdir(parents=True)
    assert await ours.branch_head(hub, "main") == commit


async def test_a_lock_that_a_killed_fetch_left_is_forgotten(
    team: Team, hub: Repository, ours: MirrorRepositories, processes: ChildProcesses
) -> None:
    team.commit(push="main")
    await ours.branch_head(hub, "main")
    commit = team.commit(push="main")
    (team.folder / f"state/mirrors/hub.git/refs/kept/{commit}.lock").touch()
    assert await MirrorRepositories(processes, team.folder / "state").branch_head(hub, "main") == commit


async def test_a_mirror_that_somebody_removed_is_made_again(
    team: Team, hub: Repository, ours: MirrorRepositories
) -> None:
    commit = team.commit(push="main")
    await ours.branch_head(hub, "main")
    (team.folder / "state/mirrors/hub.git").rename(team.folder / "moved")
    assert await ours.branch_head(hub, "main") == commit


async def test_the_folder_may_be_named_from_where_we_are(
    team: Team, hub: Repository, processes: ChildProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = team.commit(push="main", VERSION="1")
    monkeypatch.chdir(team.folder)
    ours = MirrorRepositories(processes, Path("state"))
    async with ours.checkout(hub, commit) as tree:
        assert (tree / "VERSION").read_bytes() == await ours.read(hub, commit, "VERSION") == b"1"


async def test_a_scoped_name_is_one_folder(team: Team, ours: MirrorRepositories) -> None:
    commit = team.commit(push="main")
    assert await ours.branch_head(Repository(name="@acme/../x", url=str(team.origin)), "main") == commit
    mirrors = [path.name for path in (team.folder / "state/mirrors").iterdir() if path.is_dir()]
    assert mirrors == ["%40acme%2F..%2Fx.git"]


async def test_the_environment_of_a_hook_leads_nowhere_else(
    team: Team, hub: Repository, ours: MirrorRepositories, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = team.commit(push="main", VERSION="1.0.0")
    other = Team(team.folder / "other")
    for name in ("GIT_DIR", "GIT_COMMON_DIR"):
        monkeypatch.setenv(name, str(other.origin))
    for name in ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH"):
        monkeypatch.setenv(name, str(other.origin / "objects"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(team.folder / "index"))
    assert await ours.branch_head(hub, "main") == commit
    assert await ours.read(hub, commit, "VERSION") == b"1.0.0"
    made = await ours.derive(hub, commit, {"VERSION": b"1.1.0"}, "Bump")
    assert await ours.changed_paths(hub, commit, made) == {"VERSION"}
    async with ours.checkout(hub, made) as tree:
        assert (tree / "VERSION").read_text() == "1.1.0"
    await ours.push(hub, made, "main", expected=commit)
    assert team.head("main") == made
    assert not (team.folder / "index").exists()


async def test_the_configuration_of_a_person_is_not_read(
    team: Team, hub: Repository, ours: MirrorRepositories, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = team.commit(push="main")
    (team.folder / "home").mkdir()
    config = f'[url "/nowhere/"]\n\tinsteadOf = {team.folder}/\n[user]\n\tname = Eve\n[core]\n\thooksPath = /nowhere\n'
    (team.folder / "home/.gitconfig").write_text(config)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(team.folder / "home/.gitconfig"))
    monkeypatch.setenv("HOME", str(team.folder / "home"))
    assert await ours.branch_head(hub, "main") == commit
    assert await ours.parents(hub, await ours.derive(hub, commit, {"a": b""}, "x")) == (commit,)


async def test_a_hook_that_a_tool_installed_in_a_worktree_never_runs_for_us(
    team: Team, hub: Repository, ours: MirrorRepositories
) -> None:
    """`npm install` of a repository with husky writes core.hooksPath into the mirror's configuration."""
    commit = team.commit(push="main")
    hooks = team.folder / "husky"
    hooks.mkdir()
    for name in ("pre-push", "post-checkout", "reference-transaction"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {team.folder}/owned\nexit 1\n")
        (hooks / name).chmod(0o755)
    async with ours.checkout(hub, commit) as tree:
        team.git("config", "core.hooksPath", str(hooks), at=tree)
    made = await ours.derive(hub, commit, {"a": b""}, "x")
    await ours.push(hub, made, "main", expected=commit)
    async with ours.checkout(hub, made):
        assert not (team.folder / "owned").exists()


# ── worktrees ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_two_worktrees_at_once_know_nothing_of_each_other(
    team: Team, hub: Repository, ours: MirrorRepositories
) -> None:
    old, new = team.commit(push="main", VERSION="1"), team.commit(push="main", VERSION="2")
    async with ours.checkout(hub, old) as one, ours.checkout(hub, new) as two, ours.checkout(hub, old) as three:
        (one / "VERSION").write_text("dirty")
        (one / "untracked").write_text("dirty")
        assert (two / "VERSION").read_text() == "2"
        assert (three / "VERSION").read_text() == "1"
        assert team.git("status", "--porcelain", at=two) == team.git("status", "--porcelain", at=three) == ""
        assert team.git("rev-parse", "HEAD", at=two) == new
        assert team.git("rev-parse", "--abbrev-ref", "HEAD", at=two) == "HEAD"
    assert not (one.exists() or two.exists() or three.exists())


async def test_a_worktree_is_gone_after_a_failure_whatever_was_done_to_it(
    team: Team, hub: Repository, ours: MirrorRepositories
) -> None:
    commit, tree = team.commit(push="main", VERSION="1"), Path()
    with pytest.raises(ZeroDivisionError):
        async with ours.checkout(hub, commit) as tree:
            shutil.rmtree(tree / ".git")
            (tree / "cache").mkdir()
            (tree / "cache/module").touch()
            (tree / "cache").chmod(0o500)
            raise ZeroDivisionError
    assert not tree.exists()


async def test_a_worktree_is_gone_after_a_cancellation(team: Team, hub: Repository, ours: MirrorRepositories) -> None:
    commit, entered, trees = team.commit(push="main"), asyncio.Event(), list[Path]()

    async def work() -> None:
        async with ours.checkout(hub, commit) as tree:
            trees.append(tree)
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await entered.wait()
    assert trees[0].exists()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not trees[0].exists()


async def test_a_commit_that_is_not_there_gives_no_worktree(
    team: Team, hub: Repository, ours: MirrorRepositories
) -> None:
    with pytest.raises(Unreachable):
        async with ours.checkout(hub, ABSENT):
            pytest.fail("there is nothing to look at")


HOLDER = """
import asyncio, os, sys
from pathlib import Path
from adapters.credentials import Secrets
from adapters.git import MirrorRepositories
from adapters.process import ChildProcesses
from core.registry import Repository

async def hold(folder, origin, commit):
    ours = MirrorRepositories(ChildProcesses(folder, Secrets({}), os.environ), folder / "state")
    async with ours.checkout(Repository(name="hub", url=origin), commit) as tree:
        print(tree, flush=True)
        await asyncio.Event().wait()

asyncio.run(hold(Path(sys.argv[1]), *sys.argv[2:]))
"""


async def end(holder: asyncio.subprocess.Process) -> None:
    if holder.returncode is None:
        holder.send_signal(signal.SIGKILL)
    await holder.wait()


async def test_worktrees_of_the_dead_are_removed_and_those_of_the_living_are_not(
    team: Team, hub: Repository, ours: MirrorRepositories
) -> None:
    commit = team.commit(push="main")
    argv = (sys.executable, "-c", HOLDER, str(team.folder), str(team.origin), commit)
    async with AsyncExitStack() as stack:
        holders: list[asyncio.subprocess.Process] = []
        for _ in range(2):
            holder = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
            stack.push_async_callback(end, holder)
            holders.append(holder)
        trees = [Path((await one.stdout.readline()).decode().strip()) for one in holders if one.stdout]
        await end(holders[0])
        await ours.branch_head(hub, "main")
        assert [tree.exists() for tree in trees] == [False, True]
        assert str(holders[1].pid) == trees[1].parent.parent.name.split("-")[0]


# ── deriving ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_same_input_derives_the_same_commit_on_any_machine(
    team: Team, hub: Repository, ours: MirrorRepositories, processes: ChildProcesses
) -> None:
    (team.clone / "bin").mkdir()
    (team.clone / "bin/setup").write_text("old")
    (team.clone / "bin/setup").chmod(0o755)
    parent = team.commit(push="main", app__deep__lock="old", other="same")
    files = {"bin/setup": b"new", "app/deep/lock": b"new\r\n", "new/päth": b"", "-odd": b"x", 'a "\\b': b"\0y"}
    made = await ours.derive(hub, parent, files, "Pin widgetry 1.2.0\n\nBecause.")
    elsewhere = MirrorRepositories(processes, team.folder / "other machine")
    assert await elsewhere.derive(hub, parent, dict(reversed(files.items())), "Pin widgetry 1.2.0\n\nBecause.") == made
    assert await ours.derive(hub, parent, files, "Other words") != made

    assert await ours.parents(hub, made) == (parent,)
    assert await ours.commit_epoch(hub, made) == 1_700_000_001
    assert await ours.changed_paths(hub, parent, made) == set(files)
    assert {path: await ours.read(hub, made, path) for path in files} == files
    mirror = team.folder / "state/mirrors/hub.git"
    assert team.git("ls-tree", made, "bin/setup", at=mirror).split()[0] == "100755"
    assert team.git("log", "-1", "--format=%an <%ae> %cn %s %at", made, at=mirror) == (
        "Stationmaster <stationmaster@localhost> Stationmaster Pin widgetry 1.2.0 1700000001"
    )
    assert not team.git("for-each-ref", "refs/derived", at=mirror)
    assert team.head("main") == parent
    team.git("fsck", "--strict", made, at=mirror)


@pytest.mark.parametrize(
    ("attributes", "written", "stored"),
    [
        ("* text eol=crlf", b"one\r\ntwo\r\n", b"one\ntwo\n"),
        ("* text=auto eol=crlf", b"one\r\ntwo\r\n", b"one\ntwo\n"),
        ("* -text", b"one\r\ntwo\n", b"one\r\ntwo\n"),
        ("", b"one\r\ntwo\n\xff", b"one\r\ntwo\n\xff"),
        ("Gemfile* text working-tree-encoding=UTF-16", "\ufeffé\n".encode("utf-16-le"), "é\n".encode()),
        ("Gemfile* ident", b"$Id: 1234 $\n", b"$Id$\n"),
    ],
)
async def test_a_derived_commit_stores_what_git_add_would_have_stored(
    attributes: str, written: bytes, stored: bytes, team: Team, hub: Repository, ours: MirrorRepositories
) -> None:
    (team.clone / ".gitattributes").write_text(f"{attributes}\n")
    parent = team.commit(push="main", other="x")
    made = await ours.derive(hub, parent, {"Gemfile": written, "app/Gemfile.lock": written}, "x")
    assert await ours.read(hub, made, "Gemfile") == stored
    assert await ours.read(hub, made, "app/Gemfile.lock") == stored
    assert await ours.changed_paths(hub, parent, made) == {"Gemfile", "app/Gemfile.lock"}


@pytest.mark.parametrize("path", ["../evil", "app", "app/lock/below", ".git/config", ".", "a//b"])
async def test_a_derived_commit_has_what_was_asked_and_nothing_else(
    path: str, team: Team, hub: Repository, ours: MirrorRepositories
) -> None:
    """git drops an impossible path with exit code 0, and lets a file take the place of a folder."""
    parent = team.commit(push="main", app__lock="old")
    with pytest.raises(StepFailed):
        await ours.derive(hub, parent, {path: b"x"}, "x")


# ── pushing ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_push_moves_the_branch_once_and_again_is_success(
    team: Team, hub: Repository, ours: MirrorRepositories, processes: ChildProcesses
) -> None:
    first, second = team.commit(push="main"), team.commit(push="next")
    seen = spawned(processes)
    await ours.push(hub, second, "main", expected=first)
    assert team.head("main") == second
    await ours.push(hub, second, "main", expected=first)
    assert team.head("main") == second
    assert not any("-f" in argv or "--force" in argv or f"+{second}:refs/heads/main" in argv for argv in seen)


async def test_a_push_creates_a_branch_only_where_there_is_none(
    team: Team, hub: Repository, ours: MirrorRepositories
) -> None:
    first, second = team.commit(push="main"), team.commit(push="next")
    await ours.push(hub, first, "release", expected=None)
    assert team.head("release") == first
    with pytest.raises(StepFailed, match="expected no such branch, found"):
        await ours.push(hub, second, "release", expected=None)
    assert team.head("release") == first


async def test_of_two_pushers_one_wins_and_the_other_is_told_how_it_stands(
    team: Team, hub: Repository, ours: MirrorRepositories, processes: ChildProcesses
) -> None:
    base = team.commit(push="main")
    theirs = MirrorRepositories(processes, team.folder / "other machine")
    one = await ours.derive(hub, base, {"a": b"1"}, "one")
    two = await theirs.derive(hub, base, {"a": b"2"}, "two")
    team.hook(
        "pre-receive",
        f"""
        touch {team.folder}/in-$$
        while [ $(ls {team.folder} | grep -c '^in-') -lt 2 ]; do sleep 0.01; done""",
    )  # both are past their look
    pushes = (ours.push(hub, one, "main", expected=base), theirs.push(hub, two, "main", expected=base))
    results = await asyncio.gather(*pushes, return_exceptions=True)
    winner, loser = (one, two) if results[0] is None else (two, one)
    assert team.head("main") == winner
    (lost,) = [result for result in results if result]
    assert isinstance(lost, StepFailed)
    reason = lost.reasons[0]
    assert reason.what == "main of hub has moved"
    assert f"expected {base}, found {winner}" in reason.why and f"diverged to {loser}" in reason.why
    assert "force" not in str(lost)


async def test_advice_fits_how_the_branch_stands(team: Team, hub: Repository, ours: MirrorRepositories) -> None:
    older = team.commit(push="main")
    expected = team.commit(push="main")
    commit = team.commit(push="ours")
    beyond = team.commit(push="beyond")
    aside = team.commit("aside", push="aside", on=older)
    for found, words in (
        (beyond, "contains this commit already"),
        (older, "somebody moved it"),
        (aside, "bring what is there into the release branch"),
    ):
        team.git("push", "-qf", "origin", f"{found}:refs/heads/main")
        with pytest.raises(StepFailed, match=words) as caught:
            await ours.push(hub, commit, "main", expected=expected)
        assert f"expected {expected}, found {found}" in caught.value.reasons[0].why
        assert "force" not in str(caught.value)
        assert team.head("main") == found
    team.git("update-ref", "-d", "refs/heads/main", at=team.origin)
    with pytest.raises(StepFailed, match="put the branch back") as caught:
        await ours.push(hub, commit, "main", expected=expected)
    assert "found no such branch" in caught.value.reasons[0].why


async def test_a_commit_that_does_not_contain_the_branch_never_replaces_it(
    team: Team, hub: Repository, ours: MirrorRepositories
) -> None:
    """The lease alone would let it through."""
    base = team.commit(push="base")
    main, aside = team.commit("main", push="main"), team.commit("aside", push="aside", on=base)
    for commit in (aside, base):
        with pytest.raises(StepFailed, match="does not contain"):
            await ours.push(hub, commit, "main", expected=main)
    assert team.head("main") == main


async def test_a_refusal_of_origin_is_told_in_its_words(team: Team, hub: Repository, ours: MirrorRepositories) -> None:
    first, second = team.commit(push="main"), team.commit(push="next")
    team.hook("pre-receive", "echo 'main is protected by the owls'; exit 1")
    with pytest.raises(StepFailed, match="protected by the owls") as caught:
        await ours.push(hub, second, "main", expected=first)
    assert "pre-receive hook declined" in caught.value.reasons[0].why
    assert team.head("main") == first


async def test_a_push_over_http_whose_answer_was_lost_did_happen(
    team: Team, server: GitServer, ours: MirrorRepositories
) -> None:
    hub = team.repository(f"{server.url}/hub.git")
    first, second = team.commit(push="main"), team.commit(push="next")
    server.faults.append("lose the answer")
    await ours.push(hub, second, "main", expected=first)
    assert (team.head("main"), server.pushes) == (second, 1)


async def test_a_push_that_curl_repeated_is_not_taken_for_a_race(
    team: Team, server: GitServer, ours: MirrorRepositories
) -> None:
    """The repetition is refused, because the first one did it."""
    hub = team.repository(f"{server.url}/hub.git")
    first, second = team.commit(push="main"), team.commit(push="next")
    server.faults.append("hang up")
    await ours.push(hub, second, "main", expected=first)
    assert (team.head("main"), server.pushes) == (second, 2)


async def test_somebody_who_builds_upon_our_push_does_not_make_it_fail(
    team: Team, hub: Repository, ours: MirrorRepositories
) -> None:
    first, second, third = team.commit(push="main"), team.commit(push="next"), team.commit(push="later")
    team.hook("post-receive", f"git update-ref refs/heads/main {third}")
    await ours.push(hub, second, "main", expected=first)
    assert team.head("main") == third


async def test_a_push_that_never_arrived_is_no_success(team: Team, server: GitServer, ours: MirrorRepositories) -> None:
    """git prints `Done` for it."""
    hub = team.repository(f"{server.url}/hub.git")
    first, second = team.commit(push="main"), team.commit(push="next")
    server.faults.append("unavailable")
    with pytest.raises(Unreachable, match="503"):
        await ours.push(hub, second, "main", expected=first)
    assert team.head("main") == first
    await ours.push(hub, second, "main", expected=first)
    assert team.head("main") == second


async def test_an_origin_that_is_silent_after_the_push_leaves_it_open(
    team: Team, server: GitServer, processes: ChildProcesses
) -> None:
    ours = MirrorRepositories(processes, team.folder / "state", network_seconds=2)
    hub = team.repository(f"{server.url}/hub.git")
    first, second = team.commit(push="main"), team.commit(push="next")
    await ours.branch_head(hub, "next")

    def fall_silent(argv: Argv) -> None:
        server.is_silent = server.is_silent or "push" in argv

    processes.on_spawn = fall_silent
    with pytest.raises(Unreachable, match="still running after 2 s"):
        await ours.push(hub, second, "main", expected=first)


# ── tags ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_tag_is_put_once_and_is_the_same_object_from_any_machine(
    team: Team, hub: Repository, ours: MirrorRepositories, processes: ChildProcesses
) -> None:
    commit = team.commit(push="main")
    await ours.push_tag(hub, "v1.0.0", commit)
    assert await ours.tag_commit(hub, "v1.0.0") == commit
    tag = team.git("rev-parse", "refs/tags/v1.0.0", at=team.origin)
    assert team.git("cat-file", "-t", tag, at=team.origin) == "tag"
    assert "tagger Stationmaster <stationmaster@localhost> 1700000000 +0000" in team.git(
        "cat-file", "-p", tag, at=team.origin
    )
    await ours.push_tag(hub, "v1.0.0", commit)
    team.git("push", "-q", "origin", ":refs/tags/v1.0.0")
    await MirrorRepositories(processes, team.folder / "other machine").push_tag(hub, "v1.0.0", commit)
    assert team.git("rev-parse", "refs/tags/v1.0.0", at=team.origin) == tag


async def test_a_tag_of_another_commit_stays_where_it_is(team: Team, hub: Repository, ours: MirrorRepositories) -> None:
    first, second = team.commit(push="main"), team.commit(push="main")
    await ours.push_tag(hub, "v1", first)
    with pytest.raises(StepFailed, match=f"expected {second}, found {first}"):
        await ours.push_tag(hub, "v1", second)
    assert await ours.tag_commit(hub, "v1") == first


async def test_a_tag_whose_answer_was_lost_is_there(team: Team, server: GitServer, ours: MirrorRepositories) -> None:
    hub, commit = team.repository(f"{server.url}/hub.git"), team.commit(push="main")
    server.faults.append("lose the answer")
    await ours.push_tag(hub, "v1", commit)
    assert await ours.tag_commit(hub, "v1") == commit


async def test_a_tag_that_origin_refuses_says_why(team: Team, hub: Repository, ours: MirrorRepositories) -> None:
    commit = team.commit(push="main")
    team.hook("pre-receive", "echo 'no tags on fridays'; exit 1")
    with pytest.raises(StepFailed, match="no tags on fridays"):
        await ours.push_tag(hub, "v1", commit)


# ── pushing to a platform ──────────────────────────────────────────────────────────────────────────────────────────


def test_the_push_that_is_shown_is_plain() -> None:
    assert push_argv("https://git.example/hub.git", "abc", "main") == (
        ("git", "push", "--porcelain", "--end-of-options", "https://git.example/hub.git", "abc:refs/heads/main")
    )


async def test_what_was_shown_is_what_runs_and_the_log_has_its_words(
    team: Team, hub: Repository, ours: MirrorRepositories, processes: ChildProcesses
) -> None:
    commit, platform, log = team.commit(push="main"), str(team.folder / "app.git"), team.folder / "log"
    team.git("clone", "-q", "--bare", "--no-tags", str(team.origin), platform, at=team.folder)
    team.git("update-ref", "-d", "refs/heads/main", at=Path(platform))
    (Path(platform) / "hooks/post-receive").write_text("#!/bin/sh\necho building your app\n")
    (Path(platform) / "hooks/post-receive").chmod(0o755)
    seen = spawned(processes)
    assert await ours.head_of(hub, platform, "main") is None
    report = await ours.push_to(hub, commit, platform, "main", log=log)
    assert (report.status, report.summary) == ("moved", "[new branch]")
    assert "remote: building your app" in report.stderr and "remote: building your app" in log.read_text()
    assert await ours.head_of(hub, platform, "main") == commit
    assert push_argv(platform, commit, "main") in seen
    assert (await ours.push_to(hub, commit, platform, "main")).status == "up to date"


async def test_a_platform_that_is_elsewhere_rejects(team: Team, hub: Repository, ours: MirrorRepositories) -> None:
    base = team.commit(push="main")
    team.commit("theirs", push="main")
    aside = team.commit("aside", push="aside", on=base)
    report = await ours.push_to(hub, aside, str(team.origin), "main")
    assert (report.status, report.summary) == ("rejected", "[rejected] (fetch first)")


@pytest.mark.parametrize("fault", ["unavailable", "lose the answer", "hang up"])
async def test_a_push_to_a_platform_without_a_verdict_is_unknown(
    fault: Fault, team: Team, server: GitServer, ours: MirrorRepositories
) -> None:
    hub, commit, url = team.repository(), team.commit(push="next"), f"{server.url}/hub.git"
    server.faults.append(fault)
    report = await ours.push_to(hub, commit, url, "main")
    assert report.status == "unknown" and report.summary
    assert await ours.head_of(hub, url, "main") == (None if fault == "unavailable" else commit)


async def test_a_platform_that_is_not_there_got_nothing(team: Team, hub: Repository, ours: MirrorRepositories) -> None:
    commit = team.commit(push="main")
    report = await ours.push_to(hub, commit, str(team.folder / "gone.git"), "main")
    assert report.status == "not sent" and "does not appear to be a git repository" in report.summary


async def test_a_platform_gets_its_credentials_and_its_own_configuration(
    team: Team, hub: Repository, processes: ChildProcesses
) -> None:
    commit, config = team.commit(push="next"), team.folder / "platform.config"
    config.write_text(f'[url "{team.folder}/"]\n\tinsteadOf = https://git.example/\n')
    ours = MirrorRepositories(processes, team.folder / "state")
    env = {"GIT_CONFIG_GLOBAL": str(config)}
    assert (await ours.push_to(hub, commit, "https://git.example/hub.git", "main", env=env)).status == "moved"
    assert await ours.head_of(hub, "https://git.example/hub.git", "main", env=env) == commit


# ── private repositories over HTTPS ────────────────────────────────────────────────────────────────────────────────

TOKEN = "ghp_a-token-that-nobody-shows"


def private(team: Team, processes: ChildProcesses, names: dict[str, str]) -> MirrorRepositories:
    tokens = GitTokens(names, Secrets({"TEAM_TOKEN": TOKEN, "OLD_TOKEN": "expired-token"}))
    return MirrorRepositories(processes, team.folder / "state", tokens=tokens)


async def test_a_private_repository_is_read_and_pushed_with_the_token_of_its_host(
    team: Team, processes: ChildProcesses
) -> None:
    """helper, netrc and ASKPASS are all ignored by design, and there was no other way in."""
    commit = team.commit(push="main", VERSION="1")
    team.git("config", "http.receivepack", "true", at=team.origin)
    seen: list[dict[str, str]] = []
    async with GitServer(team.folder) as server:
        server.password = TOKEN
        hub = Repository(name="hub", url=f"{server.url}/{team.origin.name}")
        host = server.url.partition("://")[2]
        ours = private(team, processes, {host: "TEAM_TOKEN"})
        processes.on_spawn = lambda argv: seen.append(_shown(argv))
        assert await ours.branch_head(hub, "main") == commit
        made = await ours.derive(hub, commit, {"VERSION": b"2"}, "Bump")
        await ours.push(hub, made, "main", expected=commit)
        async with ours.checkout(hub, made) as tree:
            assert (tree / "VERSION").read_text() == "2"
            assert TOKEN not in (tree / ".git/config").read_text()
    assert set(server.users) == {"x-access-token"}
    assert seen and not [one for one in seen if TOKEN in str(one)]
    assert not [
        path for path in (team.folder / "state").rglob("*") if path.is_file() and TOKEN in path.read_text("latin-1")
    ]


async def test_the_token_of_a_repository_comes_before_that_of_its_host(team: Team, processes: ChildProcesses) -> None:
    commit = team.commit(push="main")
    async with GitServer(team.folder) as server:
        server.password = TOKEN
        host, name = server.url.partition("://")[2], team.origin.name
        ours = private(team, processes, {host: "OLD_TOKEN", f"{host}/{name}": "TEAM_TOKEN"})
        assert await ours.branch_head(Repository(name="hub", url=f"{server.url}/{name}"), "main") == commit


def _shown(argv: Argv) -> dict[str, str]:
    """What anybody on this machine can read of the child that was just started."""
    found = {"argv": " ".join(argv)}
    for place in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            with suppress(OSError):
                if int((place / "stat").read_text().rpartition(")")[2].split()[1]) == os.getpid():
                    found[f"{place.name} {name}"] = (place / name).read_bytes().decode("latin-1")
    return found


@pytest.mark.parametrize(
    ("names", "password", "next_"),
    [
        ({}, TOKEN, "token_env: GIT_TOKEN"),
        ({"HOST": "UNSET_TOKEN"}, TOKEN, "give UNSET_TOKEN a token"),
        ({"HOST": "OLD_TOKEN"}, TOKEN, "give OLD_TOKEN a token"),
        ({"HOST/other": "TEAM_TOKEN"}, TOKEN, "token_env: GIT_TOKEN"),
        ({"example.com": "TEAM_TOKEN"}, TOKEN, "token_env: GIT_TOKEN"),
    ],
)
async def test_a_host_that_wants_to_know_who_asks_is_no_riddle(
    team: Team, processes: ChildProcesses, names: dict[str, str], password: str, next_: str
) -> None:
    """The refusal said "check the url", and named a variable that does not exist."""
    team.commit(push="main")
    async with GitServer(team.folder) as server:
        server.password = password
        host = server.url.partition("://")[2]
        named = {key.replace("HOST", host): value for key, value in names.items()}
        hub = Repository(name="hub", url=f"{server.url}/{team.origin.name}")
        with pytest.raises(Refused) as refused:
            await private(team, processes, named).branch_head(hub, "main")
    assert refused.value.reasons[0].what == "hub may not be read"
    assert next_ in refused.value.reasons[0].next
    assert TOKEN not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://github.com/acme/hub.git", "GITHUB"),
        ("https://ada@github.com/acme/hub.git", "GITHUB"),
        ("https://github.com/secret/x", "SECRET"),
        ("https://github.com.evil.org/acme/hub.git", None),
        ("https://evil.org/github.com/acme", None),
        ("git@github.com:acme/hub.git", None),
    ],
)
def test_a_token_is_for_its_host_and_the_longest_path_that_fits(url: str, name: str | None) -> None:
    tokens = GitTokens({"github.com": "GITHUB", "github.com/secret": "SECRET"}, Secrets({}))
    assert tokens.name_for(url) == name


async def test_a_manifest_that_is_a_symbolic_link_is_followed_once_or_refused_and_never_read_as_text(
    team: Team, ours: Repositories, hub: Repository
) -> None:
    (team.clone / "deep").mkdir()
    links = {"good": "deep/real", "deep/up": "../top", "out": "../../etc/passwd", "root": "/etc/passwd", "gone": "x"}
    for name, target in {**links, "twice": "good", "folder": "deep", "itself": "itself"}.items():
        (team.clone / name).symlink_to(target)
    commit = team.commit(push="release", deep__real="real", top="top")
    assert await ours.read(hub, commit, "good") == b"real"
    assert await ours.read(hub, commit, "deep/up") == b"top"
    for name in ("out", "root", "gone", "twice", "folder", "itself"):
        with pytest.raises(Refused, match=f"{name} is a symbolic link"):
            await ours.read(hub, commit, name)
    with pytest.raises(Refused, match="good of hub cannot be written"):
        await ours.derive(hub, commit, {"good": b"other"}, "x")
    assert {"good", "deep/up", "deep/real", "top"} <= await ours.paths(hub, commit)


def test_a_token_goes_to_another_machine_encrypted_only(tmp_path: Path) -> None:
    tokens = GitTokens({"git.example.com": "A", "127.0.0.1:8080": "B"}, Secrets({"A": "a-secret", "B": "b-secret"}))
    with tokens.configured({}, tmp_path) as variables:
        keys = {value for name, value in variables.items() if name.startswith("GIT_CONFIG_KEY_")}
    assert {key for key in keys if key.endswith(".helper") and "//" in key} == {
        "credential.https://git.example.com.helper",
        "credential.http://127.0.0.1:8080.helper",
    }
