"""What a press of a train's button does: it is acknowledged, then the use case decides (spec 6.2, 9.2).

The state is in the button; who may is asked of the roles that came with the press. Losers and strangers are told so
privately.
"""

from __future__ import annotations

import discord

from bot import plan_screens, run_screens
from bot.answering import actor_of, answer, explain
from bot.client import DiscordSettings
from bot.layout import files_of, headlined, texts, view
from bot.message import Act, Button, card
from core.conductor import Answer, Conductor, PlanChanged
from core.errors import Refused
from core.journal import RunState
from core.permissions import Actor, Role, require


class Presses:
    """Ship, cancel, resume, and the two answers."""

    def __init__(self, settings: DiscordSettings, conductor: Conductor) -> None:
        self._settings, self._conductor = settings, conductor

    async def press(self, interaction: discord.Interaction, button: Button) -> None:
        """One press."""
        await interaction.response.defer()
        actor = actor_of(interaction, self._settings.roles)
        match button.act:
            case Act.SHIP:
                await self._ship(interaction, button, actor)
            case Act.CANCEL:
                await self._cancel(interaction, button, actor)
            case Act.RESUME:
                await self._resume(interaction, button, actor, None)
            case Act.HAPPENED | Act.AGAIN:
                await self._resume(interaction, button, actor, Answer(button.act is Act.HAPPENED))
            case act:
                raise AssertionError(f"{act} is no act on a train")

    async def _ship(self, interaction: discord.Interaction, button: Button, actor: Actor) -> None:
        """The projector shows at once that it was confirmed: the thread hangs on this very message."""
        message = interaction.message
        assert message
        try:
            await self._conductor.ship(actor, button.of, button.mark, f"discord:{message.channel.id}:{message.id}")
        except PlanChanged as changed:
            await _retold(interaction, plan_screens.outdated())
            await explain(interaction, changed)
            offer = await self._conductor.offer(actor, button.of)
            await answer(interaction, plan_screens.plan(offer.proposal, offer.expires_at))

    async def _cancel(self, interaction: discord.Interaction, button: Button, actor: Actor) -> None:
        """On a running ship: stop it while that is possible. On a plan: decline it."""
        seen = (await self._conductor.status(button.of)).progress
        if seen and seen.state is RunState.RUNNING:
            await self._conductor.cancel(actor, button.of)
        else:
            require(actor, Role.OPERATOR, "decline a plan")
            await _retold(interaction, plan_screens.declined(actor.mention))

    async def _resume(
        self, interaction: discord.Interaction, button: Button, actor: Actor, given: Answer | None
    ) -> None:
        seen = (await self._conductor.status(button.of)).progress
        if seen and str(seen.attempt) != button.mark:
            why = f"the {seen.kind} went on since"
            raise Refused("this button is of an earlier report", why, "use the buttons of the newest one")
        await self._conductor.resume(actor, button.of, given)
        await _retold(interaction, run_screens.resumed(button.label, actor.mention))


async def _retold(interaction: discord.Interaction, words: str) -> None:
    """The card that was pressed: its title, what became of it, the rest as it was, and no buttons."""
    message = interaction.message
    assert message
    shown = {
        "components": [component.to_dict() for component in message.components],
        "attachments": [{"filename": file.filename} for file in message.attachments],
    }
    title = next(texts(shown["components"]), "").partition("\n")[0]
    retold = view(headlined(shown, card(f"{title}\n{words}")), files_of(shown))
    await interaction.edit_original_response(view=retold, allowed_mentions=discord.AllowedMentions.none())
