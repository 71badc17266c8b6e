"""The WebSocket gateway: HELLO, IDENTIFY, READY, GUILD_CREATE, heartbeats, and RESUME with replay.

A bot may ask for the guilds intent only, as ours does; every other one is refused like a privileged one.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

from aiohttp import WSMsgType, web

from bot.demo.discord.guild import NAME, Guild
from bot.demo.discord.protocol import THREAD, Payload, snowflake

_GUILDS_INTENT = 1 << 0
_HEARTBEAT_MS = 41_250


class Session:
    """Everything ever dispatched to one identified client, so that it can be replayed."""

    def __init__(self) -> None:
        self.id = snowflake()
        self.frames: list[str] = []
        self.news = asyncio.Event()
        self.socket: web.WebSocketResponse | None = None

    def add(self, event: str, payload: Payload) -> None:
        self.frames.append(json.dumps({"op": 0, "t": event, "s": len(self.frames) + 1, "d": payload}))
        self.news.set()

    async def deliver(self, socket: web.WebSocketResponse, sequence: int) -> None:
        """Send what comes after `sequence`, for as long as the socket lives."""
        with suppress(ConnectionResetError):
            while not socket.closed:
                while sequence < len(self.frames):
                    await socket.send_str(self.frames[sequence])
                    sequence += 1
                self.news.clear()
                await self.news.wait()


class Gateway:
    """All sessions of the bot."""

    def __init__(self, guild: Guild, token: str) -> None:
        self._guild = guild
        self._token = token
        self._sessions: dict[str, Session] = {}
        self._sockets: set[web.WebSocketResponse] = set()
        self.is_down = False
        guild.listeners.append(self._hear)

    async def close_all(self, code: int) -> None:
        """Close every socket; the sessions can be resumed."""
        sockets, self._sockets = self._sockets, set()
        await asyncio.gather(*(socket.close(code=code) for socket in sockets))

    async def connect(self, request: web.Request) -> web.StreamResponse:
        if self.is_down:
            return web.Response(status=503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets.add(socket)
        async with asyncio.TaskGroup() as pumps:
            try:
                await _send(socket, 10, {"heartbeat_interval": _HEARTBEAT_MS})
                await self._serve(socket, pumps)
            finally:
                self._let_go(socket)
        return socket

    async def _serve(self, socket: web.WebSocketResponse, pumps: asyncio.TaskGroup) -> None:
        pump: asyncio.Task[None] | None = None
        try:
            async for frame in socket:
                if frame.type is not WSMsgType.TEXT:
                    continue
                started = await self._answer(socket, json.loads(frame.data))
                if started is not None:
                    session, sequence = started
                    pump = pumps.create_task(session.deliver(socket, sequence), name=f"gateway {session.id}")
        finally:
            if pump:
                pump.cancel()

    def _let_go(self, socket: web.WebSocketResponse) -> None:
        if socket in self._sockets and socket.close_code in (1000, 1001):  # the client said goodbye: no resume
            self._sessions = {key: each for key, each in self._sessions.items() if each.socket is not socket}
        self._sockets.discard(socket)

    async def _answer(self, socket: web.WebSocketResponse, frame: Payload) -> tuple[Session, int] | None:
        wish: Payload = frame["d"]
        match frame["op"]:
            case 1:
                return await _send(socket, 11, None)
            case 2:
                return await self._identify(socket, wish)
            case 6:
                return await self._resume(socket, wish)
            case _:
                return None

    async def _identify(self, socket: web.WebSocketResponse, wish: Payload) -> tuple[Session, int] | None:
        if wish["token"] != self._token or wish["intents"] & ~_GUILDS_INTENT:
            await socket.close(code=4004 if wish["token"] != self._token else 4014)
            return None
        alive = (each for each in self._sessions.values() if each.socket and not each.socket.closed)
        self._sessions = {each.id: each for each in alive}
        session = Session()
        self._sessions[session.id], session.socket = session, socket
        session.add("READY", self._ready(session))
        session.add("GUILD_CREATE", self._guild_create())
        return session, 0

    async def _resume(self, socket: web.WebSocketResponse, wish: Payload) -> tuple[Session, int] | None:
        session = self._sessions.get(wish["session_id"])
        if session is None or wish["token"] != self._token or wish["seq"] > len(session.frames):
            await _send(socket, 9, False)
            return None
        session.socket = socket
        session.add("RESUMED", {})
        return session, wish["seq"]

    def _hear(self, event: str, payload: Payload, only_to: str | None) -> None:
        """Send an event to every session, now or after it resumes."""
        if only_to is None and event.isupper() and not event.startswith("MESSAGE_"):
            for session in self._sessions.values():
                session.add(event, payload | {"guild_id": self._guild.id})

    def _ready(self, session: Session) -> Payload:
        return {
            "v": 10,
            "user": self._guild.user(self._guild.bot_id) | {"verified": True, "mfa_enabled": False},
            "guilds": [{"id": self._guild.id, "unavailable": True}],
            "session_id": session.id,
            "resume_gateway_url": self._guild.gateway_url,
            "application": {"id": self._guild.bot_id, "flags": 0},
        }

    def _guild_create(self) -> Payload:
        guild = self._guild
        channels = list(guild.channels.values())
        alive = [each for each in channels if each["type"] == THREAD and not each["thread_metadata"]["archived"]]
        return {
            "id": guild.id,
            "name": NAME,
            "owner_id": next(iter(guild.people.values())).id,
            "member_count": len(guild.users),
            "roles": guild.roles(),
            "channels": [channel for channel in channels if channel["type"] != THREAD],
            "threads": alive,
            "members": [guild.member(guild.bot_id)],  # without the members intent Discord sends no others
            "unavailable": False,
            "large": False,
            "preferred_locale": "en-US",
            **{key: list[object]() for key in ("emojis", "stickers", "features", "presences", "voice_states")},
        }


async def _send(socket: web.WebSocketResponse, op: int, payload: object) -> None:
    await socket.send_str(json.dumps({"op": op, "d": payload, "s": None, "t": None}))
