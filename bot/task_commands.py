"""`/task new|show|list|move`: parse, call the use case of the board, show the screen."""

from __future__ import annotations

import discord
from discord import app_commands

from bot import answers
from bot.answering import acting, answer
from bot.client import DiscordSettings
from bot.completion import Choices, fitting, fitting_last
from bot.drafts import draft, known_stage
from bot.words_for_discord import plain
from core.board import Board
from core.registry import Registry
from core.tasks import TITLE_LIMIT, Stage, TaskType, legal_moves

_NEWEST = 1000
_KINDS = [app_commands.Choice(name=kind.value, value=kind.value) for kind in TaskType]
_STAGES = [app_commands.Choice(name=stage.value, value=stage.value) for stage in Stage]


class TaskCommands(app_commands.Group, name="task", description="The task board", guild_only=True):
    """The group; looking is private, what changes a task is public."""

    def __init__(self, settings: DiscordSettings, board: Board, registry: Registry) -> None:
        super().__init__()
        self._settings, self._board, self._registry = settings, board, registry

    @app_commands.command(description="Create a task")
    @app_commands.describe(
        shape="the kind of change, which says what tests it owes",
        repositories="with spaces between them; NAME=BRANCH where the branch is not feat/<slug>",
        depends_on="slugs of tasks that must ship with or before it",
        command="runs on the app after it was deployed",
    )
    @app_commands.choices(kind=_KINDS)
    @app_commands.rename(kind="type")
    async def new(
        self,
        interaction: discord.Interaction,
        title: app_commands.Range[str, 1, TITLE_LIMIT],
        shape: str,
        repositories: str,
        kind: app_commands.Choice[str] | None = None,
        slug: str = "",
        depends_on: str = "",
        command: str = "",
        acceptance: str = "",
        tests: str = "",
    ) -> None:
        wanted = draft(
            title=title,
            slug=slug,
            kind=kind.value if kind else TaskType.FEATURE,
            shape=shape,
            repositories=repositories.split(),
            depends_on=depends_on.split(),
            post_deploy_cmd=command,
            acceptance_criteria=acceptance,
            test_plan=tests,
        )
        task = await self._board.new(await acting(interaction, self._settings.roles), wanted)
        await answer(interaction, answers.done(f"{plain(task.slug)} is designed: {plain(task.title)}", "`/task move`"))

    @app_commands.command(description="One task with its timeline and checks")
    async def show(self, interaction: discord.Interaction, task: str) -> None:
        await answer(interaction, answers.task_page(await self._board.show(task)), ephemeral=True)

    @app_commands.command(description="The newest tasks, of one stage or of all")
    @app_commands.choices(stage=_STAGES)
    async def list(self, interaction: discord.Interaction, stage: app_commands.Choice[str] | None = None) -> None:
        found = await self._board.list(Stage(stage.value) if stage else None)
        await answer(interaction, answers.task_list(found), ephemeral=True)

    @app_commands.command(description="Move a task to its next stage")
    @app_commands.describe(reason="needed to block a task")
    async def move(self, interaction: discord.Interaction, task: str, stage: str, reason: str = "") -> None:
        moved = await self._board.move(
            await acting(interaction, self._settings.roles), task, known_stage(stage), reason=reason
        )
        await answer(interaction, answers.done(f"{plain(moved.slug)} is {moved.stage}"))

    @show.autocomplete("task")
    @move.autocomplete("task")
    async def _tasks(self, interaction: discord.Interaction, typed: str) -> Choices:
        found = await self._board.list(None, _NEWEST)
        return fitting(typed, [(one.slug, f"{one.slug} — {one.title}") for one in found.tasks])

    @new.autocomplete("depends_on")
    async def _dependencies(self, interaction: discord.Interaction, typed: str) -> Choices:
        found = await self._board.list(None, _NEWEST)
        return fitting_last(typed, [(one.slug, f"{one.slug} — {one.title}") for one in found.tasks])

    @new.autocomplete("repositories")
    async def _repositories(self, interaction: discord.Interaction, typed: str) -> Choices:
        return fitting_last(typed, [(name, name) for name in self._registry.repositories])

    @new.autocomplete("shape")
    async def _shapes(self, interaction: discord.Interaction, typed: str) -> Choices:
        return fitting(typed, [(name, name) for name in self._board.shapes])

    @move.autocomplete("stage")
    async def _stages(self, interaction: discord.Interaction, typed: str) -> Choices:
        """The legal moves of the task that is named already, else every stage."""
        found = await self._board.list(None, _NEWEST)
        task = next((one for one in found.tasks if one.slug == interaction.namespace.task), None)
        return fitting(typed, [(stage.value, stage.value) for stage in (legal_moves(task.stage) if task else Stage)])
