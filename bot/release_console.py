"""What the command line says of trains, deployments and tokens, and every refusal, as plain lines. Pure.

Colour and live display are the terminal's business; the words about tasks are in `bot.task_console`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from core.conductor import Assembly, Status
from core.deployments import Deployment
from core.errors import Reason
from core.events import Event, EventKind
from core.journal import RunKind, RunState, SealRecord, SealStatus
from core.notes import ReleaseNotes
from core.people import Identity
from core.registry import Registry
from core.tokens import Issued, Token
from core.train.progress import Progress, StepState
from core.train.proposal import TYPED, Outlook, Proposal
from core.train.standing import Standing
from core.words import COMMAND, counted, lasting, short

_MARKS = {
    StepState.WAITING: "·",
    StepState.RUNNING: "▸",
    StepState.DONE: "✓",
    StepState.ALREADY: "=",
    StepState.WARNED: "!",
    StepState.FAILED: "✗",
    StepState.UNKNOWN: "?",
}
SEAL_WORDS = {SealStatus.GREEN: "🟢 passed", SealStatus.RED: "🔴 FAILED", SealStatus.UNSEALED: "⚪ not sealed"}


def refusal(reasons: Sequence[Reason]) -> Iterator[str]:
    """What, why and next of every reason."""
    for reason in reasons:
        yield f"✗ {one_line(reason.what)}"
        if reason.why:
            yield f"    {one_line(reason.why)}"
        if reason.next:
            yield f"    → {_typed(reason.next)}"


def assembly(found: Assembly) -> Iterator[str]:
    """What a prepare would do: who merges where, who waits for whom, who is left behind; then its plan."""
    for branch in found.queue.branches if found.queue else ():
        merges = ", ".join(f"{one.task} ({one.branch})" for one in branch.merges)
        yield f"{branch.repository}: {merges or 'nothing to merge'}"
        yield from (
            f"  ! nobody's: {short(one.commit)} {one_line(one.title)}; take it off: {one.revert}"
            for one in branch.foreign
        )
    yield from (f"{task} waits for {', '.join(needed)}" for task, needed in found.waits.items() if needed)
    for one in found.queue.ejections if found.queue else ():
        yield f"✗ {one.task} would be ejected: {one_line(one.because)}"
        yield from (f"    {repository}: {', '.join(paths)}" for repository, paths in one.conflicts.items())
    yield from (f"{app} has no QA: it is merged and frozen only" for app in found.not_on_qa)
    yield from proposal(found.proposal, RunKind.PREPARE)


def proposal(found: Proposal, kind: RunKind = RunKind.SHIP) -> Iterator[str]:
    """The plan: every step in order with what it will run, then every reason not to start."""
    if found.plan:
        yield f"{kind.capitalize()} plan of {found.release} (plan {found.digest[:TYPED]})"
        previews = {preview.step: preview for preview in found.previews}
        for phase in found.plan.phases:
            if phase == found.plan.point_of_no_return:
                yield "── point of no return: until here a ship can be cancelled ──"
            yield f"{phase.name}:"
            for lane in phase.lanes:
                for step in lane.steps:
                    preview = previews[step.id]
                    mark = {Outlook.SKIP: "  (already so: skipped)", Outlook.ASK: "  (cannot tell)"}.get(
                        preview.outlook, ""
                    )
                    yield f"  {preview.title}{mark}" + (f"  — {one_line(preview.detail)}" if preview.detail else "")
                    yield from (f"      $ {shlex.join(argv)}" for argv in preview.commands)
    yield from odd(found.unseen)
    if found.problems:
        what = "ship" if kind is RunKind.SHIP else "be prepared"
        yield f"{found.release} cannot {what}, for {counted(len(found.problems), 'reason')}:"
        yield from refusal(found.problems)


def event_line(event: Event) -> Iterator[str]:
    """What a person wants to read of one event, if anything; times are local to the reader's terminal."""
    title, seconds = str(event.facts.get("title", "")), event.facts.get("seconds")
    took = f" ({lasting(float(seconds))})" if isinstance(seconds, int | float) else ""
    reasons = event.facts.get("reasons")
    why = "; ".join(one_line(reason) for reason in reasons) if isinstance(reasons, list) else ""
    kind = event.facts.get("kind", RunKind.SHIP)
    started = "confirmed" if kind == RunKind.SHIP else "started"
    line = {
        EventKind.RUN_CONFIRMED: f"▸ {kind} of {event.release} {started} by {event.actor}",
        EventKind.RUN_RESUMED: f"▸ {kind} of {event.release} resumed by {event.actor}",
        EventKind.STEP_STARTED: f"▸ {title}",
        EventKind.STEP_DONE: f"✓ {title}{took}{_told(event)}",
        EventKind.STEP_ADOPTED: f"= {title}: already so",
        EventKind.STEP_WARNED: f"! {title}: {why}",
        EventKind.STEP_FAILED: f"✗ {title}{took}: {why}",
        EventKind.STEP_UNKNOWN: f"? {title}: {why}",
        EventKind.RUN_CANCELLED: f"■ {kind} of {event.release} cancelled by {event.actor}",
    }.get(event.kind)
    if line:
        yield f"{event.at.astimezone():%H:%M:%S} {line}"


