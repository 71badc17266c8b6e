"""`stationmaster token …`: make, list and revoke the tokens with which agents speak to the HTTP API."""

from __future__ import annotations

import click

from bot.command_line import Group, actor, json_option, opened_station, runs, say, show


@click.group(cls=Group)
def token() -> None:
    """Make, list and revoke the tokens of the HTTP API."""


@token.command("new")
@click.argument("name")
@click.option("--role", "roles", multiple=True, required=True, metavar="ROLE", help="agent, reviewer or operator.")
@click.option("--days", type=click.IntRange(1), help="Good for that long; without it, until it is revoked.")
@json_option
@runs
async def token_new(name: str, roles: tuple[str, ...], days: int | None, as_json: bool) -> None:
    """Make a token that speaks as NAME; its secret is shown once."""
    from bot.drafts import known
    from bot.release_console import issued
    from core.permissions import Role

    async with opened_station() as station:
        found = await station.doorkeeper.issue(actor(), name, [known(Role, "role", role) for role in roles], days)
        show(found, issued, as_json)


@token.command("list")
@json_option
@runs
async def token_list(as_json: bool) -> None:
    """List every token that was made, without its secret."""
    from bot.release_console import tokens

    async with opened_station() as station:
        show(await station.doorkeeper.tokens(actor()), tokens, as_json)


@token.command("revoke")
@click.argument("number", type=int)
@runs
async def token_revoke(number: int) -> None:
    """Make the token NUMBER of the list worthless, at once."""
    async with opened_station() as station:
        gone = await station.doorkeeper.revoke(actor(), number)
        say([f"token {gone.id} of {gone.name} is revoked"])
