"""Turns a request body into the message object Discord would store: component ids, attachments, embeds, real pings."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from bot.demo.discord.guild import Guild
from bot.demo.discord.protocol import Payload, Permission, Upload, now, snowflake, without_nulls

_FILLED_IN: Mapping[int, Payload] = {
    13: {"name": None, "size": None, "spoiler": False},
    14: {"spacing": 1, "divider": True},
    17: {"accent_color": None, "spoiler": False},
}


def new_message(guild: Guild, channel_id: str, body: Payload, files: Mapping[int, Upload]) -> Payload:
    """A message of the bot made from a create request."""
    blank: Payload = {
        "id": snowflake(),
        "channel_id": channel_id,
        "type": 0,
        "author": guild.user(guild.bot_id),
        "content": "",
        "timestamp": now(),
        "edited_timestamp": None,
        "flags": 0,
        "pinned": False,
        "tts": False,
        "application_id": guild.bot_id,
    }
    blank |= {key: list[object]() for key in ("embeds", "components", "attachments")}
    return written(guild, blank, body, files)


def edited_message(guild: Guild, message: Payload, body: Payload, files: Mapping[int, Upload]) -> Payload:
    """The message after an edit request: absent keys stay as they are."""
    return written(guild, message, body, files) | {"edited_timestamp": now()}


def written(guild: Guild, message: Payload, body: Payload, files: Mapping[int, Upload]) -> Payload:
    """A copy of the message with everything the body says put in."""
    message = message | ({"content": body["content"] or ""} if "content" in body else {})
    message["flags"] |= body.get("flags") or 0
    kept = {attachment["id"]: attachment for attachment in message["attachments"]}
    wanted: list[Payload] = body.get("attachments", [*kept.values(), *({"id": number} for number in files)]) or []
    message["attachments"] = [_attachment(guild, each, kept, files) for each in wanted]
    by_name = {f"attachment://{each['filename']}": each for each in message["attachments"]}
    if "embeds" in body:
        embeds: list[Payload] = body["embeds"] or []
        message["embeds"] = [without_nulls(embed) | {"type": "rich"} for embed in embeds]
    if "components" in body:
        message["components"] = numbered(body["components"] or [], by_name)
    return message | _pings(guild, message, body.get("allowed_mentions"))


def numbered(components: list[Payload], files: Mapping[str, Payload] = MappingProxyType({})) -> list[Payload]:
    """Components as Discord stores them, each with an id; `files` are attachments by their attachment:// address."""
    taken = {each.get("id") for each in walk(components)}
    free_ids = (number for number in itertools.count(1) if number not in taken)
    return [_component(each, free_ids, files) for each in without_nulls(components)]


def walk(components: list[Payload]) -> Iterator[Payload]:
    """Every component of a tree, parents first."""
    for component in components:
        yield component
        yield from walk(component.get("components", []))
        yield from walk([component["component"]] if "component" in component else [])


def plain_text(message: Payload) -> str:
    """What a person can read of the message: content, text displays, and buttons as [labels]."""
    parts = [message["content"]]
    for each in walk(message["components"]):
        parts += (
            [each["content"]] if each["type"] == 10 else [f"[{each.get('label', '')}]"] if each["type"] == 2 else []
        )
    return "\n".join(filter(None, parts))


def _attachment(guild: Guild, wanted: Payload, kept: Mapping[str, Payload], files: Mapping[int, Upload]) -> Payload:
    if (earlier := kept.get(str(wanted["id"]))) is not None:
        return earlier
    described = {"description": wanted["description"]} if wanted.get("description") else {}
    return guild.keep_file(files[int(wanted["id"])]) | described


def _component(component: Payload, ids: Iterator[int], by_name: Mapping[str, Payload]) -> Payload:
    stored: Payload = {"id": component.get("id") or next(ids), **_FILLED_IN.get(component["type"], {}), **component}
    if "file" in stored:
        file = by_name[stored["file"]["url"]]
        address = {key: file[key] for key in ("url", "proxy_url")}
        stored["file"] = {"id": snowflake(), "attachment_id": file["id"], **address}
        stored |= {"name": file["filename"], "size": file["size"]}
    if "components" in stored:
        stored["components"] = [_component(each, ids, by_name) for each in stored["components"]]
    if "component" in stored:
        stored["component"] = _component(stored["component"], ids, by_name)
    return stored


def _pings(guild: Guild, message: Payload, allowed: Payload | None) -> Payload:
    """Whom the message really pings: named in its text, allowed by allowed_mentions, and pingable at all."""
    text = plain_text(message)
    kinds: list[Any] = ["users", "roles", "everyone"] if allowed is None else allowed.get("parse") or []

    def chosen(kind: str, pattern: str) -> list[str]:
        listed = set(map(str, (allowed or {}).get(kind) or ()))
        return [each for each in dict.fromkeys(re.findall(pattern, text)) if kind in kinds or each in listed]

    may_ping_all = bool(guild.bot_permissions(message["channel_id"]) & Permission.MENTION_EVERYONE)
    return {
        "mentions": [guild.user(each) for each in chosen("users", r"<@!?(\d+)>") if each in guild.users],
        "mention_roles": [each for each in chosen("roles", r"<@&(\d+)>") if each in guild.role_ids.values()],
        "mention_everyone": may_ping_all and "everyone" in kinds and bool(re.search("@(everyone|here)", text)),
    }
