"""`/person …`: operators say which identities are one person; only the one who asks sees the answer."""

from __future__ import annotations

import discord
from discord import app_commands

from bot.answer_screens import done
from bot.answering import acting, actor_of, answer
from bot.client import DiscordSettings
from bot.message import card
from bot.words_for_discord import ago, code, listed, plain
from core.doorkeeper import Doorkeeper
from core.people import Identity

_LONGEST = 3400


class PersonCommands(app_commands.Group, name="person", description="Which identities are one person", guild_only=True):
    """The group; everything is private."""

    def __init__(self, settings: DiscordSettings, doorkeeper: Doorkeeper) -> None:
        super().__init__()
        self._settings, self._doorkeeper = settings, doorkeeper

    @app_commands.command(description="Everybody who has acted, and who is the same person")
    async def list(self, interaction: discord.Interaction) -> None:
        found = await self._doorkeeper.people(actor_of(interaction, self._settings.roles))
        rows = listed([_row(one) for one in found], _LONGEST)
        await answer(interaction, card("## 👥 People", rows or "nobody has acted yet"), ephemeral=True)

    @app_commands.command(description="Say that two identities are one person")
    @app_commands.describe(one="an identity of /person list", other="another one, for example agent:ada")
    async def link(self, interaction: discord.Interaction, one: str, other: str) -> None:
        actor = await acting(interaction, self._settings.roles, ephemeral=True)
        same = await self._doorkeeper.link(actor, one, other)
        await answer(interaction, done(f"one person: {', '.join(code(id) for id in same)}"), ephemeral=True)

    @app_commands.command(description="Take an identity out of its person, for what is done from now on")
    @app_commands.describe(identity="an identity of /person list")
    async def unlink(self, interaction: discord.Interaction, identity: str) -> None:
        actor = await acting(interaction, self._settings.roles, ephemeral=True)
        gone = await self._doorkeeper.unlink(actor, identity)
        names = ", ".join(code(id) for id in gone)
        await answer(interaction, done(f"{code(identity)} is not {names} any more"), ephemeral=True)


def _row(one: Identity) -> str:
    same = f" — the same person as {', '.join(code(id) for id in one.same_as)}" if one.same_as else ""
    return f"{code(one.id)} · **{plain(one.name, 48)}**, seen {ago(one.seen_at)}{same}"
