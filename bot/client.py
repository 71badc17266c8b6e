"""The connection to Discord: one client at a time, started anew whenever one dies, and checked when it is ready.

What it does for people (commands, buttons, forms) is handed in. Only a wrong token or a refused intent is final.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, cast

import aiohttp
import discord
import msgspec
from discord import app_commands
from discord.gateway import KeepAliveHandler
from discord.http import Ratelimit

from bot.answering import explain, is_stale, opener_of, typed_in
from bot.layout import LastingButton
from bot.message import Button
from core.errors import Reason, Refused, Trouble
from core.permissions import Role
from core.records import Records

log = logging.getLogger(__name__)

NEEDED = discord.Permissions(2252109051448320)
REST_SECONDS = 20
_LONGEST_WINDOW_SECONDS = 30  # what would wait for longer is refused at once, to be tried again later
CHECK_SECONDS = 5
Command = app_commands.Group | app_commands.Command[Any, ..., Any]
discord.VoiceClient.warn_nacl = False


class DiscordSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the bot lives and who may speak to it; ids are Discord's. The token is never shown."""

    token: str
    guild_id: int
    channel_id: int
    role_ids: Mapping[Role, int]

    def __repr__(self) -> str:
        return f"DiscordSettings(guild_id={self.guild_id}, channel_id={self.channel_id}, token=••••)"

    @property
    def roles(self) -> dict[int, Role]:
        """What each of Discord's roles means here."""
        return {number: role for role, number in self.role_ids.items()}


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds: between two clients, and how long the gateway may be gone while REST answers."""

    first_pause: float = 1
    longest_pause: float = 60
    down: float = 60
    watch: float = 5


class Hands(Protocol):
    """What becomes of pressed buttons and submitted forms. Whatever is raised is told to the person."""

    async def press(self, interaction: discord.Interaction, button: Button) -> None: ...
    async def submit(self, interaction: discord.Interaction, opener: Button, typed: Mapping[str, str]) -> None: ...


class GatewayGone(Exception):
    """The library waits for a gateway that is there again; closing the client would not end its pause."""


class _Bucket(Ratelimit):
    """The library's, which refuses every further call of a window that ends late, also while there is room in it."""

    async def acquire(self) -> None:
        if self.remaining > 0 and not self.is_expired():
            self.remaining -= 1
            self.outgoing += 1
        else:
            await super().acquire()


