"""`stationmaster person …`: which identities are one person, as operators say it."""

from __future__ import annotations

import click

from bot.command_line import Group, actor, json_option, opened_station, runs, say, show


@click.group(cls=Group)
def person() -> None:
    """Say which identities of the faces are one person."""


@person.command("list")
@json_option
@runs
async def person_list(as_json: bool) -> None:
    """List everybody who has acted: identity, name, face, and who is the same person."""
    from bot.release_console import people

    async with opened_station() as station:
        show(await station.doorkeeper.people(actor()), people, as_json)


@person.command("link")
@click.argument("one")
@click.argument("other")
@runs
async def person_link(one: str, other: str) -> None:
    """Say that the identities ONE and OTHER are one person: neither reviews what the other built."""
    async with opened_station() as station:
        say([f"one person: {', '.join(await station.doorkeeper.link(actor(), one, other))}"])


@person.command("unlink")
@click.argument("identity")
@runs
async def person_unlink(identity: str) -> None:
    """Take IDENTITY out of its person; for what was done until now it stays in."""
    async with opened_station() as station:
        gone = await station.doorkeeper.unlink(actor(), identity)
        say([f"{identity} is not {', '.join(gone)} any more, for what is done from now on"])
