"""From our messages and forms to the client library's and back: views, files, allowed mentions, what was typed."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, TypedDict, cast

import discord

from bot.message import CUSTOM_ID, FIELD_LIMIT, HINT_LIMIT, LABEL_LIMIT, Button, Form, Message, button_of, card

MOST_BYTES = 9 * 1024 * 1024
_TEXT = 10
_MENTION = re.compile(r"<@(&?)(\d+)>")


class Sending(TypedDict, total=False):
    """Arguments for `send`, `send_message` and `followup.send` alike."""

    content: str
    embeds: list[discord.Embed]
    view: Any  # always a LayoutView; the library's signatures know views and layouts apart only one by one
    files: list[discord.File]
    allowed_mentions: discord.AllowedMentions


class Pressable(Protocol):
    """The client that a button's press is handed to."""

    async def pressed(self, interaction: discord.Interaction, button: Button) -> None: ...


class LastingButton(discord.ui.DynamicItem[discord.ui.Button[Any]], template=CUSTOM_ID):
    """A button whose whole state is its custom id, so that it survives every restart (spec 9.2)."""

    def __init__(self, button: Button) -> None:
        style = discord.ButtonStyle.danger if button.danger else discord.ButtonStyle.secondary
        super().__init__(discord.ui.Button(label=button.label, style=style, custom_id=button.custom_id))
        self.button = button

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(button_of(match, getattr(item, "label", None) or "…"))

    async def callback(self, interaction: discord.Interaction) -> None:
        await cast(Pressable, interaction.client).pressed(interaction, self.button)


def view(message: Message, files: Sequence[str] = ()) -> discord.ui.LayoutView:
    """The card as a view that never times out; a timed one would take every button of the bot with it."""
    container = discord.ui.Container[discord.ui.LayoutView](accent_colour=int(message.colour, 16))
    for number, block in enumerate(message.blocks):
        if number == 1:
            container.add_item(discord.ui.Separator())
        container.add_item(discord.ui.TextDisplay(block))
    for name in files:
        container.add_item(discord.ui.File(f"attachment://{name}"))
    if message.buttons:
        container.add_item(discord.ui.ActionRow[Any](*(LastingButton(button) for button in message.buttons)))
    return discord.ui.LayoutView(timeout=None).add_item(container)


def modal(form: Form) -> discord.ui.Modal:
    """The form, which the library forgets at once: whoever submits it is known by its custom id, in any later life."""
    made = discord.ui.Modal(title=form.title[:LABEL_LIMIT], custom_id=form.opener.custom_id)
    for field in form.fields:
        style = discord.TextStyle.short if field.is_short else discord.TextStyle.paragraph
        entry = discord.ui.TextInput[Any](
            custom_id=field.name,
            style=style,
            placeholder=field.hint[:HINT_LIMIT] or None,
            default=field.value[:FIELD_LIMIT] or None,
            required=field.is_needed,
            max_length=FIELD_LIMIT,
        )
        made.add_item(discord.ui.Label(text=field.label[:LABEL_LIMIT], component=entry))
    made.stop()
    return made


def logs_of(message: Message) -> list[discord.File]:
    """The ends of the message's logs, as far as they are on this machine; blocks, so call it in a thread."""
    most_bytes = MOST_BYTES // max(len(message.logs), 1)
    return [file for path in message.logs if (file := _log(Path(path), most_bytes))]


def sending(message: Message, logs: Sequence[discord.File] = ()) -> Sending:
    """Everything that sending it takes."""
    files = list(logs)
    if message.attached:
        name, text = message.attached
        files.append(discord.File(io.BytesIO(text.encode(errors="replace")), name))
    arguments = Sending(allowed_mentions=_allowed(message.calls))
    if files:
        arguments["files"] = files
    if message.blocks:
        arguments["view"] = view(message, [file.filename for file in files])
        return arguments
    if message.content:
        arguments["content"] = message.content
    if message.cards:
        arguments["embeds"] = [
            discord.Embed(title=one.title, description=one.text, colour=int(one.colour, 16)) for one in message.cards
        ]
    return arguments


def headlined(shown: Mapping[str, Any], headline: Message) -> Message:
    """A card that was shown, as Discord tells it, with another headline, colour and buttons over the same blocks."""
    rest = list(texts(shown["components"]))[1:]
    return card(*headline.blocks[:1], *rest, colour=headline.colour, buttons=headline.buttons)


def files_of(shown: Mapping[str, Any]) -> list[str]:
    """The names of the files that a message has already; an edit keeps them."""
    return [file["filename"] for file in shown["attachments"]]


def texts(components: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The text blocks of a card, as Discord tells it."""
    for component in components:
        if component["type"] == _TEXT:
            yield component["content"]
        yield from texts(component.get("components", ()))


def is_shown(message: Message, shown: Mapping[str, Any]) -> bool:
    """Is what Discord tells of a message what we wanted to say? (It may not tell the nonce.)"""
    if message.blocks:
        return [text.strip() for text in texts(shown["components"])] == [block.strip() for block in message.blocks]
    cards = [(one.title.strip(), one.text.strip()) for one in message.cards]
    return bool(message.content.strip() == shown["content"].strip()) and cards == [
        (embed.get("title", ""), embed.get("description", "").strip()) for embed in shown["embeds"]
    ]


def _allowed(calls: Sequence[str]) -> discord.AllowedMentions:
    named = [match.groups() for call in calls if (match := _MENTION.fullmatch(call))]
    users = [discord.Object(int(number)) for role, number in named if not role]
    roles = [discord.Object(int(number)) for role, number in named if role]
    return discord.AllowedMentions(everyone=False, replied_user=False, users=users, roles=roles)


def _log(path: Path, most_bytes: int) -> discord.File | None:
    """The end of the log under its own name; None when it is on another machine, or gone, or empty."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - most_bytes))
            text = file.read(most_bytes)
    except OSError:
        return None
    return discord.File(io.BytesIO(text), path.name) if text else None
