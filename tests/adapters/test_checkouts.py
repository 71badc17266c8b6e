"""A checkout is what a person's clone at that commit is, and nothing that is done in it is seen by anything later."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from adapters.credentials import Secrets
from adapters.git import MirrorRepositories
from adapters.process import ChildProcesses
from core.errors import Refused, Trouble, Unreachable
from core.registry import Repository, Sha
from tests.adapters.test_git import Team
from tests.adapters.test_git import hub as hub
from tests.adapters.test_git import team as team

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 7\n"


def repositories(folder: Path, projects: Path | None = None, path: str = "") -> MirrorRepositories:
    base = {**os.environ, "PATH": path or os.environ["PATH"]}
    return MirrorRepositories(ChildProcesses(folder / "home", Secrets({}), base), folder / "state", projects=projects)


def git(at: Path, *argv: str) -> str:
    """What a script in a checkout that knows nothing of us gets from git."""
    env = {"PATH": os.environ["PATH"], "HOME": str(at), "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(["git", *argv], cwd=at, env=env, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def ours(tmp_path: Path) -> MirrorRepositories:
    return repositories(tmp_path, tmp_path)


async def refusal(ours: MirrorRepositories, hub: Repository, commit: Sha) -> Trouble:
    with pytest.raises(Trouble) as refused:
        async with ours.checkout(hub, commit):
            pytest.fail("a person's clone would have more")
    return refused.value


# ── what a clone has ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_version_from_tags_is_the_one_that_a_clone_computes(
    team: Team, hub: Repository, ours: MirrorRepositories
) -> None:
    """A build that asks git for its version made 0.1.dev1, a person's clone 1.1.0."""
    team.commit(push="main")
    team.git("tag", "-a", "v1.0.0", "-m", "one")
    team.git("tag", "light")
    team.git("push", "-q", "origin", "--tags")
    commit = team.commit(push="main")
    async with ours.checkout(hub, commit) as tree:
        assert git(tree, "describe") == f"v1.0.0-1-g{commit[:7]}"
        assert git(tree, "tag").split() == ["light", "v1.0.0"]
        assert git(tree, "status", "--porcelain") == ""
        assert git(tree, "rev-parse", "HEAD", "origin/main", "origin/HEAD").split() == [commit] * 3
        assert git(tree, "remote", "get-url", "origin") == hub.url
        assert git(tree, "fsck", "--no-dangling") == ""
    team.git("tag", "-a", "v1.1.0", "-m", "two")
    team.git("push", "-q", "origin", "v1.1.0", ":v1.0.0", ":light")
    async with ours.checkout(hub, commit) as tree:
        assert git(tree, "describe") == "v1.1.0"
        assert git(tree, "tag").split() == ["v1.1.0"]


async def test_a_branch_that_became_a_folder_of_branches_is_no_trouble(
    team: Team, hub: Repository, ours: MirrorRepositories
) -> None:
    commit = team.commit(push="feat")
    async with ours.checkout(hub, commit):
        pass
    team.git("push", "-q", "origin", ":feat", "HEAD:refs/heads/feat/a")
    async with ours.checkout(hub, commit) as tree:
        assert git(tree, "for-each-ref", "--format=%(refname)") == "refs/remotes/origin/feat/a"


async def test_files_of_a_checkout_can_be_read_by_everybody(
    team: Team, hub: Repository, ours: MirrorRepositories
) -> None:
    commit, before = team.commit(push="main", VERSION="1"), os.umask(0o077)
    try:
        async with ours.checkout(hub, commit) as tree:
            assert (tree / "VERSION").stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)


# ── submodules ─────────────────────────────────────────────────────────────────────────────────────────────────────


