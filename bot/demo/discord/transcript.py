"""Tells a recorder what people could see happen, in words: the source of the demo's transcript."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from bot.demo.discord.guild import Guild, Listener
from bot.demo.discord.messages import plain_text
from bot.demo.discord.protocol import EPHEMERAL, THREAD, Payload

Record = Callable[[str, Mapping[str, object]], None]

_KINDS = {
    "MESSAGE_CREATE": "discord.message",
    "MESSAGE_UPDATE": "discord.edit",
    "MESSAGE_DELETE": "discord.delete",
    "THREAD_CREATE": "discord.thread",
    "THREAD_UPDATE": "discord.thread",
    "INTERACTION_CREATE": "discord.interaction",
    "ack": "discord.ack",
}
_INTERACTIONS = {2: "command", 3: "click", 4: "autocomplete", 5: "modal"}


def transcript(guild: Guild, record: Record) -> Listener:
    """A listener of the guild that calls record(kind, payload); kinds are the values of _KINDS, payloads are JSON."""

    def listen(event: str, payload: Payload, only_to: str | None) -> None:
        if event not in _KINDS:
            return
        told: Payload = payload
        if event in ("MESSAGE_CREATE", "MESSAGE_UPDATE"):
            told = _message(guild, payload, only_to)
        elif event.startswith("THREAD"):
            told = {**_place(guild, payload["id"]), "id": payload["id"], **payload["thread_metadata"]}
        elif event == "INTERACTION_CREATE":
            told = _interaction(guild, payload)
        elif event == "MESSAGE_DELETE":
            told = {**_place(guild, payload["channel_id"]), "id": payload["id"]}
        record(_KINDS[event], told)

    return listen


def _message(guild: Guild, message: Payload, only_to: str | None) -> Payload:
    embeds = [each.get(key) for each in message["embeds"] for key in ("title", "description")]
    return {
        **_place(guild, message["channel_id"]),
        "id": message["id"],
        "author": message["author"]["global_name"],
        "content": message["content"],
        "text": _named(guild, "\n".join(filter(None, [plain_text(message), *embeds]))),
        "ephemeral": bool(message["flags"] & EPHEMERAL),
        "to": guild.users[only_to].name if only_to else None,
        "pings": [*(f"@{user['global_name']}" for user in message["mentions"]), *_role_names(guild, message)],
        "attachments": [{key: each[key] for key in ("filename", "size", "url")} for each in message["attachments"]],
    }


def _interaction(guild: Guild, payload: Payload) -> Payload:
    data = payload["data"]
    words = [f"/{data['name']}"] if "name" in data else [data["custom_id"]]
    options: list[Payload] = data.get("options", [])
    while options:
        words += [f"{each['name']}:{each['value']}" if "value" in each else each["name"] for each in options]
        options = options[0].get("options", [])
    return {
        **_place(guild, payload["channel_id"]),
        "interaction": payload["id"],
        "person": payload["member"]["user"]["global_name"],
        "how": _INTERACTIONS[payload["type"]],
        "what": " ".join(map(str, words)),
    }


def _place(guild: Guild, channel_id: str) -> Payload:
    channel = guild.channels.get(channel_id, {"name": "deleted", "type": THREAD, "parent_id": None})
    if channel["type"] != THREAD:
        return {"channel": channel["name"], "thread": None}
    parent = guild.channels.get(channel["parent_id"], {"name": "deleted"})
    return {"channel": parent["name"], "thread": channel["name"]}


def _named(guild: Guild, text: str) -> str:
    """With the names that people read where mentions have ids."""
    names = {f"<@{one.id}>": f"@{one.name}" for one in guild.users.values()}
    names |= {f"<@&{role_id}>": f"@{name}" for name, role_id in guild.role_ids.items()}
    return re.sub("<@&?[0-9]+>", lambda found: names.get(found[0], found[0]), text)


def _role_names(guild: Guild, message: Payload) -> list[str]:
    everyone = ["@everyone"] if message["mention_everyone"] else []
    return [f"@{name}" for name, role_id in guild.role_ids.items() if role_id in message["mention_roles"]] + everyone
