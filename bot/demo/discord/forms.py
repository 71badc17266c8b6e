"""What the Discord client checks before it sends anything: command options and the texts of a modal.

Raises Misuse with a sentence for the person; nothing reaches the bot then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.demo.discord.protocol import Payload

OPTION_TYPES: Mapping[int, type] = {3: str, 4: int, 5: bool}
_LONGEST_TEXT = 4000


class Misuse(Exception):
    """The Discord client would not have let the person do this."""


def command_data(
    commands: list[Payload], path: Sequence[str], options: Mapping[str, Any], focused: str | None = None
) -> Payload:
    """The data of a command interaction (with `focused` of an autocomplete): options nested as the command is."""
    level: list[Payload] = commands
    found: list[Payload] = []
    for name in path:
        found.append(next((each for each in level if each["name"] == name), Payload()))
        level = found[-1].get("options", list[Payload]())
    if not all(found) or any(each["type"] in (1, 2) for each in level):
        raise Misuse(f"There is no command /{' '.join(path)}.")
    known: dict[str, Payload] = {each["name"]: each for each in level}
    if unknown := set(options) - set(known):
        raise Misuse(f"/{' '.join(path)} has no option {', '.join(sorted(unknown))}.")
    missing = [name for name, each in known.items() if each.get("required") and name not in options]
    if missing and focused is None:
        raise Misuse(f"{', '.join(missing)} is required.")
    given = [_option(known[name], value, name == focused) for name, value in options.items()]
    for each in reversed(found[1:]):
        given = [{"type": each["type"], "name": each["name"], "options": given}]
    root = {key: found[0][key] for key in ("id", "name", "type", "guild_id") if key in found[0]}
    return root | {"options": given, "resolved": {}}


def modal_answers(labels: list[Payload], fields: Mapping[str, str]) -> list[Payload]:
    """The filled-in modal in the shape of its own layout; `fields` are texts by custom_id."""
    if unknown := set(fields) - {label["component"]["custom_id"] for label in labels}:
        raise Misuse(f"This form has no field {', '.join(sorted(unknown))}.")
    return [{"type": label["type"], "id": label["id"], "component": _typed(label, fields)} for label in labels]


def _option(option: Payload, value: Any, is_focused: bool) -> Payload:
    name, kind = option["name"], option["type"]
    if is_focused:
        return {"type": kind, "name": name, "value": value, "focused": True}
    if type(value) is not OPTION_TYPES[kind]:
        raise Misuse(f"{name} must be {OPTION_TYPES[kind].__name__}.")
    if option.get("choices") and value not in [each["value"] for each in option["choices"]]:
        raise Misuse(f"{name} must be one of the choices.")
    size, unit = (len(value), "length") if isinstance(value, str) else (value, "value")
    low, high = option.get(f"min_{unit}"), option.get(f"max_{unit}")
    if (low is not None and size < low) or (high is not None and size > high):
        raise Misuse(f"{name} is too small or too large.")
    return {"type": kind, "name": name, "value": value}


def _typed(label: Payload, fields: Mapping[str, str]) -> Payload:
    wanted = label["component"]
    text = fields.get(wanted["custom_id"], "")
    if wanted.get("required") is not False and not text.strip():
        raise Misuse(f"{label['label']} is required.")
    if text and not wanted.get("min_length", 0) <= len(text) <= wanted.get("max_length", _LONGEST_TEXT):
        raise Misuse(f"{label['label']} is too short or too long.")
    return {"type": wanted["type"], "id": wanted["id"], "custom_id": wanted["custom_id"], "value": text}