def report(progress: Progress) -> Iterator[str]:
    """How a run ended: well; or what is live, what failed, what was not started, and how to go on (spec 6.8)."""
    is_ship = progress.kind is RunKind.SHIP
    if progress.state is RunState.FINISHED:
        yield f"✓ {progress.release} is {'shipped' if is_ship else 'prepared'}"
        if not is_ship:
            yield from _listed("QA runs", progress.live)
            yield from _listed("ejected", progress.ejected)
            yield "next: stationmaster release ship"
        yield from _warnings(progress)
        return
    if progress.state is RunState.RUNNING:
        doing = "shipping" if is_ship else "being prepared"
        by = f"{'confirmed' if is_ship else 'started'} by {progress.confirmed_by}"
        yield f"▸ {progress.release} is {doing}, {by}"
    else:
        yield f"✗ the {progress.kind} of {progress.release} is {progress.state}"
    yield from _listed("live already, in order" if is_ship else "on QA already, in order", progress.live)
    if progress.is_resting:
        yield "the hub is new beside a satellite that is not: an accepted resting state"
    yield from _listed("failed", (step.title for step in progress.of(StepState.FAILED)))
    yield from _listed("nobody can tell", (step.title for step in progress.of(StepState.UNKNOWN)))
    yield from (f"    log: {step.log}" for step in progress.of(StepState.FAILED, StepState.UNKNOWN) if step.log)
    yield from refusal(progress.reasons)
    yield from _warnings(progress)
    yield from _listed("not started", (step.title for step in progress.of(StepState.WAITING)))
    if progress.state is RunState.STOPPED:
        # A prepare may be begun again at any time, and takes up what was pushed meanwhile; a resume would not.
        yield f"go on: stationmaster release {'resume' if is_ship else 'prepare'} {progress.release}"
    if progress.state is RunState.ASKING:
        yield f"go on: stationmaster release resume {progress.release} --answer happened   (or: --answer again)"


def status(found: Status) -> Iterator[str]:
    """A release with its members, its newest run and its seals."""
    release = found.release
    yield f"{release.slug}: {release.state}, opened by {release.opened_by} {when(release.opened_at)}"
    yield from (f"  {task.slug:24} {task.stage:10} {one_line(task.title)}" for task in found.tasks)
    yield from (f"  frozen {one.repository:16} {short(one.sha)} {one.version or ''}".rstrip() for one in release.frozen)
    if found.holder:
        yield f"the train is held by {found.holder.holder} since {when(found.holder.since)}"
    if found.progress:
        if found.progress.state is not RunState.FINISHED:
            yield from (f"  {_MARKS[step.state]} {step.title}" for step in found.progress.steps)
        yield from report(found.progress)
        if found.progress.state is RunState.RUNNING and not found.holder:
            yield f"nobody drives it; take it over: stationmaster release resume {release.slug}"
    yield from (line for seal in found.seals for line in seal_lines(seal))


def standing(found: Standing) -> Iterator[str]:
    """The table, a row per task and repository, and whatever is odd with what repairs it."""
    if found.rows:
        yield f"  {'task':24} {'repository':16} merged on QA  frozen live"
    for row in found.rows:
        marks = " ".join(f"{mark:6}" for mark in (row.merged, row.qa, row.frozen, row.live))
        yield f"  {row.task:24} {row.repository:16} {marks}".rstrip()
    yield from odd(found.anomalies)


def odd(reasons: Iterable[Reason]) -> Iterator[str]:
    """What hinders nothing, and somebody should know."""
    for reason in reasons:
        yield f"! {one_line(reason.what)}"
        yield f"    {one_line(reason.why)}"
        yield f"    → {_typed(reason.next)}"


def seal_lines(seal: SealRecord) -> Iterator[str]:
    """The verdict on one app, what was looked at, and on red how to undo it."""
    yield f"{SEAL_WORDS[seal.status]} {seal.app}: {one_line(seal.summary)}"
    yield from (f"    {'ok' if check.ok else 'NOT OK'} {check.name}: {one_line(check.detail)}" for check in seal.checks)
    yield from (f"    to roll back: {command}" for command in seal.rollback)


