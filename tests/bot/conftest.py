"""The Discord faces with the real client on a loopback Discord, over a toy world, real conductor and engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from adapters.database.deliveries import DatabaseDeliveries
from adapters.database.records import Database
from bot.client import DiscordSettings, Patience
from bot.demo.discord import Limits, LoopbackDiscord, Outcome, Window, redirect_client
from bot.demo.discord.messages import plain_text
from bot.discord_faces import StationBot
from bot.posts import Pace
from core.deliveries import Deliveries
from core.doorkeeper import Doorkeeper
from core.permissions import Role
from tests.world.toy import World
from tests.world.toy_train import RELEASE, WHOLE_TRAIN, Station, lay_out
from tests.world.waiting import until

TIMEOUT = 30.0
SWIFT = Pace(writes=4, seconds=0.2, live=0.024)
"""The product's pace with a fiftieth of its times, for a Discord that is fifty times as fast."""
LIMITS = Limits(
    table={kind: Window(5, 0.1) for kind in ("send", "edit", "webhook")} | {"sync": Window(2, 60.0)},
    calls_per_second=50 * 50,
)
IMPATIENT = Patience(first_pause=0.02, longest_pause=0.1)


def settings_of(loopback: LoopbackDiscord, **other: Any) -> DiscordSettings:
    """What config/bot.yml would say of this Discord."""
    found: dict[str, Any] = {
        "token": loopback.token,
        "guild_id": loopback.guild_id,
        "channel_id": loopback.channel_id,
        "role_ids": {Role(name): number for name, number in loopback.role_ids.items()},
    }
    return DiscordSettings(**found | other)


class Yard:
    """A Discord, a world and a station, and what people can see and do there."""

    def __init__(self, loopback: LoopbackDiscord, world: World, station: Station, database: Database) -> None:
        self.loopback, self.world, self.station, self.database = loopback, world, station, database
        self.olive, self.otto, self.ada, self.sam, self.rex, self.tess = (
            loopback.person(key) for key in ("operator", "second", "agent", "stranger", "reviewer", "light")
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
            Doorkeeper(self.station.ports, lambda: "a-secret-for-once"),
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

        async def came_of_it() -> bool:
            async with self.database.reading() as tx:
                return self.message(message["id"]) != shown or len(await tx.events(limit=9999)) > happened

        await until(came_of_it)

    async def refused(self, message: dict[str, Any], label: str, by: str = "operator") -> str:
        """Press a button; what only its person is told."""
        return text_of(await self.told(by, self.loopback.person(by).click(message["id"], buttons(message)[label])))

    async def told(self, by: str, doing: Awaitable[Outcome]) -> dict[str, Any]:
        """The new message that only its person sees after doing something that is acknowledged first."""
        known = {each["id"] for each in self.private(by)}
        outcome = await doing
        assert outcome["outcome"] == "deferred", outcome

        def news() -> list[dict[str, Any]]:
            return [each for each in self.private(by) if each["id"] not in known and text_of(each)]

        await self.until(lambda: bool(news()))
        return news()[0]

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
        await until(is_so, TIMEOUT)

    async def settled(self) -> None:
        """Wait until everything that happened was told."""
        deliveries = DatabaseDeliveries(self.database)

        async def is_told() -> bool:
            cursor = await deliveries.cursor()
            async with self.database.reading() as tx:
                left = await tx.events(after=cursor or 0, limit=1)
            return cursor is not None and not left and not await deliveries.pending()

        await until(is_told)


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


def said(outcome: Outcome) -> str:
    """What an immediate answer says."""
    assert outcome["outcome"] == "message" and outcome["message"], outcome
    return text_of(outcome["message"])


def is_private(outcome: Outcome) -> bool:
    """Did only the asker see it?"""
    return bool(outcome["message"] and outcome["message"]["flags"] & 64)


async def done(yard: Yard, outcome: Outcome) -> str:
    """What everybody reads in the end of what was acknowledged first."""
    assert outcome["outcome"] == "deferred" and outcome["message"], outcome
    number = outcome["message"]["id"]
    await yard.until(lambda: bool(text_of(yard.message(number))))
    return text_of(yard.message(number))


async def refused(yard: Yard, by: str, path: list[str], options: dict[str, Any] | None = None) -> str:
    """What only the asker reads of a command that was not done; nothing of it stays in the channel."""
    before = len(yard.channel())
    told = await yard.told(by, yard.loopback.person(by).command(path, options))
    assert len(yard.channel()) == before
    return text_of(told)


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


__all__ = ["RELEASE", "Yard", "buttons", "done", "is_private", "open_yard", "refused", "said", "settings_of", "text_of"]
