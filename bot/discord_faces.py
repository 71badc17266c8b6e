"""Everything of Discord, run together: the connection with its commands and buttons, and the projector beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import discord

from bot.buttons import Presses
from bot.client import Connection, DiscordSettings, Patience, StationClient
from bot.completion import explain_fields
from bot.message import TRAIN_ACTS, Button
from bot.person_commands import PersonCommands
from bot.posts import Pace, Posts
from bot.projector import Projector
from bot.release_commands import release_commands
from bot.task_commands import TaskCommands
from bot.task_forms import TaskForms
from bot.token_commands import TokenCommands
from core.board import Board
from core.conductor import Conductor
from core.deliveries import Deliveries
from core.doorkeeper import Doorkeeper
from core.permissions import Role
from core.records import Records

FLUSH_SECONDS = 10


class StationBot:
    """The Discord face. `connection` and `projector` tell how it is doing; `ready` waits until it is checked."""

    def __init__(
        self,
        settings: DiscordSettings,
        conductor: Conductor,
        board: Board,
        records: Records,
        deliveries: Deliveries,
        doorkeeper: Doorkeeper,
        *,
        pace: Pace | None = None,
        patience: Patience | None = None,
    ) -> None:
        forms = TaskForms(settings, board)
        hands = _Hands(Presses(settings, conductor), forms)

        def make() -> StationClient:
            commands = [
                *release_commands(settings, conductor, board),
                TaskCommands(settings, board, conductor.registry, forms),
                TokenCommands(settings, doorkeeper),
                PersonCommands(settings, doorkeeper),
            ]
            for command in commands:
                explain_fields(command)
            return StationClient(settings, records, commands, hands)

        pace = pace or Pace()
        self.connection = Connection(settings.token, make, patience)
        self.projector = Projector(
            records,
            deliveries,
            Posts(self.connection.client, pace),
            pace,
            channel=settings.channel_id,
            operators=f"<@&{settings.role_ids[Role.OPERATOR]}>",
        )

    async def run(self) -> None:
        """Until cancelled: then the thread gets its last words, and the client goes. Refused: see `Connection.run`."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.connection.run(), name="discord connection")
                group.create_task(self.projector.run(), name="discord projector")
        except ExceptionGroup as broken:
            raise broken.exceptions[0] from broken
        finally:
            await self.projector.flush(FLUSH_SECONDS)
            await self.connection.close()

    async def ready(self) -> StationClient:
        """The client, when it is connected, checked, and its commands are there."""
        while True:
            client = await self.connection.client()
            with suppress(TimeoutError):
                async with asyncio.timeout(1):  # it may die before it is ready, and be followed by another
                    await client.checked.wait()
                    return client


class _Hands:
    """Trains have buttons; tasks have buttons and forms."""

    def __init__(self, presses: Presses, forms: TaskForms) -> None:
        self._presses, self._forms = presses, forms

    async def press(self, interaction: discord.Interaction, button: Button) -> None:
        if button.act in TRAIN_ACTS:
            await self._presses.press(interaction, button)
        else:
            await self._forms.press(interaction, button)

    async def submit(self, interaction: discord.Interaction, opener: Button, typed: Mapping[str, str]) -> None:
        await self._forms.submit(interaction, opener, typed)
