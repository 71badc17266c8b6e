"""Every sentence of the command line, as plain lines. Pure; colour and live display are the terminal's business."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from core.board import TaskList, TaskPage
from core.conductor import Status
from core.deployments import Deployment
from core.errors import Reason
from core.events import Event, EventKind
from core.journal import SealRecord, SealStatus, ShipState
from core.notes import ReleaseNotes
from core.registry import Registry
from core.tasks import legal_moves
from core.train.progress import Progress, StepState
from core.train.proposal import Outlook, Proposal
from core.words import lasting, short

_MARKS = {
    StepState.WAITING: "·",
    StepState.RUNNING: "▸",
    StepState.DONE: "✓",
    StepState.ALREADY: "=",
    StepState.WARNED: "!",
    StepState.FAILED: "✗",
    StepState.UNKNOWN: "?",
}
_SEALS = {SealStatus.GREEN: "🟢 passed", SealStatus.RED: "🔴 FAILED", SealStatus.UNSEALED: "⚪ not sealed"}


def refusal(reasons: Sequence[Reason]) -> Iterator[str]:
    """What, why and next of every reason."""
    for reason in reasons:
        yield f"✗ {one_line(reason.what)}"
        if reason.why:
            yield f"    {one_line(reason.why)}"
        if reason.next:
            yield f"    → {one_line(reason.next)}"


def proposal(found: Proposal) -> Iterator[str]:
    """The plan: every step in order with what it will run, then every reason not to start."""
    if found.plan:
        yield f"Ship plan of {found.release} (plan {found.digest})"
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
    if found.problems:
        yield f"{found.release} cannot ship, for {len(found.problems)} reason(s):"
        yield from refusal(found.problems)


def event_line(event: Event) -> Iterator[str]:
    """What a person wants to read of one event, if anything; times are local to the reader's terminal."""
    title, seconds = str(event.facts.get("title", "")), event.facts.get("seconds")
    took = f" ({lasting(float(seconds))})" if isinstance(seconds, int | float) else ""
    reasons = event.facts.get("reasons")
    why = "; ".join(one_line(reason) for reason in reasons) if isinstance(reasons, list) else ""
    line = {
        EventKind.SHIP_CONFIRMED: f"▸ ship of {event.release} confirmed by {event.actor}",
        EventKind.SHIP_RESUMED: f"▸ ship of {event.release} resumed by {event.actor}",
        EventKind.STEP_STARTED: f"▸ {title}",
        EventKind.STEP_DONE: f"✓ {title}{took}{_told(event)}",
        EventKind.STEP_ADOPTED: f"= {title}: already so",
        EventKind.STEP_WARNED: f"! {title}: {why}",
        EventKind.STEP_FAILED: f"✗ {title}{took}: {why}",
        EventKind.STEP_UNKNOWN: f"? {title}: {why}",
        EventKind.SHIP_CANCELLED: f"■ ship of {event.release} cancelled by {event.actor}",
    }.get(event.kind)
    if line:
        yield f"{event.at.astimezone():%H:%M:%S} {line}"


def report(progress: Progress) -> Iterator[str]:
    """How a ship ended: shipped; or what is live, what failed, what was not started, and how to go on (spec 6.8)."""
    if progress.state is ShipState.FINISHED:
        yield f"✓ {progress.release} is shipped"
        yield from _warnings(progress)
        return
    if progress.state is ShipState.RUNNING:
        yield f"▸ {progress.release} is shipping, attempt {progress.attempt}, confirmed by {progress.confirmed_by}"
    else:
        yield f"✗ the ship of {progress.release} is {progress.state}"
    yield from _listed("live already, in order", progress.live)
    if progress.is_resting:
        yield "the hub is new beside a satellite that is not: an accepted resting state"
    yield from _listed("failed", (step.title for step in progress.of(StepState.FAILED)))
    yield from _listed("nobody can tell", (step.title for step in progress.of(StepState.UNKNOWN)))
    yield from (f"    log: {step.log}" for step in progress.of(StepState.FAILED, StepState.UNKNOWN) if step.log)
    yield from refusal(progress.reasons)
    yield from _warnings(progress)
    yield from _listed("not started", (step.title for step in progress.of(StepState.WAITING)))
    if progress.state is ShipState.STOPPED:
        yield f"go on: stationmaster release resume {progress.release}"
    if progress.state is ShipState.ASKING:
        yield f"go on: stationmaster release resume {progress.release} --answer happened   (or: --answer again)"