class StationClient(discord.Client):
    """One life of the connection. `problems`: what is wrong with its guild, channel and permissions, when ready."""

    def __init__(
        self,
        settings: DiscordSettings,
        records: Records,
        commands: Sequence[Command],
        hands: Hands,
    ) -> None:
        super().__init__(
            intents=discord.Intents(guilds=True),
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            guild_ready_timeout=0.5,
            max_ratelimit_timeout=_LONGEST_WINDOW_SECONDS,
            heartbeat_timeout=30,
            allowed_mentions=discord.AllowedMentions.none(),
        )
        self.http.get_ratelimit = self._bucket
        self._sockets = Sockets(self)
        self.problems: tuple[Reason, ...] = ()
        self.usable, self.checked, self._greeted = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.down_since: float | None = asyncio.get_running_loop().time()
        self._settings, self._records, self._hands = settings, records, hands
        self._guild = discord.Object(settings.guild_id)
        self.tree = _Tree(self, settings.guild_id)
        for command in commands:
            self.tree.add_command(command, guild=self._guild)

    async def pressed(self, interaction: discord.Interaction, button: Button) -> None:
        """A button of any message, also of one that an earlier life of the bot sent."""
        await self._handled(interaction, lambda: self._hands.press(interaction, button))

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        """A form that somebody submits, also one that an earlier life of the bot opened."""
        if opener := opener_of(interaction):
            await self._handled(interaction, lambda: self._hands.submit(interaction, opener, typed_in(interaction)))

    async def close(self) -> None:
        """Nothing of it runs afterwards."""
        await super().close()
        await self._sockets.end()

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        """The library goes on telling events for a moment after it was closed, and trips over its own absence."""
        if not self.is_closed():
            super().dispatch(event, *args, **kwargs)

    def _bucket(self, key: str) -> _Bucket:
        buckets = self.http._buckets  # pyright: ignore[reportPrivateUsage]
        return cast("_Bucket", buckets.setdefault(key, _Bucket(_LONGEST_WINDOW_SECONDS)))

    async def setup_hook(self) -> None:
        self.add_dynamic_items(LastingButton)
        self.usable.set()

    async def on_ready(self) -> None:
        """May come many times."""
        self.down_since = None
        self._greeted.set()

    async def on_guild_available(self, guild: discord.Guild) -> None:
        """Comes before `on_ready`, which waits whether there are more."""
        if guild.id == self._guild.id:
            self._greeted.set()

    async def check(self) -> None:
        """Look at the guild, the channel and the permissions, and offer the commands; tried until it worked."""
        await self._greeted.wait()
        while True:
            found = tuple(_problems(self, self._settings))
            for problem in set(found) - set(self.problems):
                log.error("%s", problem, extra={"action": "discord.problem"})
            self.problems = found
            if self.get_guild(self._settings.guild_id) and await self._offered_commands():
                break
            await asyncio.sleep(CHECK_SECONDS)
        self.checked.set()

    async def on_resumed(self) -> None:
        self.down_since = None

    async def on_disconnect(self) -> None:
        self.down_since = self.down_since or asyncio.get_running_loop().time()

    async def _handled(self, interaction: discord.Interaction, do: Callable[[], Awaitable[None]]) -> None:
        """The library only logs what leaves a button or a form, so everything is answered here."""
        try:
            if await self.tree.interaction_check(interaction):
                await do()
        except Exception as error:  # the person who pressed must hear of it, whatever it is
            await explain(interaction, error)

    async def _offered_commands(self) -> bool:
        """Sync only when they changed, or are not there: Discord allows few syncs."""
        payload = [command.to_dict(self.tree) for command in self.tree.get_commands(guild=self._guild)]
        digest = hashlib.sha256(msgspec.json.encode(payload, order="sorted")).hexdigest()
        name = f"discord:commands:{self.application_id}:{self._guild.id}"
        try:
            async with self._records.reading() as tx:
                known = await tx.setting(name)
            there = {command.name for command in await self.tree.fetch_commands(guild=self._guild)}
            if known != digest or there != {command["name"] for command in payload}:
                await self.tree.sync(guild=self._guild)
                async with self._records.transaction() as tx:
                    await tx.put_setting(name, digest)
        except (discord.DiscordException, aiohttp.ClientError, OSError, Trouble) as error:
            log.warning("the commands are not offered yet: %s", error, extra={"action": "discord.sync"})
            return False
        return True


class Sockets:
    """The gateway connections of a client, also one that the library gives up half-way and forgets."""

    def __init__(self, client: discord.Client) -> None:
        self._connect, client.http.ws_connect = client.http.ws_connect, self._connected
        self._newest: aiohttp.ClientWebSocketResponse | None = None

    async def end(self) -> None:
        """Once the client is closed: end its last connection, and the heartbeats of this loop, which are threads."""
        if self._newest:
            await self._newest.close()
        loop = asyncio.get_running_loop()
        for thread in threading.enumerate():
            if isinstance(thread, KeepAliveHandler) and thread.ws.loop is loop:
                thread.stop()
                await asyncio.to_thread(thread.join, CHECK_SECONDS)

    async def _connected(self, url: str, *, compress: int = 0) -> aiohttp.ClientWebSocketResponse:
        forgotten, self._newest = self._newest, None
        if forgotten:
            await forgotten.close()
        self._newest = await self._connect(url, compress=compress)
        return self._newest


class _Tree(app_commands.CommandTree[StationClient]):
    def __init__(self, client: StationClient, guild_id: int) -> None:
        super().__init__(client)
        self._guild_id = guild_id

    async def interaction_check(self, interaction: discord.Interaction, /) -> bool:
        if is_stale(interaction):
            return False
        if interaction.guild_id == self._guild_id:
            return True
        if interaction.type is not discord.InteractionType.autocomplete:
            why = "its configuration names one server only"
            await explain(interaction, Refused("this bot serves another server", why))
        return False

    async def on_error(self, interaction: discord.Interaction, error: app_commands.AppCommandError, /) -> None:
        await explain(interaction, getattr(error, "original", error))


