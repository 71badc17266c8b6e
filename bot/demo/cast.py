"""The people of the demo at work in the loopback Discord: they type commands, fill in forms and press buttons."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import click

from bot.demo.discord import LoopbackDiscord
from bot.demo.discord.messages import walk
from bot.demo.discord.people import Outcome
from bot.demo.discord.protocol import LOADING, Payload
from bot.message import Act
from core.errors import StepFailed

_LOOK_SECONDS = 0.05


class Cast:
    """Everybody, by key: `operator`, `agent` and so on."""

    def __init__(self, discord: LoopbackDiscord) -> None:
        self._discord = discord

    async def types(
        self, key: str, command: str, options: Mapping[str, str], form: Mapping[str, str] | None = None
    ) -> None:
        """Type `/command`, fill in the `form` that it opens, and wait until it was carried out."""
        who = self._discord.person(key)
        click.echo(" ".join([f"{who.name} types /{command}", *(f"{name}:{text}" for name, text in options.items())]))
        outcome = _worked(f"/{command}", await who.command(command.split(), options))
        if form is not None:
            modal = outcome["modal"]
            if modal is None:
                raise StepFailed(f"/{command} opened no form", f"it gave a {outcome['outcome']}", "see the transcript")
            for name, text in form.items():
                if text:
                    click.echo(f"    {name}: {'; '.join(text.splitlines())}")
            outcome = _worked(f"the form of /{command}", await who.submit_modal(modal["id"], form))
        while not any(_answers(message, outcome["interaction"]) for message in who.messages()):
            await asyncio.sleep(_LOOK_SECONDS)

    async def presses(self, key: str, act: Act, after: int = 0) -> None:
        """Press the newest button that does `act`, as soon as it is there in a message newer than `after`."""
        while not (found := self.newest_button(act)) or int(found[0]) <= after:
            await asyncio.sleep(_LOOK_SECONDS)
        who = self._discord.person(key)
        click.echo(f"{who.name} presses {act.value}")
        _worked(f"the button {act.value}", await who.click(*found))

    def newest_button(self, act: Act) -> tuple[str, str] | None:
        """Message and custom id, wherever the operator can see one."""
        operator = self._discord.person("operator")
        channels = [place for channel in operator.state()["channels"] for place in (channel, *channel["threads"])]
        found = [
            (message["id"], button["custom_id"])
            for channel in channels
            for message in operator.messages(channel["id"])
            for button in walk(message["components"])
            if str(button.get("custom_id", "")).startswith(f"rel:{act.value}:")
        ]
        return max(found, key=lambda one: int(one[0]), default=None)


def _worked(what: str, outcome: Outcome) -> Outcome:
    if outcome["outcome"] == "failed":
        raise StepFailed(f"{what} got no answer", str(outcome["error"]), "see the transcript")
    return outcome


def _answers(message: Payload, interaction: str) -> bool:
    """True when `message` answers the interaction, and is more than a promise to do so."""
    metadata = message.get("interaction_metadata")
    return bool(metadata and metadata["id"] == interaction and not message["flags"] & LOADING)
