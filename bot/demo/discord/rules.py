"""Payload rules that Discord enforces and its OpenAPI document does not say (discord.md 5 and 7.3).

Every check raises the ApiError Discord answers with: 50035 naming all broken rules, or 50006 for an empty message.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from bot.demo.discord.forms import OPTION_TYPES
from bot.demo.discord.messages import walk
from bot.demo.discord.protocol import COMPONENTS_V2, ApiError, Payload, Upload, invalid_form

_MAX_FILE_BYTES = 10 * 1024 * 1024
_COMPONENTS = {1, 2, 10, 13, 14, 17}
_EMBED_KEYS = {"title", "description", "color", "type", "flags"}
_COMMAND_NAME = re.compile(r"[-_'\w]{1,32}")


def check_message(body: Payload, files: Mapping[int, Upload], earlier: Payload | None = None) -> None:
    """Check a new message, or an edit of `earlier`."""
    content: str = body.get("content") or ""
    embeds: list[Payload] = body.get("embeds") or []
    components: list[Payload] = body.get("components") or []
    if earlier is None and not (content or embeds or components or files):
        raise ApiError(400, 50006, "Cannot send an empty message")
    flags = (body.get("flags") or 0) | (earlier["flags"] if earlier else 0)
    broken = _component_rules(components, bool(flags & COMPONENTS_V2), bool(content or embeds))
    foreign = {key for embed in embeds for key, value in embed.items() if value is not None} - _EMBED_KEYS
    if len(content) > 2000:
        broken.append("content: must be 2000 or fewer in length")
    if sum(len(embed.get(key) or "") for embed in embeds for key in ("title", "description")) > 6000:
        broken.append("embeds: texts must be 6000 or fewer characters in all")
    if foreign:
        broken.append(f"embeds: the loopback does not show {', '.join(sorted(foreign))}")
    broken += [f"{file.filename}: larger than 10 MiB" for file in files.values() if len(file.content) > _MAX_FILE_BYTES]
    _raise_if(broken + _attachment_rules(body, files, earlier))


def check_modal(modal: Payload) -> None:
    """Check a modal; of what Discord allows in one, the loopback shows labelled text inputs only."""
    labels: list[Payload] = modal["components"]
    broken = _duplicate_ids(list(walk(labels)))
    broken += ["components: must be between 1 and 5 in length"] * (not 1 <= len(labels) <= 5)
    kinds = [(each["type"], each.get("component", each)["type"]) for each in labels]
    _raise_if(broken + ["components: the loopback shows labelled text inputs only"] * bool(set(kinds) - {(18, 4)}))


def check_commands(commands: list[Payload]) -> None:
    """Check the whole set of commands of one scope."""
    broken = ["commands: 100 or fewer per scope"] * (len(commands) > 100)
    if any(command.get("default_member_permissions") is not None for command in commands):
        broken.append("default_member_permissions: the loopback offers every command to everybody")
    for level in [commands, *_option_lists(commands)]:
        names: list[str] = [each["name"] for each in level]
        bad = [name for name in names if not _COMMAND_NAME.fullmatch(name) or name != name.lower()]
        broken += [f"name: {name!r} is no valid name" for name in bad]
        broken += [f"options: {name!r} is used twice" for name, count in Counter(names).items() if count > 1]
        foreign = [each["name"] for each in level if each.get("type", 1) not in (1, 2, *OPTION_TYPES)]
        broken += [f"options: the loopback cannot fill the type of {name!r}" for name in foreign]
        required = [bool(each.get("required")) for each in level]
        if required != sorted(required, reverse=True):
            broken.append("options: required options must be placed before non-required options")
    _raise_if(broken)


def _component_rules(components: list[Payload], is_v2: bool, has_text: bool) -> list[str]:
    every = list(walk(components))
    foreign = {each["type"] for each in every} - _COMPONENTS
    broken = _duplicate_ids(every) + [f"components: the loopback shows none of type {foreign}"] * bool(foreign)
    if not is_v2:
        if any(each["type"] != 1 for each in components):
            broken.append("components: only action rows without the components v2 flag")
        return broken + ["components: 5 or fewer action rows"] * (len(components) > 5)
    text_length = sum(len(each["content"]) for each in every if each["type"] == 10)
    broken += ["content and embeds cannot be used with the components v2 flag"] * has_text
    broken += [f"components: {len(every)} in all, 40 or fewer are allowed"] * (len(every) > 40)
    return broken + [f"components: {text_length} characters of text, 4000 or fewer are allowed"] * (text_length > 4000)


def _duplicate_ids(components: list[Payload]) -> list[str]:
    counted = Counter(each["custom_id"] for each in components if each.get("custom_id"))
    return [f"components: custom_id {name!r} is duplicated" for name, count in counted.items() if count > 1]


def _attachment_rules(body: Payload, files: Mapping[int, Upload], earlier: Payload | None) -> list[str]:
    kept = {each["id"]: each["filename"] for each in (earlier or {}).get("attachments", [])}
    listed: list[Payload] = body.get("attachments") or []
    ids = [str(each["id"]) for each in listed]
    broken = [f"attachments: no file {each}" for each in ids if each not in kept and int(each) not in files]
    names = {*kept.values(), *(file.filename for file in files.values())}
    wanted = re.findall(r"attachment://([^'\"]+)", repr(body.get("components")))
    return broken + [f"attachment://{name}: no such attachment" for name in wanted if name not in names]


def _option_lists(commands: list[Payload]) -> list[list[Payload]]:
    lists: list[list[Payload]] = [command["options"] for command in commands if command.get("options")]
    return lists + [inner for options in lists for inner in _option_lists(options)]


def _raise_if(broken: list[str]) -> None:
    if broken:
        raise invalid_form(broken)
