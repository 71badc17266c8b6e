"""Deploy by pushing the commit to a Heroku-like git remote; post-deploy commands by `heroku run` (spec 6.7, 7.2).

A push that exits 0 proves nothing: a failed release phase leaves it at 0 and the ref moved, so `/up` decides.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import yarl
from pydantic import Field

from adapters.deploys import boot
from adapters.deploys.heroku_releases import Verdict, look
from adapters.deploys.options import EnvNames, StrictOptions
from adapters.deploys.telling import end_of, way_back
from adapters.git import MirrorRepositories
from adapters.pushing import PushReport, is_denied, push_argv
from adapters.web import Web
from core.errors import NeedsOperator, Reason, StepFailed, Trouble, Unreachable
from core.observations import Already, CannotTell, Facts, NotYet, Observation
from core.ports import Clock, Finished, Needs, Processes
from core.registry import App, Argv, Sha, Target
from core.words import short

_RELEASE_FAILED = re.compile(r"Waiting for release\.+ failed")
_REFUSED_AS_OLD = re.compile(r"fetch first|non-fast-forward|stale info")
_LIST_SECONDS = 2
_VERDICT = re.compile(r"^\W*(?:Error: )?Process exited with code (\d+)\W*$", re.MULTILINE)
_STARTED = re.compile(r"No exit code returned|\.\.\. \w+, run\.\d+")


class GitPushHeroku:
    """`strategy: git_push_heroku`."""

    name = "git_push_heroku"
    needs_address = True

    class Options(StrictOptions):
        """`remote`: git URL, Heroku's own unless set. `run_seconds`: how long a post-deploy command may take.

        `releases`: ask `heroku releases` what runs, where the app does not say it; unless set, on Heroku itself.
        """

        app: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
        remote: Annotated[str | None, Field(pattern=r"^[^-\s]")] = None
        branch: Annotated[str, Field(pattern=r"^[^-\s]\S*$")] = "main"
        boot_seconds: Annotated[float, Field(gt=0)] = 120
        run_seconds: Annotated[float, Field(gt=0)] = 3600
        releases: bool | None = None
        credentials: EnvNames = ("HEROKU_API_KEY",)

        @property
        def place(self) -> str:
            """Where to push."""
            return self.remote or f"https://git.heroku.com/{self.app}.git"

        @property
        def lists_releases(self) -> bool:
            """Does the platform know what it released?"""
            host = yarl.URL(self.place).host if "://" in self.place else None
            return self.releases if self.releases is not None else host in ("git.heroku.com", "heroku.com")

    def __init__(self, processes: Processes, repositories: MirrorRepositories, web: Web, clock: Clock) -> None:
        self._processes, self._repositories, self._web, self._clock = processes, repositories, web, clock

    def needs(self, app: App, target: Target) -> Needs:
        options = _options(target)
        asks = target.revision_path is None and options.lists_releases
        return Needs(credentials=options.credentials, tools=("git", "heroku") if asks else ("git",))

    def commands(self, app: App, target: Target, commit: str) -> tuple[Argv, ...]:
        options = _options(target)
        return (push_argv(options.place, commit, options.branch),)

    async def observe(self, app: App, target: Target, commit: Sha) -> Observation:
        """What the app says; where it does not answer, a git remote elsewhere proves that `commit` never got there."""
        options = _options(target)
        if target.revision_path is None and options.lists_releases:
            return await self._listed(app, target, options, commit)
        seen = await boot.observe_revision(self._web, app, target, commit, require_up=True)
        if not isinstance(seen, CannotTell):
            return seen
        try:
            head = await self._head(app, options)
        except Unreachable:
            return seen
        return seen if head == commit else NotYet(f"{seen.why}; {_place(options, head)}")

    async def deploy(self, app: App, target: Target, commit: Sha, *, log: Path) -> Facts:
        """Push, then wait until it serves. Refused, before anything, when there is no address to look at."""
        boot.required_url(app, target)
        options = _options(target)
        with git_config(options.place, options.credentials) as env:
            report = await self._repositories.push_to(
                app, commit, options.place, options.branch, env=env, credentials=options.credentials, log=log
            )
        match report.status:
            case "rejected":
                raise _rejected(app, commit, report)
            case "not sent":
                raise _not_sent(app, options, report)
            case "unknown":
                await self._require_arrival(app, options, commit, report)
            case "moved" | "up to date":
                pass
        # git exits 0 then, and pushing once more deploys nothing (toolchains.md 0.10).
        if _RELEASE_FAILED.search(report.stderr):
            raise StepFailed(f"the release phase of {app.name} failed", _words_of(report), _retry(options))
        seconds = options.boot_seconds
        why = f"git says {report.status}, yet after {seconds:g} s old code serves: slow to boot, or its release failed"
        next_ = (
            f"wait and release resume; where heroku releases --app={options.app} shows a failed one, {_retry(options)}"
        )
        stale = Reason("", why, next_)
        proof: Facts = {}
        if target.revision_path is None and options.lists_releases:
            proof = await self._released(app, options, commit)
        facts = await boot.until_serving(self._web, self._clock, app, target, commit, seconds=seconds, stale=stale)
        # What failed leaves the ref moved: a push that does nothing, or whose answer was lost, proves nothing.
        if report.status != "moved" and not proof and not facts["verified"]:
            push = "the push moved nothing" if report.status == "up to date" else "the answer to the push was lost"
            why = f"{push}, {app.name} answers, and nothing there says which commit it runs"
            raise NeedsOperator(f"nobody can tell whether {app.name} runs {short(commit)}", why, boot.ANSWER)
        return {**facts, **proof}

    def run_argv(self, app: App, target: Target, command: Argv) -> Argv:
        """One word holds the whole command and `--app=` is joined: the CLI repeats words that it knows itself."""
        # Without --exit-code it is 0 as soon as the command has begun (L01).
        head = ("heroku", "run", "--exit-code", "--no-tty", f"--app={_options(target).app}", "--")
        word = shlex.join(command)
        return (*head, f"'{word}'" if word in head else word)

    async def run(self, app: App, target: Target, command: Argv, commit: Sha, *, log: Path) -> Facts:
        """See `core.ports.Strategy`; told apart are the remote verdict, never started, and never heard of again."""
        options, shown = _options(target), shlex.join(command)
        with git_config(options.place, options.credentials) as env:
            try:
                ended = await self._processes.run(
                    self.run_argv(app, target, command),
                    env=env,
                    credentials=options.credentials,
                    timeout_seconds=options.run_seconds,
                    log=log,
                )
            except Unreachable as trouble:
                why = trouble.reasons[0].why
                raise StepFailed(
                    f"{shown} did not start on {app.name}", why, "install it, then release resume"
                ) from trouble
            except StepFailed as trouble:
                what = f"nobody can tell how {shown} ended on {app.name}"
                raise NeedsOperator(what, trouble.reasons[0].why, boot.ANSWER) from trouble
        if ended.exit_code:
            raise _run_trouble(app, options, shown, ended, log)
        return {"exit": 0}

    async def rollback(self, app: App, target: Target, bad: Sha, before: Sha | None) -> tuple[str, ...]:
        """Nothing when the app says that it runs something else already: undoing that would be wrong (L47)."""
        if isinstance(await boot.observe_revision(self._web, app, target, bad), NotYet):
            return ()
        undo = f"heroku releases:rollback --app={_options(target).app}"
        return (undo, *await way_back(self._repositories, app, bad, before))

    async def _look(self, options: Options, commit: Sha) -> Verdict:
        with git_config(options.place, options.credentials) as env:
            return await look(self._processes, options.app, commit, env, options.credentials)

    async def _listed(self, app: App, target: Target, options: Options, commit: Sha) -> Observation:
        """What the platform says, where the app itself does not."""
        try:
            seen = await self._look(options, commit)
            status = (await self._web.get(f"{boot.required_url(app, target)}/up")).status
        except Unreachable as trouble:
            return CannotTell(str(trouble))
        match seen.state:
            case "runs":
                done = {"verified": True, "proof": seen.words}
                return Already(done) if status == 200 else NotYet(f"{seen.words}, and /up answers {status}")
            case "failed" | "another runs":
                return NotYet(seen.words)
            case "pending" | "unknown":
                return CannotTell(seen.words)

    async def _released(self, app: App, options: Options, commit: Sha) -> Facts:
        """Wait until the platform has released `commit`: the facts of that. Raises what it says instead."""
        give_up_at = self._clock.now() + timedelta(seconds=options.boot_seconds)
        while (seen := await self._look(options, commit)).state in ("pending", "another runs"):
            if self._clock.now() >= give_up_at:
                break
            await self._clock.sleep(_LIST_SECONDS)
        match seen.state:
            case "runs":
                return {"verified": True, "proof": seen.words}
            case "failed":
                raise StepFailed(f"the release phase of {app.name} failed", seen.words, _retry(options))
            case "another runs" | "pending":
                raise StepFailed(f"{app.name} does not run {short(commit)}", seen.words, _retry(options))
            case "unknown":
                raise NeedsOperator(f"nobody can tell what {app.name} runs", seen.words, boot.ANSWER)

    async def _head(self, app: App, options: Options) -> Sha | None:
        with git_config(options.place, options.credentials) as env:
            return await self._repositories.head_of(
                app, options.place, options.branch, env=env, credentials=options.credentials
            )

    async def _require_arrival(self, app: App, options: Options, commit: Sha, report: PushReport) -> None:
        """The answer was lost: the remote's branch tells whether the push was taken."""
        try:
            head = await self._head(app, options)
        except Unreachable as trouble:
            what = f"nobody can tell whether {short(commit)} reached {app.name}"
            raise NeedsOperator(what, f"{report.summary}; {trouble.reasons[0]}", boot.ANSWER) from trouble
        if head != commit:
            why = (
                f"the answer to the push was lost, and now {_place(options, head)}; it may have been built all the same"
            )
            why = f"{why}\n{_words_of(report)}".strip()
            raise StepFailed(
                f"the push of {short(commit)} to {app.name} was cut off",
                why,
                "release resume: pushing it a second time is harmless",
            )


