"""The guild: people, roles, channels, threads, messages and commands, as Discord's own objects.

Every change is appended to a file before it is answered, so that killing the process loses nothing, and then told to
the listeners (gateway, people's page, transcript). Who may see and do what is answered here too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bot.demo.discord import shapes
from bot.demo.discord.protocol import EPHEMERAL, THREAD, ApiError, Payload, Permission, Upload, now, snowflake

Listener = Callable[[str, Payload, str | None], None]
"""Hears an event by its gateway name, its payload, and the only person who may see it (None: everybody)."""

_FIRST_ID = 1_100_000_000_000_000_000
_NOWHERE = "http://attachments.invalid"  # stands for the base URL in the file: the port changes at every start


@dataclass(frozen=True)
class Someone:
    """A person of the guild (or the bot): `name` is what everybody reads, `key` how tests and the page address them."""

    id: str
    key: str
    name: str
    roles: tuple[str, ...]


NAME = "Train Yard"
_CHANNELS = ("releases", "elsewhere")
_ROLES = ("operator", "agent", "reviewer")
_PEOPLE: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("operator", "Olive", ("operator",)),
    ("second", "Otto", ("operator",)),
    ("agent", "Ada", ("agent",)),
    ("reviewer", "Rex", ("reviewer",)),
    ("stranger", "Sam", ()),
    ("light", "Tess", ("reviewer",)),
    ("mate", "Ben", ("agent",)),
)
_BOT_PERMISSIONS = 2252109051448320
PEOPLE_PERMISSIONS = int(Permission.VIEW_CHANNEL | Permission.SEND_MESSAGES | Permission.READ_MESSAGE_HISTORY)


class Guild:
    """All state of the loopback Discord; ids of what was there before anybody spoke never change."""

    def __init__(self, state_dir: Path) -> None:
        self.id, self.bot_id, self.bot_role_id = (str(_FIRST_ID + n) for n in (1, 2, 3))
        self.role_ids = {name: str(_FIRST_ID + 100 + n) for n, name in enumerate(_ROLES)}
        self.channel_ids = {name: str(_FIRST_ID + 300 + n) for n, name in enumerate(_CHANNELS)}
        everyone = [Someone(str(_FIRST_ID + 200 + n), *row) for n, row in enumerate(_PEOPLE)]
        self.people = {someone.key: someone for someone in everyone}
        self.users = {someone.id: someone for someone in everyone}
        self.users[self.bot_id] = Someone(self.bot_id, "stationmaster", "Stationmaster", ())
        self.nicks: dict[str, str] = {}
        self.listeners: list[Listener] = []
        self.base_url = _NOWHERE
        self.ephemeral_to: dict[str, str] = {}
        self.channels: dict[str, Payload] = {}
        self.messages: dict[str, Payload] = {}
        self.commands: dict[str, list[Payload]] = {}
        self._files = state_dir / "attachments"
        self._journal = state_dir / "discord.jsonl"

    def open(self, base_url: str) -> None:
        """Replay what an earlier process wrote; a line torn by a kill was never answered and is cut off."""
        self.base_url = base_url
        self._files.mkdir(parents=True, exist_ok=True)
        for position, (name, channel_id) in enumerate(self.channel_ids.items()):
            self.channels[channel_id] = shapes.channel(self.id, channel_id, name, position)
        written = self._journal.read_bytes() if self._journal.exists() else b""
        whole = written[: written.rfind(b"\n") + 1]
        if whole != written:
            os.truncate(self._journal, len(whole))
        for line in whole.decode().replace(_NOWHERE, base_url).splitlines():
            self._apply(*json.loads(line))

    # --- changes, each durable before anybody hears of it ---

    def put(self, table: str, key: str, value: object) -> None:
        """Store one object (None deletes it) in channels, messages or commands."""
        line = json.dumps([table, key, value]).replace(self.base_url, _NOWHERE) + "\n"
        with self._journal.open("a", encoding="utf-8") as journal:
            journal.write(line)
        self._apply(table, key, value)

    def emit(self, event: str, payload: Payload, only_to: str | None = None) -> None:
        for listener in self.listeners:
            listener(event, payload, only_to)

    def post(self, message: Payload, only_to: str | None = None) -> None:
        """Publish a new message; an ephemeral one is kept in memory only, as it is gone after a reload anyway."""
        self._store_message(message, only_to)
        if (thread := self.channel(message["channel_id"]))["type"] == THREAD:
            counts = {key: thread[key] + 1 for key in ("message_count", "total_message_sent")}
            self.put("channels", thread["id"], thread | counts | {"last_message_id": message["id"]})
        self.emit("MESSAGE_CREATE", message, only_to)

    def rewrite(self, message: Payload) -> None:
        only_to = self.ephemeral_to.get(message["id"])
        self._store_message(message, only_to)
        self.emit("MESSAGE_UPDATE", message, only_to)

    def remove_message(self, message_id: str) -> None:
        """Delete a message, as its author or a moderator would."""
        message = self.messages[message_id]
        only_to = self.ephemeral_to.pop(message_id, None)
        self.put("messages", message_id, None)
        gone = {"id": message_id, "channel_id": message["channel_id"], "guild_id": self.id}
        self.emit("MESSAGE_DELETE", gone, only_to)

    def remove_thread(self, thread_id: str) -> None:
        """Delete a thread with all that is in it."""
        thread = self.channels[thread_id]
        for message in self.messages_in(thread_id):
            self.put("messages", message["id"], None)
        self.put("channels", thread_id, None)
        self._show_on_root(thread_id, {})
        self.emit("THREAD_DELETE", thread)

    def create_thread(self, root: Payload, body: Payload) -> Payload:
        """Open a thread of the bot on a message, with that message's id."""
        thread = shapes.thread(self.id, root["channel_id"], self.bot_id, root["id"], body)
        self.put("channels", thread["id"], thread)
        self.emit("THREAD_CREATE", thread | {"newly_created": True})
        return thread

    def set_archived(self, thread_id: str, is_archived: bool) -> None:
        """Archive a thread, as its people may, or take it out again."""
        thread = self.channels[thread_id]
        changed = {"archived": is_archived, "archive_timestamp": now()}
        self.put("channels", thread_id, thread | {"thread_metadata": thread["thread_metadata"] | changed})
        self._show_on_root(thread_id, {"thread": self.channels[thread_id]})
        self.emit("THREAD_UPDATE", self.channels[thread_id])

    def keep_file(self, upload: Upload) -> Payload:
        """Store an uploaded file and return what is known about it; its URL works as long as the state exists."""
        file_id, name = snowflake(), Path(upload.filename).name
        (self._files / file_id).mkdir()
        (self._files / file_id / name).write_bytes(upload.content)
        url = f"{self.base_url}/attachments/{file_id}/{name}"
        facts = {"content_type": upload.content_type, "url": url, "proxy_url": url}
        return {"id": file_id, "filename": name, "size": len(upload.content), **facts}

    def file(self, file_id: str, name: str) -> Path:
        """Where an uploaded file lies; raises a 404 ApiError."""
        path = self._files / Path(file_id).name / Path(name).name
        if not path.is_file():
            raise ApiError(404, 0, "404: Not Found")
        return path

    # --- questions ---

    @property
    def gateway_url(self) -> str:
        return self.base_url.replace("http", "ws", 1) + "/gateway"

    def channel(self, channel_id: str) -> Payload:
        """A channel or thread; raises 10003."""
        if channel_id not in self.channels:
            raise ApiError(404, 10003, "Unknown Channel")
        return self.channels[channel_id]

    def is_archived(self, channel_id: str) -> bool:
        return self.channel(channel_id).get("thread_metadata", {}).get("archived", False)

    def message(self, channel_id: str, message_id: str) -> Payload:
        """A message of a channel; raises 10008."""
        found = self.messages.get(message_id)
        if found is None or found["channel_id"] != channel_id:
            raise ApiError(404, 10008, "Unknown Message")
        return found

    def messages_in(self, channel_id: str, person_id: str | None = None) -> list[Payload]:
        """Messages of a channel, oldest first: for the bot without ephemeral ones, for a person with their own."""
        there = [each for each in self.messages.values() if each["channel_id"] == channel_id]
        visible = [each for each in there if self.ephemeral_to.get(each["id"]) in (None, person_id)]
        return sorted(visible, key=lambda message: int(message["id"]))

    def user(self, user_id: str) -> Payload:
        someone = self.users[user_id]
        return shapes.user(user_id, someone.name, is_bot=user_id == self.bot_id)

    def member(self, user_id: str) -> Payload:
        roles = [self.bot_role_id] if user_id == self.bot_id else [self.role_ids[r] for r in self.users[user_id].roles]
        return shapes.member(self.user(user_id), roles, self.nicks.get(user_id))

    def roles(self) -> list[Payload]:
        """All role objects; @everyone has the guild's id and no rights, so that the bot has exactly its own."""
        own = shapes.role(self.bot_role_id, "Stationmaster", _BOT_PERMISSIONS, is_managed=True)
        named = [shapes.role(role_id, name, PEOPLE_PERMISSIONS) for name, role_id in self.role_ids.items()]
        return [shapes.role(self.id, "@everyone", 0), own, *named]

    def bot_permissions(self, channel_id: str) -> int:
        """The permission bits the bot has in a channel, or in a thread through its parent."""
        channel = self.channel(channel_id)
        overwrites = self.channels[channel["parent_id"]] if channel["type"] == THREAD else channel
        bits = _BOT_PERMISSIONS
        for overwrite in overwrites["permission_overwrites"]:
            bits = bits & ~int(overwrite["deny"]) | int(overwrite["allow"])
        return bits

    def set_bot_permissions(self, channel_id: str, bits: int) -> None:
        """Give the bot exactly these permissions in a channel."""
        exactly = {"id": self.bot_role_id, "type": 0, "allow": str(bits), "deny": str(~bits & (1 << 53) - 1)}
        self.put("channels", channel_id, self.channels[channel_id] | {"permission_overwrites": [exactly]})
        self.emit("CHANNEL_UPDATE", self.channels[channel_id])

    def demand(self, channel_id: str, *needed: Permission) -> None:
        """Raise 50001 when the bot cannot see the channel, 50013 when it lacks one of these permissions."""
        bits = self.bot_permissions(channel_id)
        if not bits & Permission.VIEW_CHANNEL:
            raise ApiError(403, 50001, "Missing Access")
        if any(not bits & permission for permission in needed):
            raise ApiError(403, 50013, "Missing Permissions")

    # --- private ---

    def _show_on_root(self, thread_id: str, link: Payload) -> None:
        """Keep the copy of a thread in the message it hangs on equal to the thread."""
        if root := self.messages.get(thread_id):
            bare = {key: value for key, value in root.items() if key != "thread"}
            self.put("messages", thread_id, bare | link)

    def _apply(self, table: str, key: str, value: object) -> None:
        rows: dict[str, object] = getattr(self, table)
        if value is None:
            rows.pop(key, None)
        else:
            rows[key] = value

    def _store_message(self, message: Payload, only_to: str | None) -> None:
        if message["flags"] & EPHEMERAL and only_to is not None:
            self.ephemeral_to[message["id"]] = only_to
            self.messages[message["id"]] = message
        else:
            self.put("messages", message["id"], message)
