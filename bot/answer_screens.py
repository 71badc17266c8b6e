"""What the bot answers to whoever typed a command of the train: what was done, status, lists, refusals. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from bot.message import Colour, Message, card
from bot.release_console import SEAL_WORDS
from bot.run_screens import MARKS
from bot.words_for_discord import ago, code, listed, next_step, plain, warnings
from core.conductor import Status
from core.deployments import Deployment
from core.errors import Reason
from core.journal import RunState
from core.registry import Registry
from core.releases import Release
from core.train.progress import OVER
from core.train.sightings import Mark, Row
from core.train.standing import Standing
from core.words import short

_TICKS = {Mark.YES: "✅", Mark.UNVERIFIED: "☑️ not verified:", Mark.NO: "⬜ not", Mark.UNKNOWN: "❔ unknown:"}


def refusal(reasons: Sequence[Reason]) -> Message:
    """What, why and next of every reason."""
    rows = [
        f"⛔ **{plain(reason.what, 400)}**"
        + (f"\n{plain(reason.why, 600)}" if reason.why else "")
        + (f"\n→ {next_step(reason.next, 300)}" if reason.next else "")
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
        is_open = ship.state is not RunState.FINISHED
        rows = [f"{MARKS[step.state]} {plain(step.title, 100)} — {step.state}" for step in ship.steps if is_open]
        count = f"{len(ship.of(*OVER))}/{len(ship.steps)} steps done"
        blocks.append(f"**{ship.kind.capitalize()}: {ship.state}**, {count}\n" + listed(rows, 1500))
    blocks.append(
        listed([f"{SEAL_WORDS[s.status]} · {plain(s.app, 48)} — {plain(s.summary, 120)}" for s in found.seals], 600)
    )
    return card("\n".join(head), *blocks)


def standing(found: Standing) -> Message:
    """One line a repository under its task, and whatever is odd with what repairs it."""
    rows = list[str]()
    for task, places in groupby(found.rows, key=lambda row: row.task):
        rows.append(f"**{plain(task, 48)}**")
        rows += [f"{plain(row.repository, 60)}: {_marks(row)}" for row in places]
    odd = warnings(found.anomalies)
    table = listed(rows, 1500) or "nobody rides: `/release add`"
    colour = Colour.WARNING if odd else Colour.PLAIN
    return card(f"## 🧭 Where {plain(found.release, 48)} is", table, listed(odd, 2000), colour=colour)


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


def _marks(row: Row) -> str:
    """Glyph and words; what cannot be said of a repository is left out."""
    said = {"merged": row.merged, "on QA": row.qa, "frozen": row.frozen, "live": row.live}
    words = {mark: ", ".join(word for word, its in said.items() if its is mark) for mark in _TICKS}
    return " · ".join(f"{tick} {words[mark]}" for mark, tick in _TICKS.items() if words[mark])


def _deployment(one: Deployment) -> str:
    verified = "verified" if one.verified else "not verified"
    what = f"{code(short(one.sha))} {verified}" if one.sha else "never deployed by us"
    since = f" · {plain(one.release, 48)} {ago(one.at)}" if one.release and one.at else ""
    seal = f" · seal {SEAL_WORDS[one.seal.status]}" if one.seal else ""
    return f"{plain(one.app.emoji, 8)} **{plain(one.app.name, 60)}** {what}{since}{seal}"
