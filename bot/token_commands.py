"""`/token …`: operators make, list and revoke the tokens of the HTTP API; only the one who asks sees the answer."""

from __future__ import annotations

import discord
from discord import app_commands

from bot.answer_screens import done
from bot.answering import acting, actor_of, answer
from bot.client import DiscordSettings
from bot.drafts import known
from bot.message import Colour, Message, card
from bot.words_for_discord import ago, code, listed, plain
from core.doorkeeper import Doorkeeper
from core.permissions import Role
from core.tokens import LONGEST_DAYS, Issued, Token

_Days = app_commands.Range[int, 1, LONGEST_DAYS]


class TokenCommands(app_commands.Group, name="token", description="Tokens of the HTTP API", guild_only=True):
    """The group; everything is private."""

    def __init__(self, settings: DiscordSettings, doorkeeper: Doorkeeper) -> None:
        super().__init__()
        self._settings, self._doorkeeper = settings, doorkeeper

    @app_commands.command(description="Make a token; its secret is shown once")
    @app_commands.describe(
        name="who speaks when it is shown: a-z, 0-9 and -",
        roles="agent, reviewer, operator, with spaces between them",
        days="good for that long; without it, until it is revoked",
    )
    async def new(self, interaction: discord.Interaction, name: str, roles: str, days: _Days | None = None) -> None:
        actor = await acting(interaction, self._settings.roles, ephemeral=True)
        held = [known(Role, "role", role) for role in roles.split()]
        await answer(interaction, issued(await self._doorkeeper.issue(actor, name, held, days)), ephemeral=True)

    @app_commands.command(description="Every token that was made, without its secret")
    async def list(self, interaction: discord.Interaction) -> None:
        found = await self._doorkeeper.tokens(actor_of(interaction, self._settings.roles))
        rows = listed([_row(token) for token in found], 3400)
        await answer(interaction, card("## 🔑 Tokens", rows or "none was made"), ephemeral=True)

    @app_commands.command(description="Make a token worthless, at once")
    @app_commands.describe(number="the number in /token list")
    async def revoke(self, interaction: discord.Interaction, number: int) -> None:
        actor = await acting(interaction, self._settings.roles, ephemeral=True)
        gone = await self._doorkeeper.revoke(actor, number)
        await answer(interaction, done(f"token {gone.id} of {plain(gone.name)} is revoked"), ephemeral=True)


def issued(found: Issued) -> Message:
    """A new token, for the only time."""
    head = f"## 🔑 A token for {plain(found.token.name)}\nShown once; nobody can show it again."
    return card(head, code(found.secret, 120), f"→ {_row(found.token)}", colour=Colour.GOOD)


def _row(token: Token) -> str:
    until = f"until {ago(token.expires_at)}" if token.expires_at else "until revoked"
    state = f"revoked {ago(token.revoked_at)}" if token.revoked_at else until
    return f"{token.id} · **{plain(token.name, 48)}** ({', '.join(token.roles)}) — {state}"
