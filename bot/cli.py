"""`stationmaster …`: the same verbs as in Discord, with the same words. Exit codes: 0 done, 1 a step failed, 2 refused,
3 needs an operator's answer (spec 10.1). Heavy imports wait until a command needs them, so that `--help` is quick.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from bot.bootstrap import Station
    from core.permissions import Actor

NEEDS_ANSWER = 3


def runs(command: Callable[..., Awaitable[int | None]]) -> Callable[..., None]:
    """Run the coroutine; troubles become lines on stderr and an exit code."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        from bot.console import refusal
        from core.errors import Trouble

        async def to_the_end() -> int | None:
            return await command(*args, **kwargs)

        try:
            code = asyncio.run(to_the_end()) or 0
        except Trouble as trouble:
            for line in refusal(trouble.reasons):
                click.echo(line, err=True)
            code = trouble.exit_code
        except KeyboardInterrupt:
            click.echo("interrupted; nothing is lost: release status tells how it stands", err=True)
            code = 130
        sys.exit(code)

    return run


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="stationmaster")
def cli() -> None:
    """Ship a team's release train: packages, hub and satellites, in order, after one confirmation."""


# ── the train ──────────────────────────────────────────────────────────────────────────────────────────────────────


@cli.group()
def release() -> None:
    """Open, fill, freeze, ship and close the release train."""


@release.command("open")
@click.argument("name")
@click.argument("tasks", nargs=-1)
@runs
async def release_open(name: str, tasks: tuple[str, ...]) -> None:
    """Open the train NAME, with its first TASKS aboard."""
    async with _station() as station:
        opened = await station.conductor.open(_actor(), name, tasks)
        _say([f"{opened.slug} is open with {len(opened.members)} task(s)"])


@release.command("add")
@click.argument("task")
@runs
async def release_add(task: str) -> None:
    """Attach a reviewed TASK to the active train."""
    async with _station() as station:
        changed = await station.conductor.add(_actor(), task)
        _say([f"{task} rides {changed.slug}, with {len(changed.members) - 1} other(s); next: release freeze"])


@release.command("eject")
@click.argument("task")
@runs
async def release_eject(task: str) -> None:
    """Take TASK off the active train; the rest ride on."""
    async with _station() as station:
        changed = await station.conductor.eject(_actor(), task)
        _say([f"{task} no longer rides {changed.slug}; {len(changed.members)} ride on"])


@release.command("freeze")
@click.argument("name", required=False)
@runs
async def release_freeze(name: str | None) -> None:
    """Record the commits and keep the packages' bytes that production will get."""
    from bot.console import short

    async with _station() as station:
        frozen = await station.conductor.freeze(_actor(), name)
        _say(f"{one.repository:20} {short(one.sha)} {one.version or ''}".rstrip() for one in frozen.frozen)
        _say([f"{frozen.slug} is assembled; next: release ship"])


@release.command("plan")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="The plan as JSON.")
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
    from bot.console import proposal, refusal

    async with _station() as station:
        offer = await station.conductor.offer(_actor(), name)
        found = offer.proposal
        _say(proposal(found))
        if found.problems:
            return 2
        if digest is None:
            if not sys.stdin.isatty():
                _say(refusal([_no_terminal(found.release, found.digest)]))
                return NEEDS_ANSWER
            if not click.confirm(f"Ship {found.release} to production?", default=False):
                click.echo("declined; nothing was started")
                return 2
        ship = await station.conductor.ship(_actor(), found.release, digest or found.digest, "cli")
        return await _follow(station, found.release, ship.id)


@release.command("status")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="The status as JSON.")
@runs
async def release_status(name: str | None, as_json: bool) -> None:
    """Show the train, its members and how far its ship is."""
    from bot.console import status

    async with _station() as station:
        found = await station.conductor.status(name)
        _json(found) if as_json else _say(status(found))


@release.command("resume")
@click.argument("name", required=False)
@click.option(
    "--answer", type=click.Choice(["happened", "again"]), help="What you found out about the step nobody can tell of."
)
@runs
async def release_resume(name: str | None, answer: str | None) -> int:
    """Go on with a ship that stopped; what is done is recognised, never repeated."""
    from core.conductor import Answer

    async with _station() as station:
        settled = Answer(happened=answer == "happened") if answer else None
        ship = await station.conductor.resume(_actor(), name, settled)
        return await _follow(station, ship.release, ship.id)


