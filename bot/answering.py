"""How interactions are answered: who asks, the three ways to reply, and what an error becomes (discord.md 3.5, 7.1).

The token of an interaction lives fifteen minutes; whatever comes later goes to the channel.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Mapping
from typing import Any, cast

import discord
import msgspec

from bot.answer_screens import breakdown, refusal
from bot.layout import sending
from bot.message import CUSTOM_ID, Button, Message, button_of
from core.errors import Refused, Trouble
from core.permissions import Actor, Face, Role
from core.words import shown_name

log = logging.getLogger(__name__)

ACK_SECONDS = 3.0
_FETCH_SECONDS = 2.0  # a form must be there within three
_UNKNOWN_INTERACTION = 10062
_KEPT, _LONG = "typed.json", 100
_TYPE = discord.InteractionType


def actor_of(interaction: discord.Interaction, roles: Mapping[int, Role]) -> Actor:
    """Who asks, with the roles that came with this very interaction; the name is the one nobody else can have."""
    member = interaction.user
    held = {role.id for role in member.roles} if isinstance(member, discord.Member) else set[int]()
    known = frozenset(role for number, role in roles.items() if number in held)
    return Actor(f"discord:{member.id}", shown_name(member.name) or str(member.id), known, Face.DISCORD, member.mention)


async def acting(interaction: discord.Interaction, roles: Mapping[int, Role], *, ephemeral: bool = False) -> Actor:
    """Who is about to change something. Acknowledged before that: who was told that it failed changes nothing."""
    await interaction.response.defer(thinking=True, ephemeral=ephemeral)
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
        await _privately(interaction, _keeping(interaction, message))
    except discord.HTTPException as silence:
        log.warning("nobody was told: %s", silence, extra={"action": "discord.untold"})


def opener_of(interaction: discord.Interaction) -> Button | None:
    """The button that opens the form which was submitted here; None when none of ours was."""
    if interaction.type is not _TYPE.modal_submit:
        return None
    found = CUSTOM_ID.fullmatch(str((interaction.data or {}).get("custom_id")))
    return button_of(found, "Open it again") if found else None


def typed_in(interaction: discord.Interaction) -> dict[str, str]:
    """What somebody typed into the fields of a form, or the options of a command."""
    said = cast(Mapping[str, Any], interaction.data or {})
    match interaction.type:
        case _TYPE.modal_submit:
            return {one["component"]["custom_id"]: one["component"]["value"] for one in said["components"]}
        case _TYPE.application_command:
            return {name: str(value) for name, value in interaction.namespace}
        case _:
            return {}


async def typed_before(message: discord.Message) -> dict[str, str]:
    """What `explain` kept with a refusal; blank when it kept nothing. Refused when Discord does not give it back."""
    for file in message.attachments:
        if file.filename == _KEPT:
            try:
                async with asyncio.timeout(_FETCH_SECONDS):
                    return msgspec.json.decode(await file.read(), type=dict[str, str])
            except (discord.DiscordException, TimeoutError, OSError) as error:
                raise Refused(
                    "Discord did not give back what you typed", str(error), f"copy it from {_KEPT}"
                ) from error
    return {}


def _keeping(interaction: discord.Interaction, message: Message) -> Message:
    """The refusal with what was typed, when that is long; a form can be opened again with it."""
    opener = opener_of(interaction)
    typed = typed_in(interaction)
    if not opener and max(map(len, typed.values()), default=0) < _LONG:
        return message
    text = msgspec.json.format(msgspec.json.encode(typed)).decode()
    return msgspec.structs.replace(message, attached=(_KEPT, text), buttons=(opener,) if opener else ())


async def _privately(interaction: discord.Interaction, message: Message) -> None:
    is_thinking = interaction.type in (_TYPE.application_command, _TYPE.modal_submit)
    if interaction.response.type is discord.InteractionResponseType.deferred_channel_message and is_thinking:
        await interaction.delete_original_response()
    await answer(interaction, message, ephemeral=True)
