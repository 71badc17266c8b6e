"""`stationmaster release …`: open, fill, freeze, ship and close the train; the same verbs as in Discord."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from bot.command_line import actor, json_option, opened_station, plain, runs, say, say_json, show

if TYPE_CHECKING:
    from core.train.proposal import Proposal


@click.group()
def release() -> None:
    """Open, fill, freeze, ship and close the release train."""


@release.command("open")
@click.argument("name")
@click.argument("tasks", nargs=-1)
@runs
async def release_open(name: str, tasks: tuple[str, ...]) -> None:
    """Open the train NAME, with its first TASKS aboard."""
    async with opened_station() as station:
        opened = await station.conductor.open(actor(), name, tasks)
        say([f"{opened.slug} is open with {len(opened.members)} task(s)"])


@release.command("add")
@click.argument("task")
@runs
async def release_add(task: str) -> None:
    """Attach a reviewed TASK to the active train."""
    async with opened_station() as station:
        changed = await station.conductor.add(actor(), task)
        say([f"{task} rides {changed.slug}, with {len(changed.members) - 1} other(s); next: release freeze"])


@release.command("eject")
@click.argument("task")
@runs
async def release_eject(task: str) -> None:
    """Take TASK off the active train; the rest ride on."""
    async with opened_station() as station:
        changed = await station.conductor.eject(actor(), task)
        say([f"{task} no longer rides {changed.slug}; {len(changed.members)} ride on"])


@release.command("freeze")
@click.argument("name", required=False)
@runs
async def release_freeze(name: str | None) -> None:
    """Record the commits and keep the packages' bytes that production will get."""
    from bot.console import short

    async with opened_station() as station:
        frozen = await station.conductor.freeze(actor(), name)
        say(f"{one.repository:20} {short(one.sha)} {one.version or ''}".rstrip() for one in frozen.frozen)
        say([f"{frozen.slug} is assembled; next: release ship"])


@release.command("plan")
@click.argument("name", required=False)
@json_option
@runs
async def release_plan(name: str | None, as_json: bool) -> int:
    """Show what a ship would do now, and every reason not to start; changes nothing."""
    return await _show_plan(name, as_json)


@release.command("ship")
@click.argument("name", required=False)
@click.option("--confirm", "digest", metavar="PLAN", help="Confirm the plan with these ten characters, without asking.")
@click.option("--dry-run", is_flag=True, help="Only show the plan: same digest, same exit code, nothing changed.")
@runs
async def release_ship(name: str | None, digest: str | None, dry_run: bool) -> int:
    """Show the plan, ask once, and ship the train."""
    if dry_run:
        return await _show_plan(name, False)
    from bot.console import proposal
    from bot.following import follow

    async with opened_station() as station:
        found = (await station.conductor.offer(actor(), name)).proposal
        say(proposal(found))
        if found.problems:
            return 2
        ship = await station.conductor.ship(actor(), found.release, digest or _confirmed(found), "cli")
        return await follow(station, found.release, ship.id)


@release.command("status")
@click.argument("name", required=False)
@json_option
@runs
async def release_status(name: str | None, as_json: bool) -> None:
    """Show the train, its members and how far its ship is."""
    from bot.console import status

    async with opened_station() as station:
        found = await station.conductor.status(name)
        show(found, status, as_json)


@release.command("resume")
@click.argument("name", required=False)
@click.option(
    "--answer", type=click.Choice(["happened", "again"]), help="What you found out about the step nobody can tell of."
)
@runs
async def release_resume(name: str | None, answer: str | None) -> int:
    """Go on with a ship that stopped; what is done is recognised, never repeated."""
    from bot.following import follow
    from core.conductor import Answer

    async with opened_station() as station:
        settled = Answer(happened=answer == "happened") if answer else None
        ship = await station.conductor.resume(actor(), name, settled)
        return await follow(station, ship.release, ship.id)


@release.command("cancel")
@click.argument("name", required=False)
@runs
async def release_cancel(name: str | None) -> None:
    """Stop a ship before its point of no return."""
    async with opened_station() as station:
        ship = await station.conductor.cancel(actor(), name)
        say([f"the ship of {ship.release} is cancelled; nothing was published or deployed"])


@release.command("abandon")
@click.argument("name", required=False)
@runs
async def release_abandon(name: str | None) -> None:
    """Give the train up: its tasks return to reviewed, the slot is free."""
    async with opened_station() as station:
        closed = await station.conductor.abandon(actor(), name)
        say([f"{closed.slug} is abandoned; {len(closed.members)} task(s) are reviewed again"])


@release.command("notes")
@click.argument("name", required=False)
@json_option
@runs
async def release_notes(name: str | None, as_json: bool) -> None:
    """Show the notes of a shipped train."""
    from bot.console import notes
    from core.notes import decoded

    async with opened_station() as station:
        found = decoded((await station.conductor.notes(name)).notes)
        show(found, notes, as_json)


async def _show_plan(name: str | None, as_json: bool) -> int:
    from bot.console import proposal

    async with opened_station() as station:
        found = await station.conductor.plan(name)
        if as_json:
            say_json({"digest": found.digest, **plain(found)})
        else:
            say(proposal(found))
        return 2 if found.problems else 0


def _confirmed(found: Proposal) -> str:
    """The digest that somebody at the terminal agreed to; declined and absent are two different answers (L05)."""
    from core.errors import NeedsOperator, Refused

    nobody = "no terminal is attached"
    if sys.stdin.isatty():
        try:
            if click.confirm(f"Ship {found.release} to production?", default=False):
                return found.digest
        except click.Abort:
            nobody = "the question was not answered"
        else:
            raise Refused("declined", "nothing was started", "release ship shows the plan again")
    next_ = f"stationmaster release ship {found.release} --confirm {found.digest}"
    raise NeedsOperator("nobody was there to confirm", f"{nobody}; nothing was started", next_)