@contextmanager
def git_config(url: str, names: Sequence[str]) -> Generator[dict[str, str]]:
    """Variables that give git a configuration of its own, which answers for a password at `url`, and the CLI its peace.

    The CLI writes into that file at every start. The password is the first credential, by name: its value stays in the
    environment.
    """
    parsed = yarl.URL(url)
    lines: list[str] = []
    if parsed.scheme in ("http", "https") and names:
        helper = rf'"!f() {{ echo username=heroku; echo \"password=${names[0]}\"; }}; f"'
        lines = [f'[credential "{parsed.origin()}"]', f"helper = {helper}"]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "gitconfig"
        file.write_text("\n".join(lines))
        yield {"GIT_CONFIG_GLOBAL": str(file), "HEROKU_SKIP_NEW_VERSION_CHECK": "true", "TERM": "dumb"}


def _options(target: Target) -> GitPushHeroku.Options:
    return GitPushHeroku.Options.model_validate(target.options)


def _place(options: GitPushHeroku.Options, head: Sha | None) -> str:
    return f"its {options.branch} is at {short(head)}" if head else f"it has no {options.branch}"


def _retry(options: GitPushHeroku.Options) -> str:
    return f"heroku releases:retry --app={options.app} once its cause is gone, then release resume"


def _words_of(report: PushReport) -> str:
    """What the remote said; else what git said."""
    lines = report.stderr.splitlines()
    said = [line.removeprefix("remote:").strip() for line in lines if line.startswith("remote:")] or lines
    return "\n".join([line for line in said if line][-8:])