def with_module(team: Team, url: str, path: str = "lib", name: str = "lib", of: str = "") -> Sha:
    """A commit that has a submodule whose address is `url`."""
    team.commit(push="main", README="x")
    head = of or team.git("rev-parse", "HEAD")
    (team.clone / ".gitmodules").write_text(f'[submodule "{name}"]\n\tpath = {path}\n\turl = {url}\n')
    team.git("update-index", "--add", "--cacheinfo", f"160000,{head},{path}")
    team.git("add", ".gitmodules")
    team.git("commit", "-q", "-m", "with a module")
    team.git("push", "-q", "origin", "HEAD:refs/heads/main")
    return Sha(team.git("rev-parse", "HEAD"))


def library(folder: Path) -> tuple[Path, Sha]:
    """Another repository, with a file."""
    other = Team(folder)
    return other.origin, other.commit(push="main", CODE="print(1)")


@pytest.mark.parametrize("written", ["{origin}", "file://{origin}", "../lib/{name}"])
async def test_a_build_has_its_submodule(
    team: Team, hub: Repository, ours: MirrorRepositories, tmp_path: Path, written: str
) -> None:
    """A wheel lacked its submodule, and every tool said that all was well."""
    origin, head = library(tmp_path / "lib")
    commit = with_module(team, written.format(origin=origin, name=origin.name), of=head)
    hub = Repository(name="hub", url=f"{team.origin}")
    for _ in range(2):
        async with ours.checkout(hub, commit) as tree:
            assert (tree / "lib/CODE").read_text() == "print(1)"
            assert git(tree, "status", "--porcelain") == ""


async def test_submodules_of_submodules_are_there_too(
    team: Team, hub: Repository, ours: MirrorRepositories, tmp_path: Path
) -> None:
    inner, inner_head = library(tmp_path / "inner")
    middle = Team(tmp_path / "middle")
    middle_head = with_module(middle, f"{inner}", path="deep", of=inner_head)
    commit = with_module(team, f"{middle.origin}", of=middle_head)
    async with ours.checkout(hub, commit) as tree:
        assert (tree / "lib/deep/CODE").read_text() == "print(1)"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ext::sh -c touch% /tmp/owned", "is no address"),
        ("ext::sh", "would run a program"),
        ("git://example.com/x.git", "is not among"),
        ("fd::17", "would run a program"),
        ("ftp://example.com/x.git", "is not among"),
        ("--upload-pack=touch", "is no address"),
        ("/etc", "is not below"),
        ("file:///etc", "is not below"),
        ("../../../../../../../etc", "is not below"),
        ("", "says no address"),
    ],
)
async def test_a_submodule_from_where_nobody_may_read_is_refused_by_name(
    team: Team, hub: Repository, ours: MirrorRepositories, url: str, why: str
) -> None:
    found = await refusal(ours, hub, with_module(team, url))
    assert isinstance(found, Refused)
    assert found.reasons[0].what == "the submodule lib of hub is not taken"
    assert why in found.reasons[0].why


async def test_without_a_folder_of_projects_no_submodule_is_read_from_a_path(
    team: Team, hub: Repository, tmp_path: Path
) -> None:
    origin, head = library(tmp_path / "lib")
    found = await refusal(repositories(tmp_path), hub, with_module(team, f"{origin}", of=head))
    assert "PROJECTS_DIR" in found.reasons[0].why


async def test_a_submodule_that_gitmodules_does_not_name_is_refused(
    team: Team, hub: Repository, ours: MirrorRepositories
) -> None:
    with_module(team, "https://example.com/x", path="lib")
    (team.clone / ".gitmodules").write_text("")
    team.git("add", ".gitmodules")
    team.git("commit", "-q", "-m", "nothing is said")
    team.git("push", "-q", "origin", "HEAD:refs/heads/main")
    found = await refusal(ours, hub, Sha(team.git("rev-parse", "HEAD")))
    assert found.reasons[0].what == "the submodule lib of hub is not taken"
    assert "says no address" in found.reasons[0].why


