"""Deploying by the repository's own script: real scripts, real worktrees, a site that says what was put there."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from adapters.deploys import RepoScript
from core.errors import NeedsOperator, StepFailed
from core.observations import CannotTell
from core.ports import Needs
from core.registry import App, Sha, Target
from tests.adapters.deploys.contract import DeployWorld, HastyClock, StrategyContract, Tools
from tests.world.pushed_app import PushedApp
from tests.world.waiting import until

SCRIPT = """#!/bin/sh
echo "deploying to $1 with $STAGE" && echo "$STATIONMASTER_COMMIT" > "$2"
"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[DeployWorld]:
    tools = Tools.under(tmp_path, {"CLOUD_KEY": "a-secret-key", "OTHER_KEY": "another-secret"}, os.environ["PATH"])
    live = tmp_path / "live"

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=live.read_text() if live.exists() else "nothing")

    app = web.Application()
    app.router.add_get("/{path:.*}", page)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    source = PushedApp(tmp_path / "wallet")
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    options = {"script": ["bin/deploy", "the moon", str(live)], "env": {"STAGE": "production"}}
    target = Target(strategy="repo_script", options=options, smoke_url=url, revision_path="/revision")
    tools.clock = HastyClock(patience_seconds=0.01)
    yield DeployWorld(
        strategy=RepoScript(tools.processes, tools.repositories, tools.web, tools.clock),
        app=App(name="wallet", url=str(source.folder), prod_deploy=target),
        target=target,
        source=source,
        commit=source.commit(files={"bin/deploy": SCRIPT}),
        tools=tools,
        log=tmp_path / "deploy.log",
        seen=lambda: (live.read_text(), live.stat().st_mtime_ns),
        go_dark=runner.cleanup,
    )
    await tools.web.close()
    await runner.cleanup()


class TestRepoScript(StrategyContract):
    """The laws."""

    @pytest.fixture
    def world(self, world: DeployWorld) -> DeployWorld:
        return world


def script(world: DeployWorld, text: str, mode: int = 0o755) -> Sha:
    return world.source.commit(files={"bin/deploy": f"#!/bin/sh\n{text}\n"}, mode=mode)


async def test_the_script_gets_the_commit_its_own_words_and_only_the_credentials_named_for_it(world: DeployWorld):
    commit = script(world, 'printf "<%s>\\n" "$@" "$STAGE" "$STATIONMASTER_COMMIT" "${CLOUD_KEY:+key}" "$OTHER_KEY"')
    target = world.with_options(script="./bin/deploy 'the moon' '$HOME'", credentials=["CLOUD_KEY"])
    await world.strategy.deploy(world.app, msgspec.structs.replace(target, revision_path=None), commit, log=world.log)
    assert world.log.read_text() == f"<the moon>\n<$HOME>\n<production>\n<{commit}>\n<key>\n<>\n"


async def test_the_script_runs_in_a_clean_tree_at_the_commit_that_is_gone_afterwards(world: DeployWorld):
    commit = script(world, "pwd; git status --porcelain; git rev-parse HEAD; touch left-behind")
    newer = world.source.commit(files={"bin/deploy": "#!/bin/sh\nexit 9\n"})
    target = msgspec.structs.replace(world.target, revision_path=None)
    await world.deploy(commit, target)
    place, head = world.log.read_text().splitlines()
    assert head == commit != newer
    assert not Path(place).exists()
    assert not (world.source.folder / "left-behind").exists()


async def test_a_script_that_exits_1_fails_with_the_end_of_its_log(world: DeployWorld):
    commit = script(world, "seq 1 5000; echo out of quota >&2; exit 1")
    with pytest.raises(StepFailed, match="bin/deploy of wallet exited with 1") as failure:
        await world.deploy(commit)
    lines = failure.value.reasons[0].why.splitlines()
    assert "out of quota" in lines and len(lines) < 20 and "5000" in lines


