"""Every REST call of the projector: with a deadline, at a pace that Discord likes, through whichever client lives."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar, cast

import discord
import msgspec

from bot.client import REST_SECONDS, StationClient
from bot.layout import files_of, headlined, logs_of, sending, view
from bot.message import Message

Shown = Mapping[str, Any]
"""A message as Discord tells it."""
Got = TypeVar("Got")


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """At most `writes` of one kind in one channel in any `seconds`, which is how Discord counts (discord.md 2.2).

    `live`: seconds between two edits of a live message.
    """

    writes: int = 4
    seconds: float = 5
    live: float = 1.2


class Posts:
    """What the projector does in Discord. Every call may raise what the library raises, and TimeoutError."""

    def __init__(self, client: Callable[[], Awaitable[StationClient]], pace: Pace) -> None:
        self._client, self._pace = client, pace
        self._written: defaultdict[tuple[str, int], deque[float]] = defaultdict(lambda: deque(maxlen=pace.writes))

    async def send(self, channel: int, message: Message, nonce: str) -> int:
        """Post it; the same nonce twice within minutes is one message. Returns its id."""
        logs = await asyncio.to_thread(logs_of, message)
        client = await self._turn("send", channel)
        place = client.get_partial_messageable(channel)
        return (await _soon(place.send(**sending(message, logs), nonce=nonce))).id

    async def edit(self, channel: int, number: int, message: Message) -> None:
        """Show something else in a card of ours."""
        client = await self._turn("edit", channel)
        await self._rewrite(client, channel, number, view(message))

    async def rehead(self, channel: int, number: int, headline: Message) -> None:
        """Replace the headline and the buttons of a card of ours; its other blocks and files stay."""
        shown = await self.shown(channel, number)
        client = await self._turn("edit", channel)
        await self._rewrite(client, channel, number, view(headlined(shown, headline), files_of(shown)))

    async def pin(self, channel: int, number: int) -> None:
        """Pin it; pinning twice is no mistake."""
        client = await self._turn("pin", channel)
        await _soon(client.http.pin_message(channel, number))

    async def open_thread(self, channel: int, number: int, name: str) -> None:
        """Hang a thread on a message; it gets the message's id."""
        client = await self._turn("thread", channel)
        await _soon(client.http.start_thread_with_message(channel, number, name=name, auto_archive_duration=1440))

    async def shown(self, channel: int, number: int) -> Shown:
        """One message."""
        client = await self._client()
        return cast(Shown, await _soon(client.http.get_message(channel, number)))

    async def own_after(self, channel: int, number: int) -> list[Shown]:
        """What we ourselves said in a channel after a message, oldest first; at most a hundred."""
        client = await self._client()
        found = cast(list[Shown], await _soon(client.http.logs_from(channel, 100, after=number)))
        return [one for one in reversed(found) if int(one["author"]["id"]) == client.application_id]

    async def _rewrite(self, client: StationClient, channel: int, number: int, card: discord.ui.LayoutView) -> None:
        message = client.get_partial_messageable(channel).get_partial_message(number)
        await _soon(message.edit(view=card, allowed_mentions=discord.AllowedMentions.none()))

    async def _turn(self, kind: str, channel: int) -> StationClient:
        """The client, when one more write of this kind is in the pace."""
        client, written = await self._client(), self._written[kind, channel]
        now = asyncio.get_running_loop().time
        if len(written) == self._pace.writes:
            await asyncio.sleep(written[0] + self._pace.seconds - now())
        written.append(now())
        return client


async def _soon(call: Awaitable[Got]) -> Got:
    async with asyncio.timeout(REST_SECONDS):  # wait_for of Python 3.11 can lose a cancellation
        return await call