@release.command("cancel")
@click.argument("name", required=False)
@runs
async def release_cancel(name: str | None) -> None:
    """Stop a ship before its point of no return."""
    async with _station() as station:
        ship = await station.conductor.cancel(_actor(), name)
        _say([f"the ship of {ship.release} is cancelled; nothing was published or deployed"])


@release.command("abandon")
@click.argument("name", required=False)
@runs
async def release_abandon(name: str | None) -> None:
    """Give the train up: its tasks return to reviewed, the slot is free."""
    async with _station() as station:
        closed = await station.conductor.abandon(_actor(), name)
        _say([f"{closed.slug} is abandoned; {len(closed.members)} task(s) are reviewed again"])


@release.command("notes")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="The notes as JSON.")
@runs
async def release_notes(name: str | None, as_json: bool) -> None:
    """Show the notes of a shipped train."""
    from bot.console import notes
    from core.notes import decoded

    async with _station() as station:
        found = decoded((await station.conductor.notes(name)).notes)
        _json(found) if as_json else _say(notes(found))


# ── tasks ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@cli.group()
def task() -> None:
    """Create, look at and move tasks."""


@task.command("new")
@click.argument("title")
@click.option("--repo", "works", multiple=True, required=True, metavar="NAME[=BRANCH]", help="Once per repository.")
@click.option("--shape", required=True, help="The kind of change, from config/feature_shapes.yml.")
@click.option("--type", "kind", default="feature", show_default=True, help="feature, bug, chore or docs.")
@click.option("--slug", default="", help="Derived from the title when not given.")
@click.option("--depends-on", multiple=True, metavar="TASK", help="Ships with or before it.")
@click.option("--post-deploy", default="", metavar="COMMAND", help="Runs on the app after the deploy.")
@click.option("--acceptance", default="", help="Acceptance criteria.")
@click.option("--test-plan", default="", help="Expected test plan.")
@runs
async def task_new(title: str, works: tuple[str, ...], shape: str, kind: str, slug: str, **rest: Any) -> None:
    """Create a task called TITLE."""
    from bot.drafts import draft

    async with _station() as station:
        made = await station.board.new(
            _actor(),
            draft(
                title=title,
                slug=slug,
                kind=kind,
                shape=shape,
                repositories=works,
                depends_on=rest["depends_on"],
                post_deploy_cmd=rest["post_deploy"],
                acceptance_criteria=rest["acceptance"],
                test_plan=rest["test_plan"],
            ),
        )
        _say([f"{made.slug} is designed; next: task move {made.slug} building"])


@task.command("show")
@click.argument("slug")
@click.option("--json", "as_json", is_flag=True, help="The task as JSON.")
@runs
async def task_show(slug: str, as_json: bool) -> None:
    """Show everything about the task SLUG."""
    from bot.console import task_page

    async with _station() as station:
        page = await station.board.show(slug)
        _json(page) if as_json else _say(task_page(page))