async def test_a_script_that_exits_0_without_deploying_is_no_success(world: DeployWorld):
    await world.deploy()
    commit = script(world, "true")
    with pytest.raises(StepFailed, match=f"wallet runs {world.commit[:7]}, not {commit[:7]}") as failure:
        await world.deploy(commit)
    assert "bin/deploy exited with 0 all the same" in failure.value.reasons[0].why


async def test_a_script_that_hangs_is_killed_with_its_children_and_nobody_knows_what_it_did(
    world: DeployWorld, tmp_path: Path
):
    commit = script(world, f"sleep 60 & echo $! > {tmp_path}/pid; echo half way; wait")
    with pytest.raises(NeedsOperator, match="nobody can tell how bin/deploy of wallet ended") as failure:
        await world.deploy(commit, world.with_options(timeout_seconds=1))
    assert "half way" in failure.value.reasons[0].why
    status = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/status")
    await until(lambda: not status.exists() or "Z (zombie)" in status.read_text())


def linked(world: DeployWorld, to: str) -> Sha:
    """A commit whose script is a link: what it leads to was never confirmed."""
    place = world.source.folder / "bin/deploy"
    place.unlink(missing_ok=True)
    place.symlink_to(to)
    commit = world.source.commit()
    place.unlink()
    return commit


async def test_a_script_that_is_not_there_or_cannot_be_run_never_starts(world: DeployWorld):
    for commit, words in (
        (world.source.commit(files={"bin/deploy": "#!/nowhere/sh\n"}), "did not start"),
        (script(world, "true", mode=0o644), "cannot be run"),
        (linked(world, "../../bin/true"), "it is a link"),
        (linked(world, "other"), "it is a link"),
    ):
        with pytest.raises(StepFailed, match=words):
            await world.deploy(commit)
    world.source.git("rm", "--quiet", "bin/deploy")
    gone = world.source.commit()
    with pytest.raises(StepFailed, match=f"wallet has no bin/deploy at the commit that ships — {gone[:7]}"):
        await world.deploy(gone)


def test_preflight_hears_which_file_must_be_there_and_what_is_needed(world: DeployWorld):
    target = world.with_options(credentials="CLOUD_KEY", run={"prefix": "cloud exec --"})
    assert world.strategy.needs(world.app, target) == Needs(("bin/deploy",), ("CLOUD_KEY",), ("cloud",))


async def test_a_site_that_names_no_commit_at_all_is_cannot_tell(world: DeployWorld):
    assert isinstance(await world.observe(), CannotTell)
    with pytest.raises(NeedsOperator, match="wallet does not say what it runs"):
        await world.deploy(script(world, "true"))


async def test_without_a_prefix_a_post_deploy_command_has_nowhere_to_run(world: DeployWorld):
    assert world.strategy.run_argv(world.app, world.target, ("true",)) is None


async def test_a_post_deploy_command_runs_behind_the_prefix_word_for_word(world: DeployWorld):
    target = world.with_options(run={"prefix": ["env", "PLACE=moon", "sh", "-c", 'echo "$PLACE/$0/$1"; exit $2']})
    await world.strategy.run(world.app, target, ("$HOME", "it's", "0"), world.commit, log=world.log)
    assert world.log.read_text() == "moon/$HOME/it's\n"
    with pytest.raises(StepFailed, match="exited with 3"):
        await world.strategy.run(world.app, target, ("a", "b", "3"), world.commit, log=world.log)
    shown = world.strategy.run_argv(world.app, target, ("a", "b", "3"))
    assert shown == world.tools.spawned[-1]


