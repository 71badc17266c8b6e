"""What the bot answers to those who look or were refused: status, deployments, repositories, tasks, refusals. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bot.message import Colour, Message, card
from bot.screens import FINISHED, MARKS, SEAL_WORDS
from bot.words_for_discord import ago, code, day, listed, plain
from core.board import TaskList, TaskPage
from core.conductor import Status
from core.deployments import Deployment
from core.errors import Reason
from core.registry import Registry
from core.releases import Release
from core.tasks import legal_moves
from core.words import lasting, short


def refusal(reasons: Sequence[Reason]) -> Message:
    """What, why and next of every reason."""
    rows = [
        f"⛔ **{plain(reason.what, 400)}**"
        + (f"\n{plain(reason.why, 600)}" if reason.why else "")
        + (f"\n→ {plain(reason.next, 300)}" if reason.next else "")
        for reason in reasons
    ]
    return card(listed(rows, 3500), colour=Colour.BAD)


def breakdown(number: str) -> Message:
    """Something nobody foresaw."""
    return card(
        f"⛔ **Something broke on our side** ({number})\nNothing is known to have changed: `/release status` tells.\n"
        f"→ look for {number} in the log of stationmaster",
        colour=Colour.BAD,
    )


def done(words: str, next_: str = "") -> Message:
    """One sentence about what was done, already safe, and what to do next."""
    return card(f"✅ {words}" + (f"\n→ {next_}" if next_ else ""), colour=Colour.GOOD)


def frozen(release: Release) -> Message:
    """What every repository of the train is, from now on."""
    rows = [
        f"• {plain(one.repository, 60)} {code(short(one.sha))} {plain(one.version, 30) if one.version else ''}"
        for one in release.frozen
    ]
    head = f"## 🧊 {plain(release.slug, 48)} is frozen\nProduction gets exactly these commits and bytes."
    return card(head, listed(rows, 3000), "→ `/release ship`", colour=Colour.GOOD)


def status(found: Status) -> Message:
    """A release with its members, its ship and its seals."""
    release, ship = found.release, found.progress
    opened = f"opened by {plain(release.opened_by, 60)} {ago(release.opened_at)}"
    head = [f"## 🚂 {plain(release.slug, 48)} — {release.state}", opened]
    if found.holder:
        head.append(f"the train is held by {plain(found.holder.holder, 100)} since {ago(found.holder.since)}")
    members = [f"• {plain(task.title, 120)} ({plain(task.slug, 48)}) — {task.stage}" for task in found.tasks]
    blocks = ["**Aboard**\n" + (listed(members, 1200) or "nobody yet: `/release add`")]
    if ship:
        rows = [f"{MARKS[step.state]} {plain(step.title, 100)} — {step.state}" for step in ship.steps]
        count = f"{len(ship.of(*FINISHED))}/{len(ship.steps)} steps done"
        blocks.append(f"**Ship: {ship.state}**, attempt {ship.attempt}, {count}\n" + listed(rows, 1500))
    blocks.append(
        listed([f"{SEAL_WORDS[s.status]} · {plain(s.app, 48)} — {plain(s.summary, 120)}" for s in found.seals], 600)
    )
    return card("\n".join(head), *blocks)


def deployments(found: Sequence[Deployment]) -> Message:
    """What runs where, as far as the record knows."""
    rows = [_deployment(one) for one in found]
    return card("## 🌍 What runs where", listed(rows, 3400) or "no apps are registered")


def repositories(registry: Registry) -> Message:
    """Every registered repository and how it reaches production."""
    rows = [
        f"💎 **{plain(one.name, 60)}** — package ({plain(one.ecosystem, 30)})" for one in registry.packages.values()
    ]
    for app in registry.apps.values():
        how = app.prod_deploy.strategy if app.prod_deploy else "main advances, nothing is deployed"
        kind = "hub" if app.hub else "satellite"
        rows.append(f"{plain(app.emoji, 8)} **{plain(app.name, 60)}** — {kind}, {plain(how, 60)}")
    return card("## 📚 Repositories", listed(rows, 3400) or "none is registered")


def task_list(found: TaskList) -> Message:
    """Newest first, and how many are not shown (L28)."""
    rows = [f"• {plain(task.title, 120)} ({plain(task.slug, 48)}) — {task.stage}" for task in found.tasks]
    hidden = found.total - len(found.tasks)
    return card(
        f"## 🗂️ {found.total} task(s)", listed(rows, 3400), f"{hidden} older ones are not shown" if hidden else ""
    )


def task_page(page: TaskPage) -> Message:
    """One task with everything that is known of it; blank sections are left out."""
    task = page.task
    facts = [
        f"**{task.stage}** · {task.type} · shape {plain(task.shape, 60)}"
        + (f" · rides {plain(task.release, 48)}" if task.release else "")
    ]
    facts += [f"• {plain(work.repository, 60)}: {code(work.branch, 120)}" for work in task.works]
    times = {"created": task.created_at, "started": task.started_at, "completed": task.completed_at}
    facts.append(" · ".join(f"{name} {day(at)}" for name, at in times.items() if at))
    texts = {
        "Acceptance criteria": task.acceptance_criteria,
        "Expected test plan": task.test_plan,
        "Agent context": task.agent_context,
        "Depends on": ", ".join(task.depends_on),
        "Post-deploy command": task.post_deploy_cmd,
    }
    moves = [
        f"{day(move.at)} {move.origin or '—'} → {move.to} by {plain(move.actor, 60)}"
        + (f" after {lasting(move.seconds)}" if move.seconds is not None else "")
        + (f": {plain(move.reason, 120)}" if move.reason else "")
        for move in page.moves
    ]
    return card(
        f"## {plain(task.title, 240)}\n{code(task.slug)}",
        listed(facts, 900),
        *(f"**{name}**\n{plain(text, 500)}" for name, text in texts.items() if text),
        "**Checks run**\n" + listed([f"• {plain(check, 160)}" for check in page.checks], 500) if page.checks else "",
        "**Timeline**\n" + listed(moves, 800),
        f"→ next: {', '.join(legal_moves(task.stage)) or 'nothing'}",
    )


def _deployment(one: Deployment) -> str:
    verified = "verified" if one.verified else "not verified"
    what = f"{code(short(one.sha))} {verified}" if one.sha else "never deployed by us"
    since = f" · {plain(one.release, 48)} {ago(one.at)}" if one.release and one.at else ""
    seal = f" · seal {SEAL_WORDS[one.seal.status]}" if one.seal else ""
    return f"{plain(one.app.emoji, 8)} **{plain(one.app.name, 60)}** {what}{since}{seal}"
