"""`stationmaster …`: everything that is typed, by group; exit codes and output are in `command_line`."""

from __future__ import annotations

import sys

import click

from bot.command_line import Root, json_option, opened_station, runs, say, say_json, show
from bot.person_cli import person
from bot.release_cli import release
from bot.task_cli import task
from bot.token_cli import token


@click.group(
    "stationmaster", cls=Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="stationmaster")
def cli() -> None:
    """Ship a team's release train: packages, hub and satellites, in order, after one confirmation."""


cli.add_command(release)
cli.add_command(task)
cli.add_command(token)
cli.add_command(person)


@cli.command()
@json_option
@runs
async def deployments(as_json: bool) -> None:
    """Show what runs where."""
    from bot import release_console

    async with opened_station() as station:
        found = await station.conductor.deployments()
        show(found, release_console.deployments, as_json)


@cli.command()
@runs
async def repos() -> None:
    """Show the registered repositories."""
    from bot import release_console

    async with opened_station() as station:
        say(release_console.repositories(station.settings.registry))


@cli.command("prod-smoke")
@click.argument("app")
@json_option
@runs
async def prod_smoke(app: str, as_json: bool) -> int:
    """Look at the production site of APP, read-only: exit 0 green, 1 red."""
    from bot.release_console import seal_lines
    from core.journal import SealStatus

    async with opened_station() as station:
        seal = await station.ports.smoke.check(station.settings.registry.app(app))
        show(seal, seal_lines, as_json)
        return 0 if seal.status is SealStatus.GREEN else 1


@cli.command()
@json_option
@runs
async def check(as_json: bool) -> int:
    """Check configuration, credentials, tools and remotes; list everything that is wrong at once."""
    from bot.serving import discord_problems

    async with opened_station() as station:
        findings = await station.check(lambda: discord_problems(station))
        if as_json:
            say_json(findings)
        else:
            for one in findings:
                say([f"{'✓' if one.ok else '✗'} {one.what}" + (f": {one.detail}" if one.detail else "")])
                say([f"    → {one.next}"] if one.next and not one.ok else [])
        wrong = sum(not one.ok for one in findings)
        if not as_json:
            say([f"{len(findings)} looked at, {wrong} wrong"])
        return 2 if wrong else 0


@cli.command()
@click.option("--no-discord", is_flag=True, help="Only the HTTP API, and drive ships.")
@runs
async def serve(no_discord: bool) -> None:
    """Run the Discord bot and the HTTP API, and drive ships, until stopped."""
    from bot.serving import serve as serve_station

    async with opened_station() as station:
        await serve_station(station, with_discord=not no_discord)


@cli.command()
@click.option("--serve", "stay", is_flag=True, help="Stay up with the page, also without a terminal.")
@click.option("--state", metavar="DIR", help="Keep the world there; the same command goes on where the train stands.")
@click.option(
    "--transcript", metavar="FILE", help="Every Discord message and every effect on the world, as JSON lines."
)
@click.option(
    "--break", "broken", metavar="STEP|list", help="Make a step fail once, e.g. deploy:kiosk; `list` tells which can."
)
@runs
async def demo(stay: bool, state: str | None, transcript: str | None, broken: str | None) -> int:
    """Ship a whole train on this machine, without any account: Discord, git, registry and platform on loopback."""
    from bot.demo.story import demo as play

    return await play(stay=stay or sys.stdout.isatty(), state=state, transcript=transcript, broken=broken)
