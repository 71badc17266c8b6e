"""Deploying by git push: real git, a platform that really boots, and a `heroku` with the traps of the real one."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec
import pytest
from pydantic import ValidationError

from adapters.deploys import STRATEGIES, GitPushHeroku
from adapters.deploys.git_push_heroku import git_config
from adapters.pushing import verdict
from bot.demo.platform import Platform
from core.errors import NeedsOperator, Refused, StepFailed
from core.observations import Already, Blind, NotYet
from core.ports import Finished
from core.registry import App, Argv, Target
from tests.adapters.deploys.contract import DeployWorld, StrategyContract, Tools
from tests.world.git_server import GitServer
from tests.world.pushed_app import SERVE, WEB, PushedApp
from tests.world.waiting import until


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncGenerator[Platform]:
    async with Platform(tmp_path / "platform", ["hub"], api_key="a-secret-key") as platform:
        yield platform


@pytest.fixture
async def world(tmp_path: Path, platform: Platform) -> AsyncGenerator[DeployWorld]:
    path = f"{platform.bin}:{os.environ['PATH']}"
    tools = Tools.under(tmp_path, {"HEROKU_API_KEY": platform.api_key}, path)
    source, hub = PushedApp(tmp_path / "hub"), platform.apps["hub"]
    options = {"app": "hub", "remote": hub.remote, "boot_seconds": 5}
    target = Target(strategy="git_push_heroku", options=options, smoke_url=hub.url, revision_path="up")

    async def go_dark() -> None:
        await platform.__aexit__()
        Path(hub.remote).rename(f"{hub.remote}.gone")

    yield DeployWorld(
        strategy=GitPushHeroku(tools.processes, tools.repositories, tools.web, tools.clock),
        app=App(name="hub", url=str(source.folder), prod_deploy=target),
        target=target,
        source=source,
        commit=source.commit(),
        tools=tools,
        log=tmp_path / "deploy.log",
        seen=lambda: (list(hub.releases), (Path(hub.remote) / "refs/heads/main").read_text()),
        go_dark=go_dark,
    )
    await tools.web.close()


class TestGitPushHeroku(StrategyContract):
    """The laws."""

    @pytest.fixture
    def world(self, world: DeployWorld) -> DeployWorld:
        return world


async def run(world: DeployWorld, *command: str, **options: object) -> None:
    await world.strategy.run(world.app, world.with_options(**options), command, world.commit, log=world.log)


def sabotage(platform: Platform, hook: str) -> None:
    """Let the remote die in `hook`, so that git never hears how the push ended."""
    path = Path(platform.apps["hub"].remote, "hooks", hook)
    path.write_text('#!/bin/sh\n[ "$1" = prepared ] || kill -9 $PPID\n')
    path.chmod(0o755)


async def test_a_failing_build_is_told_in_the_remotes_words_and_built_again_at_the_next_try(
    world: DeployWorld, tmp_path: Path
):
    broken = world.source.commit(f"build: echo no such module; test -e {tmp_path}/mended\n{WEB}")
    with pytest.raises(StepFailed) as failure:
        await world.deploy(broken)
    assert "no such module" in failure.value.reasons[0].why
    assert "Push rejected, failed to compile hub." in failure.value.reasons[0].why
    assert "no such module" in world.log.read_text()
    (tmp_path / "mended").touch()
    assert (await world.deploy(broken))["verified"] is True


async def test_a_push_that_exits_0_with_a_failed_release_phase_is_a_failed_deploy(world: DeployWorld, tmp_path: Path):
    await world.deploy()
    bad = world.source.commit(f"release: echo migration broke; test -e {tmp_path}/mended\n{WEB}")
    for words in ("migration broke", "up to date"):  # the second push deploys nothing, and still does not pass
        with pytest.raises(StepFailed) as failure:
            await world.strategy.deploy(world.app, world.with_options(boot_seconds=0.3), bad, log=world.log)
        assert words in failure.value.reasons[0].why
        assert "heroku releases:retry --app=hub" in failure.value.reasons[0].next
    (tmp_path / "mended").touch()
    await typed(world, "heroku releases:retry --app=hub")
    assert (await world.deploy(bad))["verified"] is True


@pytest.mark.parametrize("lists", [True, False])
async def test_a_failed_release_phase_is_not_made_green_by_a_push_that_moves_nothing(
    world: DeployWorld, tmp_path: Path, lists: bool
):
    """The resume pushed, git said up to date, /up of the old code was 200, and the ship ended green."""
    await world.deploy()
    bad = world.source.commit(f"release: echo migration broke; test -e {tmp_path}/mended\n{WEB}")
    target = msgspec.structs.replace(world.with_options(boot_seconds=0.3, releases=lists), revision_path=None)
    with pytest.raises(StepFailed, match="the release phase of hub failed"):
        await world.deploy(bad, target)
    for _ in range(2):
        with pytest.raises(StepFailed if lists else NeedsOperator) as again:
            await world.deploy(bad, target)
        told = again.value.reasons[0]
        assert "failed" in told.what if lists else "nobody can tell whether hub runs" in told.what
        assert isinstance(await world.observe(bad, target), NotYet if lists else Blind)
    (tmp_path / "mended").touch()
    await typed(world, "heroku releases:retry --app=hub")
    if lists:
        assert (await world.deploy(bad, target))["verified"] is True
        assert isinstance(await world.observe(bad, target), Already)
        await typed(world, "heroku releases:rollback --app=hub")
        assert isinstance(await world.observe(bad, target), NotYet)


async def test_a_first_push_to_an_app_that_cannot_say_what_it_runs_is_not_verified(world: DeployWorld):
    target = msgspec.structs.replace(world.with_options(), revision_path=None)
    assert (await world.deploy(world.commit, target))["verified"] is False


@pytest.mark.parametrize(
    ("stderr", "status"),
    [
        ("fatal: could not read Username for 'https://git.heroku.com': terminal prompts disabled", "not sent"),
        (
            "remote: Invalid credentials provided.\nfatal: Authentication failed for 'https://x/'",
            "not sent",
        ),
        ("fatal: unable to access 'https://x/': The requested URL returned error: 403", "not sent"),
        ("fatal: unable to access 'https://x/': Could not resolve host: x", "not sent"),
        ("fatal: unable to access 'https://x/': Failed to connect to x port 443: Connection refused", "not sent"),
        (
            "ssh: connect to host x port 22: Connection refused\nfatal: Could not read from remote repository.",
            "not sent",
        ),
        ("git@x: Permission denied (publickey).\nfatal: Could not read from remote repository.", "not sent"),
        ("Host key verification failed.\nfatal: Could not read from remote repository.", "not sent"),
        ("ERROR: Repository not found.\nfatal: Could not read from remote repository.", "not sent"),
        ("fatal: unable to access 'https://x/': SSL certificate problem: unable to get local issuer", "not sent"),
        ("fatal: unable to access 'https://x/': Proxy CONNECT aborted", "not sent"),
        ("error: RPC failed; HTTP 403 curl 22 The requested URL returned error: 403", "unknown"),
        ("fatal: unable to access 'https://x/': CONNECT tunnel failed, response 407", "not sent"),
        ("fatal: unable to access 'https://x/': Received HTTP code 407 from proxy after CONNECT", "not sent"),
        ("fatal: unable to access 'https://x/': SSL: no alternative certificate subject name matches", "not sent"),
        ("fatal: the remote end hung up unexpectedly", "unknown"),
        ("send-pack: unexpected disconnect while reading sideband packet\nfatal: Authentication failed", "unknown"),
        ("fatal: Could not read from remote repository.", "unknown"),
        ("", "unknown"),
    ],
)
def test_what_ended_before_anything_was_sent_is_no_question(stderr: str, status: str) -> None:
    """A wrong key was "nobody can tell whether it reached hub", and *it happened* was offered."""
    assert verdict(Finished(128, "", stderr), "refs/heads/main").status == status


async def test_a_wrong_key_is_a_plain_failure_that_names_it(world: DeployWorld) -> None:
    async with GitServer(world.log.parent) as server:
        server.password = "another"
        target = world.with_options(remote=f"{server.url}/hub.git")
        with pytest.raises(StepFailed) as failure:
            await world.deploy(world.commit, target)
    assert failure.value.reasons[0].what == "nothing was pushed to hub"
    assert "HEROKU_API_KEY" in failure.value.reasons[0].next


async def typed(world: DeployWorld, text: str) -> None:
    """What an operator does with a command that we told them to type."""
    done = await world.tools.processes.run(tuple(text.split()), credentials=["HEROKU_API_KEY"])
    assert done.exit_code == 0, done.stderr


async def test_an_app_that_crashes_on_boot_is_seen_although_the_push_was_fine(world: DeployWorld):
    with pytest.raises(StepFailed, match="answers 503"):
        await world.deploy(world.source.commit("web: exit 1\n"), world.with_options(boot_seconds=0.5))


async def test_an_app_whose_up_page_fails_is_not_deployed_although_another_page_names_the_commit(world: DeployWorld):
    target = msgspec.structs.replace(world.with_options(boot_seconds=0.5), revision_path="/")
    sick = world.source.commit(files={"serve.py": SERVE.replace('"/up", ', "")})
    with pytest.raises(StepFailed, match="answers 404"):
        await world.deploy(sick, target)
    assert isinstance(await world.observe(sick, target), NotYet)


async def test_old_code_that_answers_200_is_waited_out(world: DeployWorld, platform: Platform):
    await world.deploy()
    platform.apps["hub"].knobs.boot_delay_seconds = 0.5
    new = world.source.commit()
    assert await world.deploy(new) == {"verified": True, "proof": f"runs {new[:7]}"}


async def test_old_code_that_answers_200_for_ever_is_no_success(world: DeployWorld, platform: Platform):
    await world.deploy()
    platform.apps["hub"].knobs.boot_delay_seconds = 60
    new = world.source.commit()
    with pytest.raises(StepFailed, match=f"hub runs {world.commit[:7]}, not {new[:7]}"):
        await world.deploy(new, world.with_options(boot_seconds=0.3))


async def test_a_push_that_was_taken_although_the_answer_was_lost_is_a_deploy(world: DeployWorld, platform: Platform):
    sabotage(platform, "reference-transaction")
    assert (await world.deploy())["verified"] is True


async def test_a_lost_answer_is_a_question_where_nothing_says_what_runs(world: DeployWorld, platform: Platform):
    """The ref had moved and old code answered 200: how the release phase ended was in the answer that was lost."""
    await world.deploy()
    target = msgspec.structs.replace(world.with_options(boot_seconds=0.3, releases=False), revision_path=None)
    sabotage(platform, "reference-transaction")
    with pytest.raises(NeedsOperator, match=r"nobody can tell whether hub runs .*the answer to the push was lost"):
        await world.deploy(world.source.commit(), target)


async def test_a_push_whose_answer_was_lost_and_that_did_not_arrive_may_be_tried_again(
    world: DeployWorld, platform: Platform
):
    hook = Path(platform.apps["hub"].remote, "hooks", "pre-receive")
    honest = hook.read_text()
    sabotage(platform, "pre-receive")
    with pytest.raises(StepFailed, match="the answer to the push was lost, and now it has no main"):
        await world.deploy()
    assert isinstance(await world.observe(), NotYet)
    hook.write_text(honest)
    assert (await world.deploy())["verified"] is True


async def test_a_push_cut_off_after_the_release_and_before_the_ref_is_seen_and_can_be_repeated(
    world: DeployWorld, platform: Platform
):
    """What runs decides, not the ref; and the ref follows with the next push."""
    hub = platform.apps["hub"]
    hook = Path(hub.remote, "hooks", "reference-transaction")
    hook.write_text("#!/bin/sh\nkill -9 $PPID\n")
    hook.chmod(0o755)
    with pytest.raises(StepFailed, match=r"was cut off.* may have been built all the same"):
        await world.deploy()
    assert [release.commit for release in hub.releases] == [world.commit]

    async def is_seen() -> bool:
        return isinstance(await world.observe(), Already)

    await until(is_seen)
    hook.unlink()
    for lock in Path(hub.remote).rglob("*.lock"):  # what the killed git left behind, as the platform cleans it up
        lock.unlink()
    assert (await world.deploy())["verified"] is True
    assert (Path(hub.remote) / "refs/heads/main").read_text().strip() == world.commit


async def test_a_push_nobody_can_ask_about_is_a_question(world: DeployWorld, platform: Platform):
    remote = platform.apps["hub"].remote
    hook = Path(remote, "hooks", "pre-receive")
    hook.write_text(f"#!/bin/sh\nmv {remote} {remote}.gone; kill -9 $PPID\n")
    with pytest.raises(NeedsOperator, match=f"whether {world.commit[:7]} reached hub"):
        await world.deploy()


async def test_an_app_that_is_down_can_still_be_deployed_to(world: DeployWorld):
    crashing = world.source.commit("web: exit 1\n")
    with pytest.raises(StepFailed):
        await world.deploy(crashing, world.with_options(boot_seconds=0.2))
    mended = world.source.commit()
    assert isinstance(await world.observe(mended), NotYet)
    assert not isinstance(await world.observe(crashing), NotYet)
    assert (await world.deploy(mended))["verified"] is True


async def test_commits_that_only_the_platform_has_are_a_refusal_that_never_speaks_of_force(world: DeployWorld):
    world.source.git("checkout", "--quiet", "--orphan", "elsewhere")
    await world.deploy(world.source.commit(files={"README": "somebody's"}))
    with pytest.raises(StepFailed) as failure:
        await world.deploy()
    assert "rejected" in failure.value.reasons[0].why
    assert "merge what it has into release" in failure.value.reasons[0].next
    assert "force" not in str(failure.value)


async def test_without_an_address_to_look_at_nothing_is_pushed(world: DeployWorld, platform: Platform):
    target = Target(strategy="git_push_heroku", options=world.target.options)
    with pytest.raises(Refused, match="no smoke_url"):
        await world.deploy(target=target)
    assert platform.apps["hub"].releases == []


async def test_a_post_deploy_command_that_exits_3_fails_with_what_it_said(world: DeployWorld):
    await world.deploy()
    await run(world, "true")
    with pytest.raises(StepFailed, match="exited with 3 on hub") as failure:
        await run(world, "sh", "-c", "echo seeds are missing; exit 3")
    assert "seeds are missing" in failure.value.reasons[0].why


@pytest.mark.parametrize("way", ["its shell is killed", "the connection drops", "it takes for ever"])
async def test_a_post_deploy_command_never_heard_of_again_is_a_question(
    world: DeployWorld, platform: Platform, way: str
):
    await world.deploy()
    platform.apps["hub"].knobs.loses_exit_codes = way == "the connection drops"
    command, seconds = {
        "its shell is killed": (("sh", "-c", "kill -9 $PPID"), 60),
        "the connection drops": (("true",), 60),
        "it takes for ever": (("sleep", "60"), 1),
    }[way]
    with pytest.raises(NeedsOperator, match="nobody can tell how"):
        await run(world, *command, run_seconds=seconds)


async def test_a_post_deploy_command_that_never_started_says_so(world: DeployWorld, platform: Platform):
    await world.deploy()
    with pytest.raises(StepFailed, match="true did not start on hub") as failure:
        await run(world, "true", app="nosuch")
    assert "Couldn't find that app." in failure.value.reasons[0].why
    platform.api_key = "changed"
    with pytest.raises(StepFailed, match="true did not start on hub"):
        await run(world, "true")
    (platform.bin / "heroku").unlink()
    with pytest.raises(StepFailed, match="true did not start on hub"):
        await run(world, "true")


@pytest.mark.parametrize(
    "words",
    [
        ("npm", "run", "build"),
        ("hub", "--app", "hub", "--app=hub", "--", "--exit-code"),
        ("$HOME", "`id`", "a;b", "*", "it's", 'say "x"', "two  spaces", ""),
        ("Error: Process exited with code 0", "... up, run.1", "No exit code returned"),
    ],
)
async def test_forged_words_arrive_intact(world: DeployWorld, words: Argv):
    await world.deploy()
    await run(world, "python3", "-c", "import sys; print(sys.argv[1:])", *words)
    assert str(list(words)) in world.log.read_text()


async def test_a_command_that_is_one_word_of_the_client_itself_is_not_repeated(world: DeployWorld, platform: Platform):
    await world.deploy(world.source.commit(files={"run": "#!/bin/sh\nexit $#\n"}))
    platform.apps["hub"].knobs.env["PATH"] = f".:{os.environ['PATH']}"
    await run(world, "run")


@pytest.mark.parametrize("forged", ["Process exited with code 3", "... up, run.1", "No exit code returned"])
async def test_words_that_look_like_a_verdict_never_make_an_unknown_end_known(world: DeployWorld, forged: str):
    await world.deploy()
    with pytest.raises(NeedsOperator):
        await run(world, "sh", "-c", 'echo "$0" >&2; kill -9 $PPID', f"\n{forged}\n")


async def test_rollback_advice_can_be_typed_and_is_gone_once_it_was(world: DeployWorld, platform: Platform):
    """Of a re-pinned app the revert took back the pin only, and left the tasks in."""
    await world.deploy()
    git, old = world.source.git, world.commit
    for task in ("one", "two"):
        git("checkout", "--quiet", "-b", task, old)
        world.source.commit(files={task: "done"})
        git("checkout", "--quiet", "main")
        git("merge", "--quiet", "--no-ff", "--message=Merge", task)
    bad = world.source.commit(files={"lock": "pinned"})
    await world.deploy(bad)
    undo, back = await world.strategy.rollback(world.app, world.target, bad, old)
    assert undo == "heroku releases:rollback --app=hub"
    restore, _, commit = back.partition(" && ")
    git(*shlex.split(restore)[1:])
    git(*shlex.split(commit)[1:])
    assert git("rev-parse", "HEAD^{tree}") == git("rev-parse", f"{old}^{{tree}}")
    await typed(world, undo)

    async def is_back() -> bool:
        return isinstance(await world.observe(), Already)

    await until(is_back)
    assert await world.strategy.rollback(world.app, world.target, bad, old) == ()


@pytest.mark.parametrize("known", [True, False])
async def test_no_way_back_is_advised_where_it_is_not_known_or_would_take_others_work_along(
    world: DeployWorld, known: bool
):
    await world.deploy()
    bad = world.source.commit(files={"more": "of it"})
    await world.deploy(bad)
    if known:
        world.source.commit(files={"others": "work"})
    advice = await world.strategy.rollback(world.app, world.target, bad, world.commit if known else None)
    assert advice == ("heroku releases:rollback --app=hub",)


async def test_the_client_gets_a_git_configuration_that_it_may_spoil(world: DeployWorld, platform: Platform):
    (platform.bin / "heroku").write_text(
        "#!/bin/sh\ngit config --global some.thing else\ngit config --global some.thing\nprintenv HOME\n"
    )
    await run(world, "true")
    said, home = world.log.read_text().splitlines()
    assert (said, Path(home).parent) == ("else", world.log.parent / "home")
    assert Path(os.devnull).is_char_device()
    assert not list((world.log.parent / "home").iterdir())


def test_git_gets_the_key_for_that_host_only_and_no_file_holds_it():
    def asked(url: str) -> str:
        with git_config("https://git.heroku.com/hub.git", ["HEROKU_API_KEY"]) as env:
            assert "a-secret-key" not in Path(env["GIT_CONFIG_GLOBAL"]).read_text()
            env |= {"PATH": os.environ["PATH"], "HEROKU_API_KEY": "a-secret-key", "GIT_TERMINAL_PROMPT": "0"}
            argv = ["git", "credential", "fill"]
            return subprocess.run(argv, env=env, input=f"url={url}\n\n", text=True, capture_output=True).stdout

    assert "username=heroku\npassword=a-secret-key\n" in asked("https://git.heroku.com/hub.git")
    assert "a-secret-key" not in asked("https://example.com/hub.git")


@pytest.mark.parametrize(
    "options",
    [{}, {"app": "--help"}, {"app": "hub", "remote": "--upload-pack=x"}, {"app": "hub", "colour": "red"}, {"app": 3}],
)
def test_options_that_make_no_sense_are_refused_when_the_config_loads(options: dict[str, object]):
    with pytest.raises(ValidationError):
        STRATEGIES["git_push_heroku"].Options.model_validate(options)


def test_without_a_remote_the_push_goes_to_heroku(world: DeployWorld):
    target = Target(strategy="git_push_heroku", options={"app": "hub"})
    assert world.strategy.commands(world.app, target, "abc")[0][-2:] == (
        "https://git.heroku.com/hub.git",
        "abc:refs/heads/main",
    )
