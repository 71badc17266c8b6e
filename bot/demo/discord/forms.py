"""What the Discord client checks before it sends anything: command options, select values and modal fields.

Raises Misuse with a sentence for the person; nothing reaches the bot then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.demo.discord.guild import Guild
from bot.demo.discord.protocol import Payload

_PYTHON_TYPES: Mapping[int, tuple[type, ...]] = {3: (str,), 4: (int,), 5: (bool,), 10: (int, float)}
_STRING, _BOOLEAN, _USER, _CHANNEL, _ROLE = 3, 5, 6, 7, 8
_TEXT_INPUT, _CHECKBOX, _RADIO, _ROW, _LABEL = 4, 23, 21, 1, 18


class Misuse(Exception):
    """The Discord client would not have let the person do this."""


def command_data(
    guild: Guild, commands: list[Payload], path: Sequence[str], options: Mapping[str, Any], focused: str | None = None
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
    given = [_option(known[name], value, focused) for name, value in options.items()]
    for each in reversed(found[1:]):
        given = [{"type": each["type"], "name": each["name"], "options": given}]
    root = {key: found[0][key] for key in ("id", "name", "type", "guild_id") if key in found[0]}
    return root | {"options": given, "resolved": _resolved(guild, level, options)}


def chosen_values(guild: Guild, component: Payload, values: Sequence[str]) -> Payload:
    """The values of a select menu, with the people and roles they name."""
    allowed = {each["value"] for each in component.get("options", [])} or set(values)
    if not component["min_values"] <= len(values) <= component["max_values"] or not allowed.issuperset(values):
        raise Misuse("That is not among the choices.")
    users = {each: guild.user(each) for each in values if each in guild.users and component["type"] == 5}
    return {
        "values": list(values),
        "resolved": {"users": users, "members": {each: guild.member(each) for each in users}},
    }


def modal_answers(guild: Guild, components: list[Payload], fields: Mapping[str, Any]) -> list[Payload]:
    """The filled-in modal in the shape of its own layout."""
    answers: list[Payload] = []
    for each in components:
        frame = {"type": each["type"], "id": each["id"]}
        if each["type"] == _LABEL:
            answers.append(frame | {"component": modal_answers(guild, [each["component"]], fields)[0]})
        elif each["type"] == _ROW:
            answers.append(frame | {"components": modal_answers(guild, each["components"], fields)})
        elif "custom_id" in each:
            answers.append(
                frame | {"custom_id": each["custom_id"]} | _field(guild, each, fields.get(each["custom_id"]))
            )
        else:
            answers.append(frame)
    return answers


def _option(option: Payload, value: Any, focused: str | None) -> Payload:
    name = option["name"]
    if name == focused:
        return {"type": option["type"], "name": name, "value": value, "focused": True}
    wanted = _PYTHON_TYPES.get(option["type"], (str,))
    if not isinstance(value, wanted) or (isinstance(value, bool) and option["type"] != _BOOLEAN):
        raise Misuse(f"{name} must be {' or '.join(each.__name__ for each in wanted)}.")
    if option.get("choices") and value not in [each["value"] for each in option["choices"]]:
        raise Misuse(f"{name} must be one of the choices.")
    size: Any = len(str(value)) if option["type"] == _STRING else value
    low, high = (option.get(f"{edge}_{'length' if option['type'] == _STRING else 'value'}") for edge in ("min", "max"))
    if (low is not None and size < low) or (high is not None and size > high):
        raise Misuse(f"{name} is too small or too large.")
    return {"type": option["type"], "name": name, "value": value}


def _resolved(guild: Guild, options: list[Payload], values: Mapping[str, Any]) -> Payload:
    resolved: Payload = {"users": {}, "members": {}, "roles": {}, "channels": {}}
    for option in options:
        value = values.get(option["name"])
        if value in guild.users and option["type"] == _USER:
            resolved["users"][value], resolved["members"][value] = guild.user(value), guild.member(value)
        elif option["type"] == _ROLE and value is not None:
            resolved["roles"] |= {each["id"]: each for each in guild.roles() if each["id"] == value}
        elif value in guild.channels and option["type"] == _CHANNEL:
            resolved["channels"][value] = guild.channels[value] | {"permissions": "0"}
        elif value is not None and option["type"] in (_USER, _CHANNEL):
            raise Misuse(f"{option['name']}: nobody and nothing here has the id {value}.")
    return resolved


def _field(guild: Guild, component: Payload, value: Any) -> Payload:
    required = component.get("required") is not False
    if component["type"] == _CHECKBOX:
        return {"value": bool(value)}
    if required and not value:
        raise Misuse("A required field is empty.")
    if component["type"] == _TEXT_INPUT:
        text = str(value or "")
        if text and not (component.get("min_length") or 0) <= len(text) <= (component.get("max_length") or 4000):
            raise Misuse("A text is too short or too long.")
        return {"value": text}
    values = [] if not value else [value] if isinstance(value, str) else list(value)
    limits = {"min_values": int(required), "max_values": 1} | component
    chosen = chosen_values(guild, limits if values else limits | {"min_values": 0}, values)
    return {"value": values[0] if values else None} if component["type"] == _RADIO else chosen
