"""`stationmaster release …`: open, fill, prepare, ship and close the train; the same verbs as in Discord."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from bot.command_line import (
    Group,
    Option,
    actor,
    dressed,
    json_option,
    opened_station,
    plain,
    runs,
    say,
    say_json,
    show,
)

if TYPE_CHECKING:
    from bot.bootstrap import Station
    from core.releases import Release
    from core.train.proposal import Proposal

Verb = Callable[..., Awaitable[int | None]]
_name = click.argument("name", required=False)


@click.group(cls=Group)
def release() -> None:
    """Open, fill, freeze, ship and close the release train."""


def _verb(name: str, *options: Option) -> Callable[[Verb], click.Command]:
    """A command on an open station; what it gives back is the exit code."""

    def made(act: Verb) -> click.Command:
        @wraps(act)
        async def command(**given: Any) -> int | None:
            async with opened_station() as station:
                return await act(station, **given)

        return release.command(name)(dressed(runs(command), options))

    return made


@_verb("open", click.argument("name"), click.argument("tasks", nargs=-1))
async def release_open(station: Station, name: str, tasks: tuple[str, ...]) -> None:
    """Open the train NAME, with its first TASKS aboard."""
    opened = await station.conductor.open(actor(), name, tasks)
    say([f"{opened.slug} is open with {_tasks(opened)}; next: release add, then release prepare"])


@_verb("add", click.argument("task"))
async def release_add(station: Station, task: str) -> None:
    """Attach a reviewed TASK to the active train."""
    changed = await station.conductor.add(actor(), task)
    say([f"{task} rides {changed.slug}, {_tasks(changed)} aboard; next: release prepare"])


@_verb("eject", click.argument("task"))
async def release_eject(station: Station, task: str) -> None:
    """Take TASK off the active train; the rest ride on."""
    changed = await station.conductor.eject(actor(), task)
    say([f"{task} no longer rides {changed.slug}; {len(changed.members)} ride on"])


@_verb("assemble", _name, json_option)
async def release_assemble(station: Station, name: str | None, as_json: bool) -> int:
    """Show what a prepare would merge, eject and bring to QA, and every reason not to start; changes nothing."""
    from bot.release_console import assembly

    found = await station.conductor.assembly(name)
    show(found, assembly, as_json)
    return 2 if found.proposal.problems else 0


@_verb("prepare", _name)
async def release_prepare(station: Station, name: str | None) -> int:
    """Merge the tasks, bring them to QA, and freeze what QA saw."""
    from bot.following import follow

    run = await station.conductor.prepare(actor(), name)
    return await follow(station, run)


@_verb("freeze", _name)
async def release_freeze(station: Station, name: str | None) -> None:
    """Without QA: what the release branches are now is what production gets."""
    from core.words import short

    frozen = await station.conductor.freeze(actor(), name)
    say(f"{one.repository:20} {short(one.sha)} {one.version or ''}".rstrip() for one in frozen.frozen)
    say([f"{frozen.slug} is assembled; next: release ship"])


@_verb("plan", _name, json_option)
async def release_plan(station: Station, name: str | None, as_json: bool) -> int:
    """Show what a ship would do now, and every reason not to start; changes nothing."""
    return await _show_plan(station, name, as_json)


@_verb(
    "ship",
    _name,
    click.option(
        "--confirm", "digest", metavar="PLAN", help="Confirm the plan with these ten characters, without asking."
    ),
    click.option("--dry-run", is_flag=True, help="Only show the plan: same digest, same exit code, nothing changed."),
)
async def release_ship(station: Station, name: str | None, digest: str | None, dry_run: bool) -> int:
    """Show the plan, ask once, and ship the train."""
    if dry_run:
        return await _show_plan(station, name, False)
    from bot.following import follow
    from bot.release_console import proposal

    found = (await station.conductor.offer(actor(), name)).proposal
    say(proposal(found))
    if found.problems:
        return 2
    ship = await station.conductor.ship(actor(), found.release, digest or _confirmed(found))
    return await follow(station, ship)


@_verb("status", _name, json_option)
async def release_status(station: Station, name: str | None, as_json: bool) -> None:
    """Show the train, how far its run is, where every task of it is, and whatever is odd."""
    from bot.release_console import standing, status

    found = await station.conductor.status(name)
    if not as_json:
        say(status(found))  # at once: the table asks the world, which may take seconds
    table = await station.conductor.standing(found.release.slug)
    if as_json:
        say_json({**plain(found), "standing": plain(table)})
    else:
        say(standing(table))


@_verb(
    "resume",
    _name,
    click.option(
        "--answer",
        type=click.Choice(["happened", "again"]),
        help="What you found out about the step nobody can tell of.",
    ),
)
async def release_resume(station: Station, name: str | None, answer: str | None) -> int:
    """Go on with a prepare or ship that stopped; what is done is recognised, never repeated."""
    from bot.following import follow
    from core.conductor import Answer

    settled = Answer(happened=answer == "happened") if answer else None
    run = await station.conductor.resume(actor(), name, settled)
    return await follow(station, run)


@_verb("cancel", _name)
async def release_cancel(station: Station, name: str | None) -> None:
    """Stop a prepare, or a ship before its point of no return."""
    run = await station.conductor.cancel(actor(), name)
    say([f"the {run.kind} of {run.release} is cancelled; nothing was published, and production is as it was"])


@_verb("abandon", _name)
async def release_abandon(station: Station, name: str | None) -> None:
    """Give the train up: its tasks return to reviewed, the slot is free."""
    closed = await station.conductor.abandon(actor(), name)
    say([f"{closed.slug} is abandoned; reviewed again: {_tasks(closed)}"])


@_verb("notes", _name, json_option)
async def release_notes(station: Station, name: str | None, as_json: bool) -> None:
    """Show the notes of a shipped train."""
    from bot.release_console import notes

    show(await station.conductor.notes(name), notes, as_json)


async def _show_plan(station: Station, name: str | None, as_json: bool) -> int:
    from bot.release_console import proposal

    found = await station.conductor.plan(name)
    if as_json:
        say_json({"digest": found.digest, **plain(found)})
    else:
        say(proposal(found))
    return 2 if found.problems else 0


def _confirmed(found: Proposal) -> str:
    """The digest that somebody at the terminal agreed to; declined and absent are two different answers (L05)."""
    from core.errors import NeedsOperator, Refused
    from core.train.proposal import TYPED

    nobody = "no terminal is attached"
    if sys.stdin.isatty():
        try:
            if click.confirm(f"Ship {found.release} to production?", default=False):
                return found.digest
        except click.Abort:
            nobody = "the question was not answered"
        else:
            raise Refused("declined", "nothing was started", "release ship shows the plan again")
    next_ = f"stationmaster release ship {found.release} --confirm {found.digest[:TYPED]}"
    raise NeedsOperator("nobody was there to confirm", f"{nobody}; nothing was started", next_)


def _tasks(aboard: Release) -> str:
    from core.words import counted

    return counted(len(aboard.members), "task")
