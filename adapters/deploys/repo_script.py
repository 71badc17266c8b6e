"""Deploy by the repository's own script, in a clean worktree at the commit (spec 6.7).

The script owns its smoke and its rollback; we only ask a target that can say so whether it runs the commit.
"""

from __future__ import annotations

import shlex
from contextlib import AsyncExitStack
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field

from adapters.deploys import boot
from adapters.deploys.options import EnvName, EnvNames, StrictOptions, Words
from adapters.deploys.runner import CHECKOUT, Runner
from adapters.deploys.telling import end_of, way_back
from adapters.git import MirrorRepositories
from adapters.web import Web
from core.errors import NeedsOperator, Reason, StepFailed, Unreachable
from core.observations import Facts, NotYet, Observation
from core.ports import Clock, Finished, Needs, Processes
from core.registry import App, Argv, Sha, Target
from core.train.own_scripts import unrunnable

_SETTLE_SECONDS = 30  # for a target that can say what it runs, after the script said that all is well


def _inside(script: Argv) -> Argv:
    path = PurePosixPath(script[0])
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise ValueError(f"{script[0]!r} is no path inside the repository")
    return (f"./{path}", *script[1:])


class RepoScript:
    """`strategy: repo_script`."""

    name = "repo_script"
    needs_address = False

    class Options(StrictOptions):
        """`script`: its first word is a path in the repository. `credentials`: variables that it may see, by name.

        `run`: where post-deploy commands run; without it there is nowhere to run one.
        """

        script: Annotated[Words, AfterValidator(_inside)]
        credentials: EnvNames = ()
        env: dict[EnvName, str] = Field(default_factory=dict[EnvName, str])
        timeout_seconds: Annotated[float, Field(gt=0)] = 1800
        run: Runner | None = None

    def __init__(self, processes: Processes, repositories: MirrorRepositories, web: Web, clock: Clock) -> None:
        self._processes, self._repositories, self._web, self._clock = processes, repositories, web, clock

    def needs(self, app: App, target: Target) -> Needs:
        options = _options(target)
        tools = options.run.tools if options.run else ()
        return Needs(files=(options.script[0].removeprefix("./"),), credentials=options.credentials, tools=tools)

    def commands(self, app: App, target: Target, commit: str) -> tuple[Argv, ...]:
        """See `core.ports.Strategy`; the commit travels in STATIONMASTER_COMMIT."""
        return (_options(target).script,)

    async def observe(self, app: App, target: Target, commit: Sha) -> Observation:
        return await boot.observe_revision(self._web, app, target, commit)

    async def deploy(self, app: App, target: Target, commit: Sha, *, log: Path) -> Facts:
        """Run the script to its end; a target that names its commit is asked afterwards; only QA is smoked again."""
        options = _options(target)
        script = options.script[0].removeprefix("./")
        if reason := await unrunnable(self._repositories, app, commit, script):
            raise StepFailed(reason)
        async with self._repositories.checkout(app, commit) as worktree:
            env = {**options.env, "STATIONMASTER_COMMIT": commit}
            ended = await self._finish(options, options.script, f"{script} of {app.name}", worktree, env, log)
        if ended.exit_code:
            next_ = "what it did so far stays done: look at its log, then release resume runs it again"
            raise StepFailed(f"{script} of {app.name} exited with {ended.exit_code}", end_of(log), next_)
        is_qa = target == app.qa_deploy  # which must boot, whatever the script says (spec 5.1)
        if not is_qa and (target.revision_path is None or boot.base_url(app, target) is None):
            return {"verified": False, "proof": f"not verified: {script} exited with 0"}
        stale = Reason("", f"{script} exited with 0 all the same", "look at its log, then release resume")
        return await boot.until_serving(
            self._web, self._clock, app, target, commit, seconds=_SETTLE_SECONDS, stale=stale, require_up=is_qa
        )

    def run_argv(self, app: App, target: Target, command: Argv) -> Argv | None:
        runner = _options(target).run
        return runner.argv(command) if runner else None

    async def run(self, app: App, target: Target, command: Argv, commit: Sha, *, log: Path) -> Facts:
        """See `core.ports.Strategy`; `run_argv` gave an argv for this command."""
        options = _options(target)
        runner, shown = options.run, f"{shlex.join(command)} on {app.name}"
        assert runner
        env = {**options.env, "STATIONMASTER_COMMIT": commit}
        async with AsyncExitStack() as stack:
            cwd = Path(runner.local) if runner.local else None
            if runner.local == CHECKOUT:
                cwd = await stack.enter_async_context(self._repositories.checkout(app, commit))
            ended = await self._finish(options, runner.argv(command), shown, cwd, env, log)
        if runner.never_began(ended):
            raise StepFailed(f"{shown} did not start", end_of(log), "release resume, when that is mended")
        if runner.is_unknown(ended):
            raise NeedsOperator(f"nobody can tell how {shown} ended", end_of(log), boot.ANSWER)
        if ended.exit_code:
            raise StepFailed(f"{shown} exited with {ended.exit_code}", end_of(log), "release resume runs it again")
        return {"exit": 0}

    async def rollback(self, app: App, target: Target, bad: Sha, before: Sha | None) -> tuple[str, ...]:
        """Only git's side: how to roll production back is the script's own knowledge."""
        if isinstance(await self.observe(app, target, bad), NotYet):
            return ()
        return await way_back(self._repositories, app, bad, before)

    async def _finish(
        self, options: Options, argv: Argv, shown: str, cwd: Path | None, env: dict[str, str], log: Path
    ) -> Finished:
        try:
            return await self._processes.run(
                argv,
                cwd=cwd,
                env=env,
                credentials=options.credentials,
                timeout_seconds=options.timeout_seconds,
                log=log,
            )
        except Unreachable as trouble:
            why = trouble.reasons[0].why
            raise StepFailed(
                f"{shown} did not start", why, f"make {argv[0]} runnable, then release resume"
            ) from trouble
        except StepFailed as trouble:
            why = f"{trouble.reasons[0].why}\n{end_of(log)}".strip()
            raise NeedsOperator(f"nobody can tell how {shown} ended", why, boot.ANSWER) from trouble


def _options(target: Target) -> RepoScript.Options:
    return RepoScript.Options.model_validate(target.options)
