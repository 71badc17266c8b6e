"""`/release …`, `/deployments`, `/repos`: parse, call the use case, show the screen."""

from __future__ import annotations

import discord
from discord import app_commands

from bot import answer_screens, plan_screens, run_screens
from bot.answering import acting, answer
from bot.client import Command, DiscordSettings
from bot.completion import Choices, fitting
from bot.task_commands import suggested
from bot.words_for_discord import plain
from core.board import Board
from core.conductor import Answer, Conductor
from core.permissions import Actor
from core.tasks import Stage
from core.words import counted

Said = app_commands.Choice[str]
_NEWEST = 1000


def release_commands(settings: DiscordSettings, conductor: Conductor, board: Board) -> list[Command]:
    """The commands of the train, new for every client."""

    @app_commands.command(description="What every app got last")
    async def deployments(interaction: discord.Interaction) -> None:
        await answer(interaction, answer_screens.deployments(await conductor.deployments()), ephemeral=True)

    @app_commands.command(description="Every registered repository and how it reaches production")
    async def repos(interaction: discord.Interaction) -> None:
        await answer(interaction, answer_screens.repositories(conductor.registry), ephemeral=True)

    return [ReleaseCommands(settings, conductor, board), deployments, repos]


class ReleaseCommands(app_commands.Group, name="release", description="The release train", guild_only=True):
    """The group; whatever changes the world is answered in public, looks and refusals privately."""

    def __init__(self, settings: DiscordSettings, conductor: Conductor, board: Board) -> None:
        super().__init__()
        self._settings, self._conductor, self._board = settings, conductor, board

    @app_commands.command(description="Open a train, with its first tasks aboard")
    @app_commands.describe(name="a-z, 0-9 and -", tasks="slugs of reviewed tasks, with spaces between them")
    async def open(self, interaction: discord.Interaction, name: str, tasks: str = "") -> None:
        opened = await self._conductor.open(await self._acting(interaction), name, tasks.split())
        words = f"{plain(opened.slug)} is open with {counted(len(opened.members), 'task')} aboard"
        await answer(interaction, answer_screens.done(words, "`/release add`, then `/release prepare`"))

    @app_commands.command(description="Attach a reviewed task to the train")
    async def add(self, interaction: discord.Interaction, task: str) -> None:
        changed = await self._conductor.add(await self._acting(interaction), task)
        words = f"{plain(task)} rides {plain(changed.slug)}, {counted(len(changed.members), 'task')} aboard"
        await answer(interaction, answer_screens.done(words, "`/release prepare`"))

    @app_commands.command(description="Take a task off the train; the rest ride on")
    async def eject(self, interaction: discord.Interaction, task: str) -> None:
        changed = await self._conductor.eject(await self._acting(interaction), task)
        words = f"{plain(task)} no longer rides {plain(changed.slug)}; {len(changed.members)} ride on"
        await answer(interaction, answer_screens.done(words))

    @app_commands.command(description="What a prepare would merge, eject and bring to QA; changes nothing")
    async def assemble(self, interaction: discord.Interaction, release: str | None = None) -> None:
        await interaction.response.defer(thinking=True)
        await answer(interaction, plan_screens.assembly(await self._conductor.assembly(release)))

    @app_commands.command(description="Merge the tasks, bring them to QA, and freeze what QA saw")
    async def prepare(self, interaction: discord.Interaction, release: str | None = None) -> None:
        run = await self._conductor.prepare(await self._acting(interaction), release)
        await answer(
            interaction, answer_screens.done(f"{plain(run.release)} is being prepared", "follow it in its thread")
        )

    @app_commands.command(description="Without QA: what the release branches are now is what production gets")
    async def freeze(self, interaction: discord.Interaction, release: str | None = None) -> None:
        frozen = await self._conductor.freeze(await self._acting(interaction), release)
        await answer(interaction, answer_screens.frozen(frozen))

    @app_commands.command(description="What a ship would do now; changes nothing")
    async def plan(self, interaction: discord.Interaction, release: str | None = None) -> None:
        await interaction.response.defer(thinking=True)
        await answer(interaction, plan_screens.plan(await self._conductor.plan(release)))

    @app_commands.command(description="Show the plan with the button that ships the train to production")
    async def ship(self, interaction: discord.Interaction, release: str | None = None) -> None:
        offer = await self._conductor.offer(await self._acting(interaction), release)
        await answer(interaction, plan_screens.plan(offer.proposal, offer.expires_at))

    @app_commands.command(description="The train, its members, and how far its ship is")
    async def status(self, interaction: discord.Interaction, release: str | None = None) -> None:
        found = await self._conductor.status(release)
        await answer(interaction, answer_screens.status(found), ephemeral=True)
        table = await self._conductor.standing(found.release.slug)  # asks the world, so it comes after
        await answer(interaction, answer_screens.standing(table), ephemeral=True)

    @app_commands.command(description="Go on with a prepare or ship that stopped or asked")
    @app_commands.describe(said="what you found out, when it asked whether something happened")
    @app_commands.choices(said=[Said(name="it happened", value="happened"), Said(name="run it again", value="again")])
    @app_commands.rename(said="answer")
    async def resume(
        self, interaction: discord.Interaction, release: str | None = None, said: Said | None = None
    ) -> None:
        given = Answer(said.value == "happened") if said else None
        run = await self._conductor.resume(await self._acting(interaction), release, given)
        words = f"the {run.kind} of {plain(run.release)} goes on"
        await answer(interaction, answer_screens.done(words))

    @app_commands.command(description="Stop a prepare, or a ship before its point of no return")
    async def cancel(self, interaction: discord.Interaction, release: str | None = None) -> None:
        run = await self._conductor.cancel(await self._acting(interaction), release)
        await answer(interaction, answer_screens.done(f"the {run.kind} of {plain(run.release)} is cancelled"))

    @app_commands.command(description="Give the train up; its tasks are reviewed again")
    async def abandon(self, interaction: discord.Interaction, release: str | None = None) -> None:
        left = await self._conductor.abandon(await self._acting(interaction), release)
        words = f"{plain(left.slug)} is abandoned; back at reviewed: {counted(len(left.members), 'task')}"
        await answer(interaction, answer_screens.done(words))

    @app_commands.command(description="Post the notes of a shipped release again")
    async def notes(self, interaction: discord.Interaction, release: str | None = None) -> None:
        for message in run_screens.notes(await self._conductor.notes(release)):
            await answer(interaction, message)

    @assemble.autocomplete("release")
    @prepare.autocomplete("release")
    @freeze.autocomplete("release")
    @plan.autocomplete("release")
    @ship.autocomplete("release")
    @status.autocomplete("release")
    @resume.autocomplete("release")
    @cancel.autocomplete("release")
    @abandon.autocomplete("release")
    @notes.autocomplete("release")
    async def _releases(self, interaction: discord.Interaction, typed: str) -> Choices:
        found = await self._conductor.releases(limit=_NEWEST)
        return fitting(typed, [(one.slug, f"{one.slug} — {one.state}") for one in found])

    @add.autocomplete("task")
    async def _reviewed(self, interaction: discord.Interaction, typed: str) -> Choices:
        return await suggested(self._board, typed, (Stage.REVIEWED,))

    @eject.autocomplete("task")
    async def _aboard(self, interaction: discord.Interaction, typed: str) -> Choices:
        return await suggested(self._board, typed, (Stage.ASSEMBLED,))

    async def _acting(self, interaction: discord.Interaction) -> Actor:
        return await acting(interaction, self._settings.roles)
