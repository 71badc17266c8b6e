"""What the bot says of a prepare or a ship: root, board, finished steps, reports, questions, seals, notes. Pure.

Glyph and word always say the same (never by colour alone); foreign text goes through `bot.words_for_discord`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import datetime

from bot.message import Act, Button, Card, Colour, Message, card, pages
from bot.release_console import SEAL_WORDS
from bot.words_for_discord import ago, clock, code, day, fence, joined, listed, plain
from core.events import Event, EventKind
from core.journal import RunKind, RunState, SealRecord, SealStatus
from core.notes import AppNote, ReleaseNotes
from core.train.progress import OVER, Progress, StepState, StepStatus
from core.words import counted, lasting, short

MARKS = {
    StepState.WAITING: "⬜",
    StepState.RUNNING: "⏳",
    StepState.DONE: "✅",
    StepState.ALREADY: "⏭️",
    StepState.WARNED: "⚠️",
    StepState.FAILED: "❌",
    StepState.UNKNOWN: "❓",
}
_STATES = {
    RunState.RUNNING: ("🚂 Shipping", Colour.BUSY),
    RunState.STOPPED: ("❌ Stopped", Colour.BAD),
    RunState.ASKING: ("❓ Waiting for an answer", Colour.WARNING),
    RunState.CANCELLED: ("🛑 Cancelled", Colour.PLAIN),
    RunState.FINISHED: ("✅ Shipped", Colour.GOOD),
}
_PREPARE_STATES = {
    RunState.RUNNING: ("🧪", "under way", Colour.BUSY),
    RunState.STOPPED: ("❌", "stopped", Colour.BAD),
    RunState.ASKING: ("❓", "waiting for an answer", Colour.WARNING),
    RunState.CANCELLED: ("🛑", "cancelled", Colour.PLAIN),
    RunState.FINISHED: ("🧊", "done", Colour.GOOD),
}
_RESTING = "A hub that is new beside a satellite that rolled itself back is an accepted resting state."

# ── during a ship ──────────────────────────────────────────────────────────────────────────────────────────────────


def root(progress: Progress, by: str) -> Message:
    """The headline of the message in the channel, as the run stands; the plan stays below it."""
    is_ship = progress.kind is RunKind.SHIP
    title, colour = _title(progress)
    lines = [title, f"{'Confirmed' if is_ship else 'Started'} by {by} · {day(progress.confirmed_at)}"]
    if progress.ended_at:
        where = "live" if is_ship else "on QA"
        lines.append(f"Ended {day(progress.ended_at)}, {_count(progress)} · {where}: {joined(progress.live, 600)}")
    return card("\n".join(lines), colour=colour)


def board(progress: Progress, tail: Sequence[str], at: datetime, mark: str) -> Message:
    """The one live message: a bar, finished phases folded, what runs with the end of its log."""
    title, colour = _title(progress)
    done, total = len(progress.of(*OVER)), len(progress.steps)
    bar = "▰" * (10 * done // max(total, 1))
    since = f"started {ago(progress.confirmed_at)}"
    head = f"{title}\n{bar:▱<10} {_count(progress)} · {since} · updated {clock(at)}"
    phases = [list(steps) for _, steps in itertools.groupby(progress.steps, lambda step: step.phase)]
    rows = [row for steps in phases for row in _phase(steps)]
    buttons = [Button(f"Cancel {progress.kind}", Act.CANCEL, progress.release, mark)]
    is_running = progress.state is RunState.RUNNING
    return card(head, listed(rows, 2200), fence(tail), colour=colour, buttons=buttons if is_running else ())


def finished_step(event: Event) -> str:
    """One line of the thread: how a step ended, or what somebody did with the run; blank for other events."""
    seconds, reasons = event.facts.get("seconds"), event.facts.get("reasons")
    title = plain(str(event.facts.get("title", "")), 120)
    took = f" · {lasting(float(seconds))}" if isinstance(seconds, int | float) else ""
    why = f" — {plain('; '.join(reasons), 500)}" if isinstance(reasons, list) else ""
    sha = f" → {code(short(str(event.facts['sha'])))}" if event.facts.get("sha") else ""
    actor = plain(event.actor, 60)
    is_ship = event.facts.get("kind", RunKind.SHIP) == RunKind.SHIP
    match event.kind:
        case EventKind.STEP_DONE:
            return f"✅ {title}{sha}{took}"
        case EventKind.STEP_ADOPTED:
            return f"⏭️ {title}{sha} — already so"
        case EventKind.STEP_WARNED:
            return f"⚠️ {title} — warning{why}"
        case EventKind.STEP_FAILED:
            return f"❌ {title} — failed{took}{why}"
        case EventKind.STEP_UNKNOWN:
            return f"❓ {title} — nobody can tell{why}"
        case EventKind.RUN_RESUMED:
            return f"▶️ Resumed by {actor}. What is there already is recognised, not repeated."
        case EventKind.RUN_CANCELLED:
            kept = "before the point of no return. The release stays assembled." if is_ship else "nothing is frozen."
            return f"🛑 Cancelled by {actor}, {kept}"
        case EventKind.RUN_FINISHED:
            return "🏁 Shipped: everything is done and recorded." if is_ship else ""
        case _:
            return ""


def failure(
    progress: Progress, failed: Sequence[Event], tails: Mapping[str, Sequence[str]], calls: Sequence[str]
) -> Message:
    """The report of a run that stopped half way (spec 6.8). `tails`: ends of logs by step; `calls`: who is rung for."""
    names = joined([event.step.partition(":")[2] or event.step for event in failed], 100)
    what = [
        f"{finished_step(event)}\n{fence(tails.get(event.step, ()), limit=900 // len(failed[:3]))}"
        for event in failed[:3]
    ]
    more = [f"… and {counted(len(failed) - 3, 'more failed step')}: see the lines above"] if len(failed) > 3 else []
    is_ship, kind = progress.kind is RunKind.SHIP, progress.kind.capitalize()
    verb, more_of_it = ("resume", "") if is_ship else ("prepare", ", which also takes up what was pushed meanwhile")
    where = "Already live in production, in order" if is_ship else "On QA already, in order"
    waiting = [f"⏹️ {plain(step.title, 100)}" for step in progress.of(StepState.WAITING)]
    live = [f"{number}. ✅ {plain(words, 100)}" for number, words in enumerate(progress.live, 1)]
    return card(
        f"## ❌ {kind} stopped at {names} · {plain(progress.release, 48)}\n{' '.join(calls)}",
        "\n".join(["**What failed**", *what, *more]),
        f"**{where}**\n" + (listed(live, 700) or "nothing"),
        "**Not started**\n" + (listed(waiting, 500) or "nothing"),
        _RESTING if progress.is_resting else "",
        f"**What to do:** mend the cause, then press *Resume {progress.kind}* or type "
        f"`/release {verb} release:{progress.release}` (shell: `stationmaster release {verb} {progress.release}`)"
        f"{more_of_it}.",
        colour=Colour.BAD,
        buttons=[Button(f"Resume {progress.kind}", Act.RESUME, progress.release, str(progress.attempt), danger=True)],
        calls=calls,
        logs=[str(event.facts.get("log", "")) for event in failed],
    )


def question(progress: Progress, asked: Sequence[Event], calls: Sequence[str]) -> Message:
    """Nobody can tell whether a step happened: an operator must look, then say so."""
    name, mark = progress.release, str(progress.attempt)
    return card(
        f"## ❓ Did this happen? · {plain(name, 48)}\n{' '.join(calls)}",
        listed([finished_step(event) for event in asked], 2000),
        "Look yourself, then press one of the two. *It happened* goes on behind it; *Run it again* runs it once more.\n"
        f"Shell: `stationmaster release resume {name} --answer happened` or `--answer again`.",
        colour=Colour.WARNING,
        buttons=[
            Button("It happened", Act.HAPPENED, name, mark),
            Button("Run it again", Act.AGAIN, name, mark, danger=True),
        ],
        calls=calls,
        logs=[str(event.facts.get("log", "")) for event in asked],
    )


def settled_stop(failed: Sequence[Event]) -> Message:
    """A stop that is history by the time it is told: the run was taken up again since."""
    rows = [finished_step(one) for one in failed]
    return card("## ⏸️ Stopped for a while\nIt went on since.", listed(rows, 2400))


def resumed(label: str, by: str) -> str:
    """Under the title of a report whose button was pressed."""
    return f"**▶️ {plain(label, 40)}** — {by}"


def ejected(task: str, builder: str, why: str, release: str) -> Message:
    """To the builder of a task that a prepare had to leave behind; the paths are on the task."""
    return card(
        f"## ↩️ {plain(task, 48)} does not ride {plain(release, 48)}",
        f"{plain(builder, 60) or 'To its builder'}: {plain(why, 600)}",
        f"The rest ride on. `/task show task:{task}` has every path; mend it, hand it off again, then `/release add`.",
        colour=Colour.WARNING,
    )


def prepared(progress: Progress, off_qa: Sequence[str]) -> Message:
    """How a prepare ended well: what QA runs, who was left behind, and what comes next."""
    rows = [f"✅ {plain(words, 100)}" for words in progress.live]
    rows += [f"⬜ {plain(name, 60)} has no QA: it was merged and frozen only" for name in off_qa]
    left = [f"↩️ {plain(words, 200)}" for words in progress.ejected]
    return card(
        f"## 🧊 Prepare of {plain(progress.release, 48)}: done",
        "**QA runs**\n" + (listed(rows, 1500) or "nothing: no app of this train has a QA"),
        "**Ejected**\n" + listed(left, 1200) if left else "",
        "Exactly this is frozen. → next: `/release ship`",
        colour=Colour.GOOD,
    )


# ── after it ───────────────────────────────────────────────────────────────────────────────────────────────────────


def seals(found: Sequence[SealRecord]) -> Message:
    """Seals that are no reason for alarm, in one message."""
    rows = [
        f"{SEAL_WORDS[one.status]} · **{plain(one.app, 48)}** — {plain(one.summary, 160)} · {day(one.checked_at)}"
        for one in found
    ]
    word = "passed" if all(one.status is SealStatus.GREEN for one in found) else "not sealed"
    glyph = SEAL_WORDS[SealStatus.GREEN if word == "passed" else SealStatus.UNSEALED].split()[0]
    checks = _checks(found[0]) if len(found) == 1 else ""
    return card(f"## {glyph} Production smoke seal: {word}", listed(rows, 3000), checks, colour=Colour.GOOD)


def red_seal(seal: SealRecord, calls: Sequence[str]) -> Message:
    """The alarm, with the commands that undo the deploy and are valid now (spec 8.4)."""
    commands = [code(command, 300) for command in seal.rollback]
    advice = "To roll back, run one of:\n" + listed(commands, 900) if commands else "No way back is known for this app."
    return card(
        f"## 🔴 Production smoke seal: FAILED · {plain(seal.app, 48)}\n{' '.join(calls)}",
        f"{plain(seal.summary, 300)} · {day(seal.checked_at)}",
        _checks(seal),
        f"Nothing was rolled back. {advice}",
        colour=Colour.BAD,
        calls=calls,
    )


def notes(found: ReleaseNotes) -> list[Message]:
    """The release notes: content for notifications and search, a card per app."""
    head = [
        f"# 🚀 {plain(found.release, 48)} is in production",
        f"Confirmed by {plain(found.confirmed_by, 60)} · {day(found.shipped_at)} · took {lasting(found.seconds)}",
        listed(_seal_rows(found.apps), 500),
        listed([f"⚠️ {plain(warning, 200)}" for warning in found.warnings], 600),
    ]
    packages = [
        f"💎 {plain(one.name, 60)} {plain(one.version, 30)} {code(short(one.sha))}"
        + (" (was live already)" if one.already_live else "")
        for one in found.packages
    ]
    rows = [*packages, *_tasks_in(found, {one.name for one in found.packages})]
    cards = [Card("Packages", listed(rows, 3000), Colour.GOOD)] if packages else []
    return pages("\n".join(filter(None, head)), [*cards, *(_app_card(one, found) for one in found.apps)])


# ── how ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _phase(steps: Sequence[StepStatus]) -> Iterator[str]:
    """A phase: one line when nothing of it runs; else its steps, those that are over or not begun folded."""
    name, done = plain(steps[0].phase, 60), [step for step in steps if step.state in OVER]
    if len(done) == len(steps):
        yield f"✅ {name} — {len(steps)} done"
        return
    if all(step.state is StepState.WAITING for step in steps):
        yield f"⬜ {name} — {len(steps)} waiting"
        return
    yield f"**{name}** — {len(done)} of {len(steps)} done"
    for step in steps:
        if step.state not in (*OVER, StepState.WAITING) or len(steps) <= 6:
            since = f" · since {ago(step.started_at)}" if step.state is StepState.RUNNING and step.started_at else ""
            yield f"{MARKS[step.state]} {plain(step.title, 100)} — {step.state}{since}"


def _title(progress: Progress) -> tuple[str, Colour]:
    name = plain(progress.release, 48)
    if progress.kind is RunKind.PREPARE:
        glyph, words, colour = _PREPARE_STATES[progress.state]
        return f"## {glyph} Prepare of {name}: {words}", colour
    title, colour = _STATES[progress.state]
    return f"## {title} · {name}", colour


def _count(progress: Progress) -> str:
    done, running = len(progress.of(*OVER)), len(progress.of(StepState.RUNNING))
    return f"{done}/{len(progress.steps)} steps done" + (f", {running} running" if running else "")


def _checks(seal: SealRecord) -> str:
    rows = [f"{'✅' if c.ok else '❌'} {plain(c.name, 80)} — {plain(c.detail, 160)}" for c in seal.checks]
    return listed(rows, 1200)


def _seal_rows(apps: Sequence[AppNote]) -> Iterator[str]:
    glyphs = {status.value: words for status, words in SEAL_WORDS.items()}
    for one in apps:
        status, _, summary = one.seal.partition(": ")
        yield f"{glyphs.get(status, '⚪ not sealed')} · {plain(one.name, 48)} — {plain(summary or one.seal, 120)}"


def _app_card(one: AppNote, found: ReleaseNotes) -> Card:
    how = ("deployed and verified" if one.verified else "deployed, not verified") if one.deployed else "not deployed"
    tasks = listed(_tasks_in(found, {one.name}), 3000)
    return Card(plain(one.name, 60), f"{code(short(one.sha))} {how}\n{tasks}", Colour.GOOD)


def _tasks_in(found: ReleaseNotes, repositories: Set[str]) -> list[str]:
    tasks = [task for task in found.tasks if repositories & {*task.repositories}]
    return [f"• {plain(task.title, 160)} ({plain(task.slug, 48)})" for task in tasks]
