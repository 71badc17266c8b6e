"""What the bot says before a ship: the plan, its exact commands, the line after which there is no way back. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime

from bot.message import Act, Button, Colour, Message, card
from bot.release_console import assembly as assembly_lines
from bot.release_console import proposal as proposal_lines
from bot.words_for_discord import ago, code, joined, listed, next_step, plain, warnings
from core.conductor import Assembly
from core.errors import Reason
from core.train.plan import Phase, Plan
from core.train.proposal import TYPED, Outlook, Preview, Proposal
from core.words import counted, short


def plan(proposal: Proposal, expires_at: datetime | None = None) -> Message:
    """The plan; with `expires_at` and no problems it can be confirmed. What does not fit goes along as a file."""
    name, digest = plain(proposal.release, 48), proposal.digest[:TYPED]
    steps, skipped = len(proposal.previews), sum(p.outlook is Outlook.SKIP for p in proposal.previews)
    body = _whole_plan(proposal)
    is_folded = len(body) > 2600 or len(proposal.problems) > 8
    headline = [f"## 🚂 Ship plan · {name}", f"{counted(steps, 'step')}, {skipped} already live · plan {code(digest)}"]
    buttons: list[Button] = []
    if proposal.problems:
        headline.append(f"**⛔ Cannot ship**, for {counted(len(proposal.problems), 'reason')}")
    elif expires_at:
        headline.append(f"One confirmation ships the whole train to production. Expires {ago(expires_at)}.")
        buttons = [
            Button("Ship it", Act.SHIP, proposal.release, digest, danger=True),
            Button("Cancel", Act.CANCEL, proposal.release, digest),
        ]
    else:
        headline.append("→ `/release ship` asks for the one confirmation; this only shows")
    return card(
        "\n".join(headline),
        listed(_reasons(proposal.problems), 2400),
        listed(warnings(proposal.unseen), 900),
        _folded_plan(proposal) if is_folded else body,
        colour=Colour.BAD if proposal.problems else Colour.BUSY,
        buttons=buttons,
        attached=("plan.txt", "\n".join(proposal_lines(proposal))) if is_folded else None,
    )


def assembly(found: Assembly) -> Message:
    """What a prepare would do: merges, ejections, what nobody owns, and its plan in a file."""
    queue, proposal = found.queue, found.proposal
    rows = list[str]()
    for branch in queue.branches if queue else ():
        merges = joined([f"{one.task} ({one.branch})" for one in branch.merges] or ["nothing to merge"], 300)
        rows.append(f"🔀 **{plain(branch.repository, 60)}**: {merges}")
        rows += [
            f"❔ nobody's: {code(short(one.commit))} {plain(one.title, 100)} · take it off: {code(one.revert, 200)}"
            for one in branch.foreign
        ]
    rows += [f"⏩ {plain(task, 48)} waits for {joined(needed, 200)}" for task, needed in found.waits.items() if needed]
    for one in queue.ejections if queue else ():
        paths = [f" · {repository}: {', '.join(found)}" for repository, found in one.conflicts.items()]
        rows.append(f"↩️ **{plain(one.task, 48)}** would be ejected: {plain(one.because + ''.join(paths), 600)}")
    rows += [f"⬜ {plain(app, 60)} has no QA: it is merged and frozen only" for app in found.not_on_qa]
    if proposal.problems:
        end = f"**⛔ Cannot be prepared**, for {counted(len(proposal.problems), 'reason')}"
    else:
        end = "→ `/release prepare` does it; nothing of it touches production"
    steps = titles(proposal.plan) if proposal.plan else ""
    return card(
        f"## 🧪 Prepare plan · {plain(proposal.release, 48)}",
        listed(rows, 1200),
        listed(warnings(proposal.unseen), 900),
        steps,
        listed(_reasons(proposal.problems), 900),
        end,
        colour=Colour.BAD if proposal.problems else Colour.BUSY,
        attached=("plan.txt", "\n".join(assembly_lines(found))),
    )


def declined(by: str) -> str:
    """Under the title of a plan on which somebody pressed Cancel."""
    return f"**✋ Declined** by {by}. Nothing was started; `/release ship` shows a new plan."


def outdated() -> str:
    """Under the title of a plan that is not what the world is like any more."""
    return "**⌛ Out of date**: the plan has changed; the new one is below."


def titles(found: Plan) -> str:
    """The steps of a plan by name, for a ship that was confirmed where nobody saw it here."""
    rows = [_phase_row(number, phase) for number, phase in enumerate(found.phases, 1)]
    return listed(rows, 2600)


def _whole_plan(proposal: Proposal) -> str:
    """Every step with its outlook and the exact commands, in order; the line after which there is no way back."""
    if proposal.plan is None:
        return ""
    previews, rows = {preview.step: preview for preview in proposal.previews}, list[str]()
    for number, phase in enumerate(proposal.plan.phases, 1):
        rows += _no_return(proposal.plan, phase)
        rows.append(f"**{number}. {plain(phase.name, 60)}**")
        for preview in (previews[step.id] for lane in phase.lanes for step in lane.steps):
            rows.append(f"• {plain(preview.title, 120)}{_outlook(preview)}")
            rows += [f"-# {code(shlex.join(argv), 400)}" for argv in preview.commands]
    return "\n".join(rows)


def _folded_plan(proposal: Proposal) -> str:
    """A line per phase; the file that goes along has everything."""
    if proposal.plan is None:
        return ""
    skipped, rows = {p.step for p in proposal.previews if p.outlook is Outlook.SKIP}, list[str]()
    for number, phase in enumerate(proposal.plan.phases, 1):
        live = sum(step.id in skipped for lane in phase.lanes for step in lane.steps)
        rows += _no_return(proposal.plan, phase)
        rows.append(_phase_row(number, phase) + (f" — ⏭️ {live} already live" if live else ""))
    return listed([*rows, "Every step and command is in plan.txt."], 2600)


def _phase_row(number: int, phase: Phase) -> str:
    steps = [step.title for lane in phase.lanes for step in lane.steps]
    return f"**{number}. {plain(phase.name, 60)}** ({len(steps)}): {joined(steps, 160)}"


def _no_return(found: Plan, phase: Phase) -> list[str]:
    is_here = phase == found.point_of_no_return
    return ["━━ **Point of no return**: until here the ship can be cancelled ━━"] if is_here else []


def _outlook(preview: Preview) -> str:
    live = "live" if preview.step.startswith(("publish:", "tag:", "advance:", "deploy:")) else "so"
    detail = f": {plain(preview.detail, 120)}" if preview.detail else ""
    match preview.outlook:
        case Outlook.SKIP:
            return f" — ⏭️ already {live}{detail}"
        case Outlook.ASK:
            return f" — ❓ cannot tell{detail}"
        case Outlook.REFUSED:
            return " — ⛔ refused"
        case Outlook.RUN:
            return f" — {detail[2:]}" if detail else ""


def _reasons(reasons: Sequence[Reason]) -> Iterator[str]:
    for number, reason in enumerate(reasons, 1):
        why = f" — {plain(reason.why, 200)}" if reason.why else ""
        yield f"{number}. **{plain(reason.what, 200)}**{why}" + (
            f"\n   → {next_step(reason.next, 150)}" if reason.next else ""
        )
