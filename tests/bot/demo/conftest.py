"""One loopback Discord per test, and the real discord.py client with a small bot that uses what the product uses."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar, Self

import discord
import pytest
from discord import app_commands

from bot.client import Sockets
from bot.demo.discord import LoopbackDiscord, redirect_client

TIMEOUT = 5.0
"""Seconds after which a test gives up waiting."""


class ShipButton(discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]], template=r"ship:(?P<plan>\w+)"):
    """The first click takes the button away, every later one is told so."""

    clicked: ClassVar[set[str]] = set()

    def __init__(self, plan: str) -> None:
        super().__init__(discord.ui.Button(label="Ship it", style=discord.ButtonStyle.danger, custom_id=f"ship:{plan}"))
        self.plan = plan

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: discord.ui.Item[discord.ui.View], match: re.Match[str], /
    ) -> Self:
        return cls(match["plan"])

    async def callback(self, interaction: discord.Interaction) -> None:
        if self.plan in self.clicked:
            await interaction.response.send_message("already shipping", ephemeral=True)
            return
        self.clicked.add(self.plan)
        await interaction.response.edit_message(content=f"shipping {self.plan}", view=None)


class NoteForm(discord.ui.Modal, title="Handoff"):
    """A modal with a short and a long text, one of them optional."""

    note: discord.ui.Label[Self] = discord.ui.Label(
        text="What changed", component=discord.ui.TextInput(custom_id="note", min_length=3, max_length=20)
    )
    more: discord.ui.Label[Self] = discord.ui.Label(
        text="Look first at",
        description="files, or nothing",
        component=discord.ui.TextInput(custom_id="more", style=discord.TextStyle.paragraph, required=False),
    )

    async def on_submit(self, interaction: discord.Interaction) -> None:
        assert isinstance(self.note.component, discord.ui.TextInput)
        assert isinstance(self.more.component, discord.ui.TextInput)
        await interaction.response.send_message(f"{self.note.component.value}/{self.more.component.value}")


class Bot(discord.Client):
    """A stand-in for the product's bot."""

    def __init__(self, loopback: LoopbackDiscord, *, sync: bool) -> None:
        super().__init__(
            intents=discord.Intents(guilds=True),
            max_messages=None,
            chunk_guilds_at_startup=False,
            guild_ready_timeout=0.02,
            allowed_mentions=discord.AllowedMentions.none(),
        )
        self.loopback, self.sync = loopback, sync
        self.sockets = Sockets(self)
        self.tree = app_commands.CommandTree(self)
        self.seen: asyncio.Queue[str] = asyncio.Queue()
        self.let_go = asyncio.Event()
        self.form: discord.ui.Modal = NoteForm()
        self.failures: list[BaseException] = []

    async def setup_hook(self) -> None:
        guild = discord.Object(self.loopback.guild_id)
        self.add_dynamic_items(ShipButton)
        self.tree.add_command(_release_group(self), guild=guild)
        if self.sync:
            await self.tree.sync(guild=guild)

    async def on_ready(self) -> None:
        self.seen.put_nowait("ready")

    async def on_resumed(self) -> None:
        self.seen.put_nowait("resumed")

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        self.seen.put_nowait(f"interaction {interaction.id}")

    async def until(self, event: str) -> None:
        """Wait until the client has seen an event."""
        async with asyncio.timeout(TIMEOUT):
            while await self.seen.get() != event:
                pass

    @property
    def releases(self) -> discord.TextChannel:
        """The main channel."""
        channel = self.get_channel(self.loopback.channel_id)
        assert isinstance(channel, discord.TextChannel)
        return channel


@asynccontextmanager
async def running_bot(loopback: LoopbackDiscord, *, sync: bool = True) -> AsyncGenerator[Bot]:
    """Log the real client in and wait until it is ready."""
    redirect_client(loopback.base_url)
    bot = Bot(loopback, sync=sync)
    task = asyncio.create_task(bot.start(loopback.token))
    waiting = asyncio.create_task(bot.until("ready"))
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        waiting.cancel()
        await bot.close()
        task.result()
    await waiting
    try:
        yield bot
    finally:
        await bot.close()
        await task
        await bot.sockets.end()


@pytest.fixture
async def loopback(tmp_path: Path) -> AsyncIterator[LoopbackDiscord]:
    """A fresh Discord; a bot request or an answer that breaks Discord's own document fails the test."""
    async with LoopbackDiscord(state_dir=tmp_path / "discord") as server:
        yield server
        assert server.answers == []


@pytest.fixture
async def bot(loopback: LoopbackDiscord) -> AsyncIterator[Bot]:
    """The real client, ready, with its commands synced."""
    ShipButton.clicked.clear()
    async with running_bot(loopback) as client:
        yield client


def _release_group(bot: Bot) -> app_commands.Group:
    release = app_commands.Group(name="release", description="Release trains")

    def command(name: str) -> Callable[[Callable[..., Awaitable[None]]], None]:
        return lambda body: release.add_command(app_commands.Command(name=name, description=name, callback=body))  # type: ignore

    @command("status")
    async def status(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("all quiet", ephemeral=True)

    @command("plan")
    @app_commands.describe(train="which train")
    async def plan(interaction: discord.Interaction, train: str, count: app_commands.Range[int, 1, 5] = 1) -> None:
        view = discord.ui.View(timeout=None).add_item(ShipButton(train))
        await interaction.response.send_message(f"plan of {train} x{count}", view=view)

    @command("slow")
    async def slow(interaction: discord.Interaction) -> None:
        await interaction.response.defer(thinking=True)
        await interaction.followup.send("read it all")
        await interaction.followup.send("and more", ephemeral=True)
        await interaction.edit_original_response(content="read it all, twice")

    @command("late")
    async def late(interaction: discord.Interaction) -> None:
        await bot.let_go.wait()
        try:
            await interaction.response.send_message("too late")
        except discord.NotFound as error:
            bot.failures.append(error)

    @command("note")
    async def note(interaction: discord.Interaction) -> None:
        await interaction.response.send_modal(bot.form)

    async def trains(interaction: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        names = ["june-train", "july-train"]
        return [app_commands.Choice(name=name, value=name) for name in names if typed in name]

    found = release.get_command("plan")
    assert isinstance(found, app_commands.Command)
    found.autocomplete("train")(trains)
    return release
