"""`stationmaster task …`: create, look at and move tasks; the same verbs as in Discord."""

from __future__ import annotations

from typing import Any

import click

from bot.command_line import actor, json_option, opened_station, runs, say, show


@click.group()
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

    async with opened_station() as station:
        made = await station.board.new(
            actor(),
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
        say([f"{made.slug} is designed; next: task move {made.slug} building"])


@task.command("show")
@click.argument("slug")
@json_option
@runs
async def task_show(slug: str, as_json: bool) -> None:
    """Show everything about the task SLUG."""
    from bot.console import task_page

    async with opened_station() as station:
        page = await station.board.show(slug)
        show(page, task_page, as_json)


@task.command("list")
@click.option("--stage", help="Only tasks of this stage.")
@click.option("--limit", type=click.IntRange(1), default=25, show_default=True)
@json_option
@runs
async def task_list(stage: str | None, limit: int, as_json: bool) -> None:
    """List the newest tasks."""
    from bot import console
    from bot.drafts import known_stage

    async with opened_station() as station:
        found = await station.board.list(known_stage(stage) if stage else None, limit)
        show(found, console.task_list, as_json)


@task.command("move")
@click.argument("slug")
@click.argument("stage")
@click.option("--reason", default="", help="Why; needed to block a task.")
@runs
async def task_move(slug: str, stage: str, reason: str) -> None:
    """Move the task SLUG to STAGE."""
    from bot.drafts import known_stage

    async with opened_station() as station:
        moved = await station.board.move(actor(), slug, known_stage(stage), reason)
        say([f"{moved.slug} is {moved.stage}"])
