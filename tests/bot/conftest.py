"""The Discord faces with the real client on a loopback Discord, over a toy world, real conductor and engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from adapters.database.deliveries import DatabaseDeliveries
from adapters.database.records import Database
from bot.client import DiscordSettings, Patience
from bot.demo.discord import Limits, LoopbackDiscord, Window, redirect_client
from bot.demo.discord.messages import plain_text
from bot.discord_faces import StationBot
from bot.posts import Pace
from core.deliveries import Deliveries
from tests.world.toy import World
from tests.world.toy_train import RELEASE, WHOLE_TRAIN, Station, lay_out

TIMEOUT = 30.0
SWIFT = Pace(writes=4, seconds=0.1, live=0.024)
"""The product's pace with a fiftieth of its times, for a Discord that is fifty times as fast."""
LIMITS = Limits(table={kind: Window(5, 0.1) for kind in ("send", "edit", "webhook")} | {"sync": Window(2, 60.0)})
IMPATIENT = Patience(first_pause=0.02, longest_pause=0.1)


def settings_of(loopback: LoopbackDiscord, **other: Any) -> DiscordSettings:
    """What config/bot.yml would say of this Discord."""
    found: dict[str, Any] = {
        "token": loopback.token,
        "guild_id": loopback.guild_id,
        "channel_id": loopback.channel_id,
        "operator_role_id": loopback.role_ids["operator"],
        "agent_role_id": loopback.role_ids["agent"],
        "reviewer_role_id": loopback.role_ids["reviewer"],
    }
    return DiscordSettings(**found | other)


