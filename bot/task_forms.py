"""The forms about tasks, and the pages of a task: opened by a command or a button, submitted in any life of the bot.

A form cannot wait: it is the first answer to whoever asked, so nothing slow comes before it (discord.md 7.1).
"""

from __future__ import annotations

from collections.abc import Mapping

import discord

from bot import drafts, task_screens
from bot.answering import acting, actor_of, answer, typed_before
from bot.client import DiscordSettings
from bot.layout import modal, view
from bot.message import Act, Button, Form, filled
from core.board import Board
from core.reviews import Seat, Verdict


class TaskForms:
    """Handing off, reviewing, editing; and turning pages."""

    def __init__(self, settings: DiscordSettings, board: Board) -> None:
        self._settings, self._board = settings, board

    async def open(
        self, interaction: discord.Interaction, opener: Button, typed: Mapping[str, str] | None = None
    ) -> None:
        """Show the form that `opener` stands for, with what was `typed` into it before."""
        form = await self._form(interaction, opener)
        await interaction.response.send_modal(modal(filled(form, typed or {})))

    async def press(self, interaction: discord.Interaction, button: Button) -> None:
        """Turn to another page, or open a form again after a refusal, which kept what was typed."""
        message = interaction.message
        assert message
        if button.act is not Act.PAGE:
            typed = await typed_before(message)
            if button.act is Act.EDIT:
                typed = task_screens.touched(button.mark, typed)
            await self.open(interaction, button, typed)
            return
        page = await self._board.show(actor_of(interaction, self._settings.roles), button.of)
        turned = view(task_screens.task_page(page, int(button.mark)))
        await interaction.response.edit_message(view=turned, allowed_mentions=discord.AllowedMentions.none())

    async def submit(self, interaction: discord.Interaction, opener: Button, typed: Mapping[str, str]) -> None:
        """Do what the form says, in public; `explain` keeps what was typed when it is refused."""
        actor = await acting(interaction, self._settings.roles)
        match opener.act:
            case Act.HANDOFF:
                left = drafts.handoff(**typed)
                said, task = left.body, await self._board.handoff(actor, opener.of, left)
            case Act.REVIEW:
                seat, _, verdict = opener.mark.partition(".")
                found, body = drafts.findings(typed["findings"]), typed["body"]
                said = "\n".join([f"{seat} review: {verdict}", body, typed["findings"]])
                task = await self._board.review(actor, opener.of, Seat(seat), Verdict(verdict), found, body)
            case Act.EDIT:
                changed = task_screens.touched(opener.mark, typed)
                said, revision = f"changed: {', '.join(changed) or 'nothing'}", int(opener.mark.partition(".")[0])
                task = await self._board.edit(actor, opener.of, drafts.changes(opener.of, **changed), revision)
            case _:
                raise AssertionError(opener)
        await answer(interaction, task_screens.changed(task, said))

    async def _form(self, interaction: discord.Interaction, opener: Button) -> Form:
        """Refused before anybody has typed anything, when there is no such task."""
        page = await self._board.show(actor_of(interaction, self._settings.roles), opener.of)
        match opener.act:
            case Act.HANDOFF:
                return task_screens.handoff_form(opener)
            case Act.REVIEW:
                return task_screens.review_form(opener)
            case _:
                return task_screens.edit_form(page.task)