class Connection:
    """Keeps a client connected; whoever wants to talk asks for the one that can."""

    def __init__(self, token: str, make: Callable[[], StationClient], patience: Patience | None = None) -> None:
        self._token, self._make, self._patience = token, make, patience or Patience()
        self._current: StationClient | None = None
        self._is_new = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled; does not close the last client, so that others can say goodbye through it: see `close`.

        Refused when the token is wrong or Discord refuses the intents: no second try helps there.
        """
        pause = self._patience.first_pause
        while True:
            client = self._current = self._make()
            self._is_new.set()
            try:
                await self._live(client)
            except ExceptionGroup as group:
                _give_up_if_final(group.exceptions[0])
                died = group.exceptions[0]
                words = f"{type(died).__name__}: {died}"
                log.warning("Discord is away, trying again: %s", words, extra={"action": "discord.died"})
            if client.checked.is_set():
                pause = self._patience.first_pause
            await client.close()
            client.usable.set()  # whoever waits for this one looks for the next
            await asyncio.sleep(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, self._patience.longest_pause)

    async def client(self) -> StationClient:
        """The newest client, as soon as it is logged in; REST works then, whatever the gateway does."""
        while True:
            current = self._current
            if current is None or current.is_closed():
                self._is_new.clear()
                await self._is_new.wait()
                continue
            await current.usable.wait()
            if not current.is_closed():
                return current

    async def close(self) -> None:
        """Let go of the last client; may be called twice."""
        if self._current:
            await self._current.close()

    async def _live(self, client: StationClient) -> None:
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(self._watch(client), name="watch the gateway"),
                group.create_task(client.check(), name="check the server"),
            ]
            await client.start(self._token)
            for task in beside:
                task.cancel()

    async def _watch(self, client: StationClient) -> None:
        """The library's own pauses grow to 17 minutes: end a client whose gateway is gone while REST answers."""
        while True:
            await asyncio.sleep(self._patience.watch)
            gone = asyncio.get_running_loop().time() - client.down_since if client.down_since else 0
            if gone > self._patience.down and await _rest_answers(client):
                raise GatewayGone(f"no gateway for {gone:.0f} s though REST answers")


async def _rest_answers(client: StationClient) -> bool:
    try:
        async with asyncio.timeout(REST_SECONDS):
            await client.http.get_bot_gateway()
    except (discord.DiscordException, aiohttp.ClientError, OSError):
        return False
    return True


def _give_up_if_final(error: Exception) -> None:
    match error:
        case discord.LoginFailure():
            next_ = "copy the token of the bot again into the variable that config/bot.yml names"
            raise Refused("Discord does not know this bot token", "it is wrong or was reset", next_) from error
        case discord.PrivilegedIntentsRequired():
            next_ = "see the application's Bot page in Discord's developer portal"
            raise Refused("Discord refuses the intents", "this bot asks for the guilds intent only", next_) from error
        case _:
            pass


def _problems(client: StationClient, settings: DiscordSettings) -> list[Reason]:
    """Everything that would make posting fail, each with its fix."""
    guild = client.get_guild(settings.guild_id)
    if guild is None:
        there = ", ".join(f"{one.name} ({one.id})" for one in client.guilds) or "none"
        why = f"it is in: {there}"
        return [Reason(f"the bot is not in the server {settings.guild_id}", why, "invite it, or mend discord.guild_id")]
    channel = guild.get_channel(settings.channel_id)
    if not isinstance(channel, discord.TextChannel):
        what = f"{guild.name} has no text channel {settings.channel_id} that the bot can see"
        return [Reason(what, "plans and notes appear there", "mend discord.channel_id, or let the bot view it")]
    given = channel.permissions_for(guild.me)
    return [
        Reason(f"the bot may not {name.replace('_', ' ')} in #{channel.name}", "", "give its role this permission")
        for name, needed in NEEDED
        if needed and not getattr(given, name)
    ]