class Yard:
    """A Discord, a world and a station, and what people can see and do there."""

    def __init__(self, loopback: LoopbackDiscord, world: World, station: Station, database: Database) -> None:
        self.loopback, self.world, self.station, self.database = loopback, world, station, database
        self.olive, self.otto, self.ada, self.sam = (
            loopback.person(key) for key in ("operator", "second", "agent", "stranger")
        )

    @asynccontextmanager
    async def bot(
        self, deliveries: Deliveries | None = None, *, pace: Pace = SWIFT, **settings: Any
    ) -> AsyncGenerator[StationBot]:
        """The real bot, connected and checked, until the end of the block."""
        bot = StationBot(
            settings_of(self.loopback, **settings),
            self.station.conductor,
            self.station.board,
            self.station.ports.records,
            deliveries or DatabaseDeliveries(self.database),
            pace=pace,
            patience=IMPATIENT,
        )
        running = asyncio.create_task(bot.run())
        try:
            async with asyncio.timeout(TIMEOUT):
                await bot.ready()
            yield bot
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    async def offered(self) -> dict[str, Any]:
        """The message with the plan and its buttons."""
        outcome = await self.olive.command(["release", "ship"])
        assert outcome["outcome"] == "deferred", outcome
        number = str(outcome["message"] and outcome["message"]["id"])
        await self.until(lambda: bool(buttons(self.message(number))))
        return self.message(number)

    async def pressed(self, message: dict[str, Any], label: str, by: str = "operator") -> None:
        """Press a button, and wait until something came of it: an event, or another picture."""
        async with self.database.reading() as tx:
            happened = len(await tx.events(limit=9999))
        shown = self.message(message["id"])
        await self._click(message, label, by)
        async with asyncio.timeout(TIMEOUT):
            while self.message(message["id"]) == shown:
                async with self.database.reading() as tx:
                    if len(await tx.events(limit=9999)) > happened:
                        break
                await asyncio.sleep(0.01)

    async def refused(self, message: dict[str, Any], label: str, by: str = "operator") -> str:
        """Press a button; what only its person is told."""
        known = {each["id"] for each in self.private(by)}
        await self._click(message, label, by)
        await self.until(lambda: any(each["id"] not in known for each in self.private(by)))
        return "\n".join(plain_text(each) for each in self.private(by) if each["id"] not in known)

    async def _click(self, message: dict[str, Any], label: str, by: str) -> None:
        outcome = await self.loopback.person(by).click(message["id"], buttons(message)[label])
        assert outcome["outcome"] == "deferred", outcome

    def private(self, by: str) -> list[dict[str, Any]]:
        """Ephemeral messages of a person, in the main channel and in every thread."""
        person = self.loopback.person(by)
        places = [None, *(thread["id"] for thread in self.threads())]
        return [each for place in places for each in person.messages(place) if each["flags"] & 64]

    def message(self, number: str) -> dict[str, Any]:
        """A message as it is now."""
        return self.loopback.guild.messages[number]

    def channel(self) -> list[dict[str, Any]]:
        """What everybody sees in the main channel, oldest first."""
        return [each for each in self.sam.messages() if not each["flags"] & 64]

    def threads(self) -> list[dict[str, Any]]:
        """The threads of the main channel."""
        return self.sam.state()["channels"][0]["threads"]

    def thread(self) -> list[str]:
        """The texts of the newest thread, oldest first, boards left out."""
        if not self.threads():
            return []
        every = self.sam.messages(self.threads()[-1]["id"])
        return [text_of(each) for each in every if not each["pinned"]]

    def lines(self) -> list[str]:
        """The lines of finished steps in the newest thread."""
        glyphs = ("✅", "⏭️", "⚠️", "❌", "❓", "▶️", "🛑", "🏁")
        return [line for text in self.thread() if text.startswith(glyphs) for line in text.splitlines()]

    def last(self) -> dict[str, Any]:
        """The newest message of the newest thread."""
        return self.sam.messages(self.threads()[-1]["id"])[-1]

    def boards(self) -> list[dict[str, Any]]:
        """The pinned messages of the newest thread."""
        threads = self.threads()
        return [each for each in self.sam.messages(threads[-1]["id"]) if each["pinned"]] if threads else []

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until it is so."""
        async with asyncio.timeout(TIMEOUT):
            while not is_so():
                await asyncio.sleep(0.01)

    async def settled(self) -> None:
        """Wait until everything that happened was told."""
        deliveries = DatabaseDeliveries(self.database)
        async with asyncio.timeout(TIMEOUT):
            while True:
                cursor = await deliveries.cursor()
                async with self.database.reading() as tx:
                    left = await tx.events(after=cursor or 0, limit=1)
                if cursor is not None and not left and not await deliveries.pending():
                    return
                await asyncio.sleep(0.01)


def text_of(message: dict[str, Any]) -> str:
    """Everything that a person can read of a message."""
    embeds = [f"{each.get('title', '')}\n{each.get('description', '')}" for each in message["embeds"]]
    return "\n".join([plain_text(message), *embeds])


def buttons(message: dict[str, Any]) -> dict[str, str]:
    """Label → custom id."""
    found: dict[str, str] = {}
    todo = list(message["components"])
    while todo:
        each = todo.pop()
        todo += each.get("components", [])
        if each["type"] == 2:
            found[each["label"]] = each["custom_id"]
    return found


@asynccontextmanager
async def open_yard(
    database: Database, folder: Path, *, limits: Limits = LIMITS, ack_seconds: float = 3.0
) -> AsyncGenerator[Yard]:
    """A Discord with an assembled train; whatever breaks Discord's rules or limits fails the test."""
    world = World()
    lay_out(world)
    station = Station(world, database, folder)
    await station.prepared(*WHOLE_TRAIN)
    async with LoopbackDiscord(limits=limits, ack_seconds=ack_seconds) as loopback:
        redirect_client(loopback.base_url)
        yield Yard(loopback, world, station, database)
        assert loopback.violations == []
        assert loopback.answers == []
        assert loopback.rate_limit_hits == []


@pytest.fixture
async def yard(tmp_path: Path, database: Database) -> AsyncIterator[Yard]:
    """The yard of most tests."""
    async with open_yard(database, tmp_path) as opened:
        yield opened


__all__ = ["RELEASE", "Yard", "buttons", "open_yard", "settings_of", "text_of"]