def notes(found: ReleaseNotes) -> Iterator[str]:
    """The release notes."""
    took = lasting(found.seconds)
    yield f"{found.release}, shipped {when(found.shipped_at)} by {found.confirmed_by} in {took}"
    for package in found.packages:
        yield f"  {package.name} {package.version} {short(package.sha)}" + (
            " (was live)" if package.already_live else ""
        )
    for app in found.apps:
        how = ("deployed" if app.verified else "deployed, not verified") if app.deployed else "not deployed anywhere"
        yield f"  {app.name} {short(app.sha)} {how}; seal {one_line(app.seal)}"
    for task in found.tasks:
        yield f"  - {one_line(task.title)} ({task.slug}: {', '.join(task.repositories)})"
    yield from (f"  ! {one_line(warning)}" for warning in found.warnings)


def issued(found: Issued) -> Iterator[str]:
    """A new token, for the only time."""
    yield found.secret
    yield f"token {_token(found.token)}; shown once: keep it where its agent finds STATIONMASTER_TOKEN"


def tokens(found: Sequence[Token]) -> Iterator[str]:
    """Every token, newest first."""
    yield from (_token(token) for token in found)
    if not found:
        yield "no token was made; next: token new NAME --role agent"


def people(found: Sequence[Identity]) -> Iterator[str]:
    """Everybody who has acted, and who is the same person."""
    for one in found:
        same = f"; the same person as {', '.join(one.same_as)}" if one.same_as else ""
        yield f"{one.id:32} {one_line(one.name)} ({one.face or 'before identities'}), seen {when(one.seen_at)}{same}"
    if not found:
        yield "nobody has acted yet"


def deployments(found: Sequence[Deployment]) -> Iterator[str]:
    """What runs where, as far as the record knows."""
    for one in found:
        what = (
            f"{short(one.sha)} {'verified' if one.verified else 'not verified'}" if one.sha else "never deployed by us"
        )
        since = f", {one.release} {when(one.at)}" if one.release and one.at else ""
        seal = f", seal {SEAL_WORDS[one.seal.status]}" if one.seal else ""
        yield f"{one.app.name:20} {what}{since}{seal}  {one.app.base_url or ''}".rstrip()


def repositories(registry: Registry) -> Iterator[str]:
    """Every registered repository and how it reaches production."""
    for package in registry.packages.values():
        yield f"{package.name:20} package ({package.ecosystem})  {package.url}"
    for app in registry.apps.values():
        how = app.prod_deploy.strategy if app.prod_deploy else "not deployed"
        yield f"{app.name:20} {'hub' if app.hub else 'satellite'} ({how})  {app.url}"


def log_line(event: Event) -> str:
    """An event for a log: what, on what, by whom, and its facts as key=value."""
    on = " ".join(filter(None, (event.release, event.task, event.step)))
    facts = " ".join(f"{name}={shlex.quote(str(value))}" for name, value in event.facts.items())
    return one_line(f"{event.kind}: {on} by {event.actor} {facts}")


def when(at: datetime) -> str:
    """A moment in the reader's own zone."""
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


def one_line(text: str) -> str:
    """Foreign text without line breaks and control characters, which could repaint a terminal."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _typed(next_: str) -> str:
    """The *next* of a reason, a command in it as a shell takes it."""
    return ("stationmaster " if COMMAND.match(next_) else "") + one_line(next_)


def _told(event: Event) -> str:
    """The one fact that a finished step is remembered by."""
    if event.facts.get("status"):
        return f": {event.facts['status']}, {one_line(str(event.facts.get('summary', '')))}"
    sha = event.facts.get("sha")
    return f" → {short(str(sha))}" if sha else ""


def _warnings(progress: Progress) -> Iterator[str]:
    """What did not work and did not stop the ship either."""
    yield from _listed("warnings", (str(why) for step in progress.of(StepState.WARNED) for why in step.reasons))


def _listed(title: str, items: Iterable[str]) -> Iterator[str]:
    found = list(items)
    if found:
        yield f"{title}:"
        yield from (f"  {one_line(item)}" for item in found)


def _token(token: Token) -> str:
    until = f"until {token.expires_at:%Y-%m-%d %H:%M} UTC" if token.expires_at else "until revoked"
    state = f"revoked by {one_line(token.revoked_by)}" if token.revoked_at else until
    return f"{token.id} {token.name} ({', '.join(token.roles)}), {state}"
