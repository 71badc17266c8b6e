"""Payload rules that Discord enforces and its OpenAPI document does not say (discord.md 5 and 7.3).

Each function returns the broken rules as sentences; an empty list is a good payload.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from bot.demo.discord.messages import walk
from bot.demo.discord.protocol import COMPONENTS_V2, Payload, Upload

MAX_FILE_BYTES = 10 * 1024 * 1024
_COMMAND_NAME = re.compile(r"[-_'\w]{1,32}")


def broken_message_rules(body: Payload, files: Mapping[int, Upload], earlier: Payload | None = None) -> list[str]:
    """Check a message, an edit of `earlier`, or the data of an interaction answer."""
    content, embeds = body.get("content") or "", body.get("embeds") or []
    components: list[Payload] = body.get("components") or []
    flags = (body.get("flags") or 0) | (earlier["flags"] if earlier else 0)
    broken = _component_rules(components, bool(flags & COMPONENTS_V2), bool(content or embeds))
    if len(content) > 2000:
        broken.append("content: must be 2000 or fewer in length")
    if sum(map(_embed_text_length, embeds)) > 6000:
        broken.append("embeds: texts must be 6000 or fewer characters in all")
    if any(
        not field[key].strip() for embed in embeds for field in embed.get("fields") or [] for key in ("name", "value")
    ):
        broken.append("embeds.fields: this field is required")
    broken += [f"{file.filename}: larger than 10 MiB" for file in files.values() if len(file.content) > MAX_FILE_BYTES]
    return broken + _attachment_rules(body, files, earlier)


def broken_modal_rules(data: Payload) -> list[str]:
    """Check a modal."""
    ids = Counter(each["custom_id"] for each in walk(data["components"]) if "custom_id" in each)
    broken = [f"components: custom_id {name!r} is duplicated" for name, count in ids.items() if count > 1]
    return broken + (["components: must be between 1 and 5 in length"] if len(data["components"]) > 5 else [])


def broken_command_rules(commands: list[Payload]) -> list[str]:
    """Check a whole set of commands."""
    broken = [] if len(commands) <= 100 else ["commands: 100 or fewer per scope"]
    for level in [commands, *_option_lists(commands)]:
        names: list[str] = [each["name"] for each in level]
        broken += [f"name: {name!r} is no valid name" for name in names if not _is_command_name(name)]
        broken += [f"options: {name!r} is used twice" for name, count in Counter(names).items() if count > 1]
        required = [bool(each.get("required")) for each in level]
        if required != sorted(required, reverse=True):
            broken.append("options: required options must be placed before non-required options")
    return broken


def _component_rules(components: list[Payload], is_v2: bool, has_text: bool) -> list[str]:
    every = list(walk(components))
    ids = Counter(each["custom_id"] for each in every if each.get("custom_id"))
    broken = [f"components: custom_id {name!r} is duplicated" for name, count in ids.items() if count > 1]
    if not is_v2:
        broken += ["components: only action rows without the components v2 flag"] * any(
            c["type"] != 1 for c in components
        )
        return broken + ["components: 5 or fewer action rows"] * (len(components) > 5)
    text_length = sum(len(each["content"]) for each in every if each["type"] == 10)
    broken += ["content and embeds cannot be used with the components v2 flag"] * has_text
    broken += [f"components: {len(every)} in all, 40 or fewer are allowed"] * (len(every) > 40)
    return broken + [f"components: {text_length} characters of text, 4000 or fewer are allowed"] * (text_length > 4000)


def _attachment_rules(body: Payload, files: Mapping[int, Upload], earlier: Payload | None) -> list[str]:
    kept = {each["id"]: each["filename"] for each in (earlier or {}).get("attachments", [])}
    listed: list[Payload] = body.get("attachments") or []
    broken = [
        f"attachments: no file with id {each['id']}"
        for each in listed
        if str(each["id"]) not in kept and int(each["id"]) not in files
    ]
    names = {*kept.values(), *(file.filename for file in files.values())}
    wanted = re.findall(r"attachment://([^'\"]+)", repr([body.get("embeds"), body.get("components")]))
    return broken + [f"attachment://{name}: no such attachment" for name in wanted if name not in names]


def _embed_text_length(embed: Payload) -> int:
    texts = [embed.get("title"), embed.get("description")]
    texts += [(embed.get(key) or {}).get(text) for key, text in (("footer", "text"), ("author", "name"))]
    texts += [field[key] for field in embed.get("fields") or [] for key in ("name", "value")]
    return sum(len(text) for text in texts if text)


def _option_lists(commands: list[Payload]) -> list[list[Payload]]:
    lists: list[list[Payload]] = [command["options"] for command in commands if command.get("options")]
    return lists + [inner for options in lists for inner in _option_lists(options)]


def _is_command_name(name: Any) -> bool:
    return bool(_COMMAND_NAME.fullmatch(name)) and name == name.lower()