async def test_a_local_post_deploy_command_runs_in_a_clean_worktree_at_the_commit_or_in_a_folder(
    world: DeployWorld, tmp_path: Path
):
    shown = ("sh", "-c", "pwd; git rev-parse HEAD; echo $STATIONMASTER_COMMIT")
    await world.strategy.run(
        world.app, world.with_options(run={"local": "checkout"}), shown, world.commit, log=world.log
    )
    where, *commits = world.log.read_text().split()
    assert commits == [world.commit, world.commit]
    assert not Path(where).exists(), "the worktree is gone afterwards"
    assert world.tools.spawned.count(shown) == 1
    await world.strategy.run(
        world.app, world.with_options(run={"local": str(tmp_path)}), ("touch", "here"), world.commit, log=world.log
    )
    assert (tmp_path / "here").exists()


FAR_SHELL = """#!/bin/sh
# As ssh does it: what follows the host is joined by spaces and handed to a shell.
shift 2
exec sh -c "$*"
"""


async def test_a_command_over_ssh_arrives_as_it_was_written(world: DeployWorld, tmp_path: Path):
    (ssh := tmp_path / "ssh").write_text(FAR_SHELL)
    ssh.chmod(0o755)
    target = world.with_options(run={"ssh": [str(ssh), "host", "--"]})
    await world.strategy.run(
        world.app, target, ("printf", "%s|", "it's", "$HOME; `id`", "*"), world.commit, log=world.log
    )
    assert world.log.read_text() == "it's|$HOME; `id`|*|"
    assert world.strategy.run_argv(world.app, target, ("a", "b c")) == (str(ssh), "host", "--", "a 'b c'")


@pytest.mark.parametrize(
    ("exits", "says", "trouble"),
    [
        ("3", "", StepFailed),
        ("255", "Connection to host closed by remote host.", NeedsOperator),
        ("255", "ssh: connect to host example port 22: Connection refused", StepFailed),
        ("255", "deploy@host: Permission denied (publickey).", StepFailed),
    ],
)
async def test_what_ssh_says_is_the_far_verdict_or_never_started_or_nobody_can_tell(
    world: DeployWorld, tmp_path: Path, exits: str, says: str, trouble: type[Exception]
):
    (ssh := tmp_path / "ssh").write_text(f"#!/bin/sh\necho '{says}' >&2; exit {exits}\n")
    ssh.chmod(0o755)
    with pytest.raises(trouble):
        target = world.with_options(run={"ssh": [str(ssh), "host", "--"]})
        await world.strategy.run(world.app, target, ("true",), world.commit, log=world.log)


async def test_qa_must_boot_whatever_the_script_says(world: DeployWorld):
    """A script that exits 0 is believed in production, where it owns its smoke; QA answers /up itself (spec 5.1)."""
    commit, silent = script(world, "true"), msgspec.structs.replace(world.target, revision_path=None)
    await world.go_dark()
    assert (await world.deploy(commit, silent))["verified"] is False
    world.app = msgspec.structs.replace(world.app, qa_deploy=silent)
    with pytest.raises(StepFailed, match="wallet does not serve"):
        await world.deploy(commit, silent)


async def test_a_post_deploy_command_that_never_ends_is_a_question_and_one_that_never_began_is_not(world: DeployWorld):
    with pytest.raises(NeedsOperator):
        slow = world.with_options(run={"prefix": "env"}, timeout_seconds=0.3)
        await world.strategy.run(world.app, slow, ("sleep", "60"), world.commit, log=world.log)
    with pytest.raises(StepFailed, match="did not start"):
        nowhere = world.with_options(run={"prefix": "no-such-program"})
        await world.strategy.run(world.app, nowhere, ("true",), world.commit, log=world.log)


async def test_rollback_is_the_scripts_own_business_and_the_way_back_in_git_is_ours(world: DeployWorld):
    await world.deploy()
    old = world.commit
    assert await world.strategy.rollback(world.app, world.target, old, None) == ()
    await world.deploy(newer := world.source.commit())
    [back] = await world.strategy.rollback(world.app, world.target, newer, old)
    assert back.startswith(f"git restore --source={old} ")
    assert await world.strategy.rollback(world.app, world.target, old, old) == ()