def status(found: Status) -> Iterator[str]:
    """A release with its members, its ship and its seals."""
    release = found.release
    yield f"{release.slug}: {release.state}, opened by {release.opened_by} {when(release.opened_at)}"
    yield from (f"  {task.slug:24} {task.stage:10} {one_line(task.title)}" for task in found.tasks)
    yield from (f"  frozen {one.repository:16} {short(one.sha)} {one.version or ''}" for one in release.frozen)
    if found.holder:
        yield f"the train is held by {found.holder.holder} since {when(found.holder.since)}"
    if found.progress:
        yield from (f"  {_MARKS[step.state]} {step.title}" for step in found.progress.steps)
        yield from report(found.progress)
        if found.progress.state is ShipState.RUNNING and not found.holder:
            yield f"nobody drives it; take it over: stationmaster release resume {release.slug}"
    yield from (line for seal in found.seals for line in seal_lines(seal))


def seal_lines(seal: SealRecord) -> Iterator[str]:
    """The verdict on one app, what was looked at, and on red how to undo it."""
    yield f"{_SEALS[seal.status]} {seal.app}: {one_line(seal.summary)}"
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


def task_list(found: TaskList) -> Iterator[str]:
    """Newest first, and how many are not shown."""
    for task in found.tasks:
        yield f"{task.slug:32} {task.stage:10} {one_line(task.title)}"
    hidden = found.total - len(found.tasks)
    yield f"{found.total} task(s)" + (f", {hidden} not shown: --limit" if hidden else "")


def task_page(page: TaskPage) -> Iterator[str]:
    """One task with everything that is known of it; blank sections are left out."""
    task = page.task
    yield f"{task.slug}: {one_line(task.title)}"
    yield f"  {task.stage}, {task.type}, shape {task.shape}" + (f", rides {task.release}" if task.release else "")
    yield from (f"  {work.repository}: {work.branch}" for work in task.works)
    times = {"created": task.created_at, "started": task.started_at, "completed": task.completed_at}
    yield from (f"  {name} {when(at)}" for name, at in times.items() if at)
    texts = {
        "acceptance criteria": task.acceptance_criteria,
        "expected test plan": task.test_plan,
        "agent context": task.agent_context,
        "post-deploy command": task.post_deploy_cmd,
        "depends on": ", ".join(task.depends_on),
    }
    yield from (f"  {name}: {one_line(text)}" for name, text in texts.items() if text)
    yield from _listed("checks run", page.checks)
    yield "timeline:"
    for move in page.moves:
        spent = f" after {lasting(move.seconds)}" if move.seconds is not None else ""
        why = f": {one_line(move.reason)}" if move.reason else ""
        yield f"  {when(move.at)} {move.origin or '—'} → {move.to} by {move.actor} ({move.source}){spent}{why}"
    yield f"next: {', '.join(legal_moves(task.stage)) or 'nothing'}"


def deployments(found: Sequence[Deployment]) -> Iterator[str]:
    """What runs where, as far as the record knows."""
    for one in found:
        what = (
            f"{short(one.sha)} {'verified' if one.verified else 'not verified'}" if one.sha else "never deployed by us"
        )
        since = f", {one.release} {when(one.at)}" if one.release and one.at else ""
        seal = f", seal {_SEALS[one.seal.status]}" if one.seal else ""
        yield f"{one.app.name:20} {what}{since}{seal}  {one.app.base_url or ''}".rstrip()


def repositories(registry: Registry) -> Iterator[str]:
    """Every registered repository and how it reaches production."""
    for package in registry.packages.values():
        yield f"{package.name:20} package ({package.ecosystem})  {package.url}"
    for app in registry.apps.values():
        how = app.prod_deploy.strategy if app.prod_deploy else "not deployed"
        yield f"{app.name:20} {'hub' if app.hub else 'satellite'} ({how})  {app.url}"


def when(at: datetime) -> str:
    """A moment in the reader's own zone."""
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


def one_line(text: str) -> str:
    """Foreign text without line breaks and control characters, which could repaint a terminal."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


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