@task.command("list")
@click.option("--stage", help="Only tasks of this stage.")
@click.option("--limit", type=click.IntRange(1), default=25, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The list as JSON.")
@runs
async def task_list(stage: str | None, limit: int, as_json: bool) -> None:
    """List the newest tasks."""
    from bot import console
    from bot.drafts import known_stage

    async with _station() as station:
        found = await station.board.list(known_stage(stage) if stage else None, limit)
        _json(found) if as_json else _say(console.task_list(found))


@task.command("move")
@click.argument("slug")
@click.argument("stage")
@click.option("--reason", default="", help="Why; needed to block a task.")
@runs
async def task_move(slug: str, stage: str, reason: str) -> None:
    """Move the task SLUG to STAGE."""
    from bot.drafts import known_stage

    async with _station() as station:
        moved = await station.board.move(_actor(), slug, known_stage(stage), reason)
        _say([f"{moved.slug} is {moved.stage}"])


# ── looking and serving ────────────────────────────────────────────────────────────────────────────────────────────


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@runs
async def deployments(as_json: bool) -> None:
    """Show what runs where."""
    from bot import console

    async with _station() as station:
        found = await station.conductor.deployments()
        _json(found) if as_json else _say(console.deployments(found))


@cli.command()
@runs
async def repos() -> None:
    """Show the registered repositories."""
    from bot import console

    async with _station() as station:
        _say(console.repositories(station.settings.registry))


@cli.command("prod-smoke")
@click.argument("app")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@runs
async def prod_smoke(app: str, as_json: bool) -> int:
    """Look at the production site of APP, read-only: exit 0 green, 1 red."""
    from bot.console import seal_lines
    from core.journal import SealStatus

    async with _station() as station:
        seal = await station.ports.smoke.check(station.settings.registry.app(app))
        _json(seal) if as_json else _say(seal_lines(seal))
        return 0 if seal.status is SealStatus.GREEN else 1


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@runs
async def check(as_json: bool) -> int:
    """Check configuration, credentials, tools and remotes; list everything that is wrong at once."""
    from bot.serving import discord_problems

    async with _station() as station:
        findings = await station.check(lambda: discord_problems(station))
        if as_json:
            _json(findings)
        else:
            for one in findings:
                _say([f"{'✓' if one.ok else '✗'} {one.what}" + (f": {one.detail}" if one.detail else "")])
                _say([f"    → {one.next}"] if one.next and not one.ok else [])
        wrong = sum(not one.ok for one in findings)
        if not as_json:
            _say([f"{len(findings)} looked at, {wrong} wrong"])
        return 2 if wrong else 0


@cli.command()
@runs
async def serve() -> None:
    """Run the Discord bot and drive ships until stopped."""
    from bot.serving import serve as serve_station

    async with _station() as station:
        await serve_station(station)


@cli.command()
@click.option("--serve", "stay", is_flag=True, help="Stay up with the page, also without a terminal.")
@click.option("--state", metavar="DIR", help="Keep the world there; the same command goes on where the train stands.")
@click.option(
    "--transcript", metavar="FILE", help="Every Discord message and every effect on the world, as JSON lines."
)
@click.option("--break", "broken", metavar="STEP", help="Make a step fail once, e.g. deploy:turf; `list` names them.")
@runs
async def demo(stay: bool, state: str | None, transcript: str | None, broken: str | None) -> int:
    """Ship a whole train on this machine, without any account: Discord, git, registry and platform on loopback."""
    from bot.demo.story import demo as play

    return await play(stay=stay or sys.stdout.isatty(), state=state, transcript=transcript, broken=broken)


# ── how ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def _station() -> AsyncGenerator[Station]:
    from bot.bootstrap import opened

    async with opened() as station:
        yield station


def _actor() -> Actor:
    """Whoever has the database and the credentials in hand may do everything; the name is for the record."""
    from core.permissions import Actor, Face, Role

    return Actor(os.environ.get("STATIONMASTER_ACTOR") or getpass.getuser(), frozenset(Role), Face.CLI)


async def _show_plan(name: str | None, as_json: bool) -> int:
    from bot.console import proposal

    async with _station() as station:
        found = await station.conductor.plan(name)
        if as_json:
            _json({"digest": found.digest, **_plain(found)})
        else:
            _say(proposal(found))
        return 2 if found.problems else 0


def _no_terminal(name: str, digest: str) -> Any:
    from core.errors import Reason

    next_ = f"stationmaster release ship {name} --confirm {digest}"
    return Reason("nobody was there to confirm", "no terminal is attached; nothing was started", next_)


async def _follow(station: Station, name: str, ship_id: int) -> int:
    """Drive the ship here, or watch whoever drives it already, and tell what happens; the exit code is its outcome."""
    from bot.following import follow

    return await follow(station, name, ship_id)


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def _plain(value: object) -> Any:
    import msgspec

    return msgspec.to_builtins(value, enc_hook=str)


def _json(value: object) -> None:
    import json

    click.echo(json.dumps(_plain(value), ensure_ascii=False, indent=2))