async def test_a_submodule_whose_commit_is_gone_cannot_be_told(
    team: Team, hub: Repository, ours: MirrorRepositories, tmp_path: Path
) -> None:
    origin, _ = library(tmp_path / "lib")
    found = await refusal(ours, hub, with_module(team, f"{origin}", of="0" * 39 + "1"))
    assert isinstance(found, Unreachable)
    assert found.reasons[0].what == "the submodule lib of hub cannot be read"


# ── large files ────────────────────────────────────────────────────────────────────────────────────────────────────


def with_large_file(team: Team, text: str) -> Sha:
    """A commit whose file is kept by LFS, as `git lfs track` and `git push` leave it."""
    team.git("lfs", "install", "--local")
    (team.clone / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    (team.clone / "model.bin").write_text(text)
    team.git("add", "--all")
    team.git("commit", "-q", "-m", "large")
    team.git("push", "-q", "origin", "HEAD:refs/heads/main")
    return Sha(team.git("rev-parse", "HEAD"))


needs_lfs = pytest.mark.skipif(not shutil.which("git-lfs"), reason="git-lfs is missing: apt-get install git-lfs")


@needs_lfs
async def test_a_build_has_the_content_and_not_the_pointer(
    team: Team, hub: Repository, ours: MirrorRepositories
) -> None:
    commit = with_large_file(team, "all of it")
    assert team.git("show", "HEAD:model.bin").startswith("version https://git-lfs")
    async with ours.checkout(hub, commit) as tree:
        assert (tree / "model.bin").read_text() == "all of it"
        assert git(tree, "status", "--porcelain") == ""


@needs_lfs
async def test_large_content_that_nobody_pushed_is_refused_by_name(
    team: Team, hub: Repository, ours: MirrorRepositories
) -> None:
    commit = with_large_file(team, "all of it")
    shutil.rmtree(team.origin / "lfs")
    found = await refusal(ours, hub, commit)
    assert isinstance(found, Refused)
    assert "model.bin" in found.reasons[0].why and "git lfs push" in found.reasons[0].next


async def test_without_git_lfs_a_pointer_is_refused_and_never_shipped(
    team: Team, hub: Repository, tmp_path: Path
) -> None:
    (team.clone / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    (team.clone / "model.bin").write_text(POINTER)
    commit = team.commit(push="main")
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for program in ("git", "rm", "chmod", "sh"):
        (bin_ / program).symlink_to(str(shutil.which(program)))
    found = await refusal(repositories(tmp_path, path=str(bin_)), hub, commit)
    assert isinstance(found, Refused)
    assert "git-lfs is not installed; model.bin" in found.reasons[0].why


@needs_lfs
async def test_a_text_that_only_looks_like_a_pointer_is_left_as_it_is(
    team: Team, hub: Repository, ours: MirrorRepositories
) -> None:
    alone = team.commit(push="main", docs__pointer=POINTER)
    for commit in (alone, with_large_file(team, "all of it")):
        async with ours.checkout(hub, commit) as tree:
            assert (tree / "docs/pointer").read_text() == POINTER
            assert commit == alone or (tree / "model.bin").read_text() == "all of it"


# ── what strangers leave behind ────────────────────────────────────────────────────────────────────────────────────

HOSTILE = r"""
set -u
mirror=$(dirname "$(cat .git/objects/info/alternates)"); evil=$(git rev-parse HEAD)
git config user.name Eve; git config core.hooksPath "$PWD/hooks"; git remote add production /nowhere
git checkout -q -b tmp; echo dirty > VERSION; git stash -q; git tag evil; git update-ref refs/heads/main "$evil"
git worktree add -q ../linked; mkdir -p hooks
for at in "$mirror" .git; do
  printf '[core]\n\thooksPath = %s/hooks\n\tattributesFile = %s/attributes\n[url "/nowhere/"]\n\tinsteadOf = /\n' \
    "$PWD" "$PWD" >> "$at/config"
  mkdir -p "$at/hooks" "$at/info" "$at/refs/replace" "$at/objects/info" "$at/remotes" "$at/rr-cache"
  for hook in pre-push post-checkout reference-transaction pre-receive; do
    printf '#!/bin/sh\ntouch %s/owned\nexit 1\n' "$PWD" > "$at/hooks/$hook"; chmod 755 "$at/hooks/$hook"
  done
  echo '* ident merge=union export-ignore' > "$at/info/attributes"; echo '*' > "$at/info/exclude"
  echo "$evil" > "$at/shallow"; echo "$evil" > "$at/info/grafts"
  echo "$other" > "$at/refs/replace/$evil"
  echo '/nowhere/objects' >> "$at/objects/info/alternates"
  printf 'URL: /nowhere\n' > "$at/remotes/x"
  echo 'ref: refs/heads/evil' > "$at/HEAD"; echo "$evil" > "$at/index.lock"; echo junk > "$at/refs/x.lock"
done
for home in "$HOME" "$XDG_CONFIG_HOME" "$XDG_CACHE_HOME"; do
  mkdir -p "$home/git" "$home/uv" "$home/.bundle" "$home/.gem"
  printf '[user]\n\tname = Eve\n[core]\n\tattributesFile = /etc/passwd\n' | tee "$home/.gitconfig" > "$home/git/config"
  echo '* ident' > "$home/git/attributes"; echo 'index-url = "http://127.0.0.1:9"' > "$home/uv/uv.toml"
  echo 'machine localhost login eve password eve' > "$home/.netrc"
done
umask 077; chmod -R a-w .
"""


async def seen_by(ours: MirrorRepositories, hub: Repository, commit: Sha, other: Sha) -> dict[str, object]:
    """Everything that the next train would see and make."""
    found: dict[str, object] = {
        "read": await ours.read(hub, commit, "VERSION"),
        "parents": await ours.parents(hub, commit),
        "history": await ours.history(hub, commit),
        "merge": await ours.merge(hub, commit, other, "Merge"),
        "derive": await ours.derive(hub, commit, {"VERSION": b"2\n"}, "Bump"),
        "relation": await ours.relation(hub, commit, other),
    }
    async with ours.checkout(hub, commit) as tree:
        found["refs"] = git(tree, "for-each-ref")
        found["config"] = git(tree, "config", "--list", "--show-scope")
        found["files"] = {
            str(path.relative_to(tree)): (path.read_bytes(), path.stat().st_mode)
            for path in sorted(tree.rglob("*"))
            if path.is_file() and ".git" not in path.relative_to(tree).parts
        }
        found["status"] = git(tree, "status", "--porcelain", "--ignored")
    return found


async def test_what_a_hostile_script_leaves_behind_is_not_seen_by_the_next_train(
    team: Team, hub: Repository, tmp_path: Path
) -> None:
    """A deploy script that added a remote stopped every later train."""
    first = team.commit(push="main", VERSION="1\n", other="$Id$\n")
    team.git("checkout", "-q", "-b", "side")
    other = team.commit(push="side", side="x")
    team.git("checkout", "-q", "-B", "main", first)
    commit = team.commit(push="main", more="y")
    team.git("tag", "v1")
    team.git("push", "-q", "origin", "v1")
    processes = ChildProcesses(tmp_path / "homes", Secrets({}), os.environ)
    ours = MirrorRepositories(processes, tmp_path / "state")
    for _ in range(2):
        async with ours.checkout(hub, commit) as tree:
            done = await processes.run(("bash", "-c", HOSTILE), cwd=tree, env={"other": other})
            assert "fatal" not in done.stderr, done.stderr
        fresh = repositories(tmp_path / "another machine")
        assert await seen_by(ours, hub, commit, other) == await seen_by(fresh, hub, commit, other)
    made = await ours.derive(hub, commit, {"VERSION": b"2\n"}, "Bump")
    await ours.push(hub, made, "main", expected=commit)
    assert (await ours.branch_head(hub, "main"), team.head("main")) == (made, made)
    assert not list(tmp_path.rglob("owned"))