def _not_sent(app: App, options: GitPushHeroku.Options, report: PushReport) -> StepFailed:
    """Before anything could happen: a plain failure, which names the credential where that is what was refused."""
    keys = " or ".join(options.credentials)
    denied = f"give {keys} a key that may push to {options.app}" if keys else "see who may push there"
    next_ = denied if is_denied(report.stderr) else f"see that {options.place} can be reached"
    return StepFailed(f"nothing was pushed to {app.name}", report.summary, f"{next_}, then release resume")


def _rejected(app: App, commit: Sha, report: PushReport) -> Trouble:
    why = f"{report.summary}\n{_words_of(report)}".strip()
    if _REFUSED_AS_OLD.search(report.summary):
        next_ = f"somebody pushed there: merge what it has into {app.release_branch}, then release prepare"
    else:
        next_ = "release resume builds it again; when the code is at fault, ship a fix"
    return StepFailed(f"{app.name} refused {short(commit)}", why, next_)


def _run_trouble(app: App, options: GitPushHeroku.Options, shown: str, ended: Finished, log: Path) -> Trouble:
    """Known are only the CLI's last word with its own exit code, and an error before it named a dyno."""
    verdicts, started = _VERDICT.findall(ended.stderr), _STARTED.search(ended.stderr)
    if verdicts and int(verdicts[-1]) == ended.exit_code and "No exit code returned" not in ended.stderr:
        next_ = f"see heroku logs --app={options.app}; release resume runs it again"
        return StepFailed(f"{shown} exited with {ended.exit_code} on {app.name}", end_of(log), next_)
    if ended.exit_code > 0 and ended.stderr.strip() and not verdicts and not started:
        return StepFailed(f"{shown} did not start on {app.name}", end_of(log), "release resume, when that is mended")
    why = f"it was started and never heard of again\n{end_of(log)}".strip()
    return NeedsOperator(f"nobody can tell how {shown} ended on {app.name}", why, boot.ANSWER)
