"""How interactions are answered: who asks, the three ways to reply, and what an error becomes (discord.md 3.5, 7.1).

The token of an interaction lives fifteen minutes; whatever comes later goes to the channel.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping

import discord

from bot.answers import breakdown, refusal
from bot.layout import sending
from bot.message import Message
from core.errors import Trouble
from core.permissions import Actor, Face, Role

log = logging.getLogger(__name__)

ACK_SECONDS = 3.0
_UNKNOWN_INTERACTION = 10062


def actor_of(interaction: discord.Interaction, roles: Mapping[int, Role]) -> Actor:
    """Who asks, with the roles that came with this very interaction; the name is the one nobody else can have."""
    member = interaction.user
    held = {role.id for role in member.roles} if isinstance(member, discord.Member) else set[int]()
    known = frozenset(role for number, role in roles.items() if number in held)
    return Actor(member.name, known, Face.DISCORD, member.mention)


async def acting(interaction: discord.Interaction, roles: Mapping[int, Role]) -> Actor:
    """Who is about to change something. Acknowledged before that: who was told that it failed changes nothing."""
    await interaction.response.defer(thinking=True)
    return actor_of(interaction, roles)


def is_stale(interaction: discord.Interaction) -> bool:
    """Did its person hear long ago that it failed? After an outage Discord repeats what it could not deliver."""
    age = (discord.utils.utcnow() - interaction.created_at).total_seconds()
    if age > ACK_SECONDS:
        log.warning("ignored what somebody did %.1f s ago; if that repeats, look at this machine's clock", age)
    return age > ACK_SECONDS


async def answer(interaction: discord.Interaction, message: Message, *, ephemeral: bool = False) -> int | None:
    """Reply, follow up, or say it in the channel when it is too late for both; returns the message's id."""
    try:
        if not interaction.response.is_done():
            done = await interaction.response.send_message(**sending(message), ephemeral=ephemeral)
            return done.message_id
        return (await interaction.followup.send(**sending(message), ephemeral=ephemeral, wait=True)).id
    except discord.HTTPException as error:
        if ephemeral or error.status not in (401, 404) or not isinstance(interaction.channel, discord.abc.Messageable):
            raise
        return (await interaction.channel.send(**sending(message))).id


async def explain(interaction: discord.Interaction, error: BaseException) -> None:
    """Whatever went wrong, in words: troubles as they are, anything else as an id that the log knows."""
    if isinstance(error, discord.NotFound) and error.code == _UNKNOWN_INTERACTION:
        return  # too late; nothing was done yet
    if isinstance(error, Trouble):
        message = refusal(error.reasons)
    else:
        number = f"E-{secrets.token_hex(2).upper()}"
        log.error("%s: an interaction broke", number, exc_info=error, extra={"action": "discord.broke"})
        message = breakdown(number)
    try:
        await _privately(interaction, message)
    except discord.HTTPException as silence:
        log.warning("nobody was told: %s", silence, extra={"action": "discord.untold"})


async def _privately(interaction: discord.Interaction, message: Message) -> None:
    is_command = interaction.type is discord.InteractionType.application_command
    if interaction.response.type is discord.InteractionResponseType.deferred_channel_message and is_command:
        await interaction.delete_original_response()
    await answer(interaction, message, ephemeral=True)
