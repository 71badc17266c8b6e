"""`stationmaster demo`: people and the bot play a whole train in the demo's world, from the first task to the seal.

Every act looks first whether it was done already, so the same command goes on where a killed one stood.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import click

from bot.bootstrap import Station, opened
from bot.console import one_line
from bot.demo.discord.messages import walk
from bot.demo.discord.people import Person
from bot.demo.discord.protocol import LOADING, Payload
from bot.demo.narrator import Narrator
from bot.demo.transcript import Transcript
from bot.demo.tripwire import VARIABLE, Tripwire
from bot.demo.world import DemoWorld
from bot.message import Act
from bot.serving import discord_bot, run_beside
from core.errors import Refused, StepFailed
from core.journal import ShipState
from core.releases import ReleaseState
from core.tasks import Stage
from core.train.progress import Progress
from core.words import nearest

RELEASE = "first-train"
TASKS: tuple[Mapping[str, str], ...] = (
    {
        "title": "Coins know their fees",
        "slug": "coin-fees",
        "shape": "library",
        "repositories": "coin-core coin-ledger",
    },
    {
        "title": "Gold seats in the treasury",
        "slug": "gold-seats",
        "shape": "ui",
        "repositories": "treasury wallet",
        "depends_on": "coin-fees",
        "command": "python3 manage.py seed 'gold seats'",
    },
    {"title": "The kiosk shows its hours", "slug": "kiosk-hours", "shape": "script", "repositories": "kiosk"},
)
_PATIENCE_SECONDS = 120


async def demo(*, stay: bool, state: str | None, transcript: str | None, broken: str | None) -> int:
    """Play the story; with `stay` everything up to the ship, and then people play the rest on the page.

    Exit code 0 when the train is shipped, 1 when the world complained. Refused for a step that cannot be broken.
    """
    with ExitStack() as stack:
        folder = (
            Path(state) if state else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stationmaster-")))
        )
        told = Transcript(folder / "transcript.jsonl", *([Path(transcript)] if transcript else []))
        stack.callback(told.close)
        narrator = Narrator(click.echo)
        told.listeners.append(narrator.hear)
        world = DemoWorld(folder, told, broken=broken)
        _require_breakable(broken, world.breakable)
        click.echo("Laying out the world: Discord, git origins, a package index, a platform …")
        wire = Tripwire(os.environ.get(VARIABLE, ""), folder / "crashes")
        async with world, opened(world.environ, around_records=wire.around, on_spawn=wire.on_spawn) as station:
            return await _with_the_bot(Story(world, station), stay)


async def _with_the_bot(story: Story, stay: bool) -> int:
    bot = discord_bot(story.station)
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(run_beside(story.station, bot), name="bot")
        await bot.ready()
        await story.fill_the_train()
        if stay:
            await story.leave_to_people()
            code = 0
        else:
            code = await story.ship()
        serving.cancel()
    return code


class Story:
    """The acts, in order."""

    def __init__(self, world: DemoWorld, station: Station) -> None:
        self.world, self.station = world, station
        self._operator = world.discord.person("operator")
        self._agent, self._reviewer = world.discord.person("agent"), world.discord.person("reviewer")

    async def fill_the_train(self) -> None:
        """Tasks are made, built and reviewed; they board, and the train is frozen."""
        for wanted in TASKS:
            await self._bring_to_review(wanted)
        release = next(iter(await self.station.conductor.releases()), None)
        if release is None:
            await self._do(self._operator, ["release", "open"], name=RELEASE, tasks=" ".join(t["slug"] for t in TASKS))
        if release is None or release.state is ReleaseState.ASSEMBLING:
            await self._do(self._operator, ["release", "freeze"])

    async def ship(self) -> int:
        """The operator ships, resumes and answers until the train is shipped; exit code 0 then."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            attempt = 0
            while (progress := await self._progress()) is None or progress.state is not ShipState.FINISHED:
                if progress is None:
                    await self._confirm()
                elif progress.state is not ShipState.RUNNING:
                    attempt = progress.attempt
                    await self._until_told()
                    await self._press(Act.RESUME if progress.state is ShipState.STOPPED else self._answer())
                await self._until_it_rests(attempt + 1)
            await self._until_told()
        await self.show_what_is_live()
        for complaint in self.world.complaints:
            click.echo(f"THE WORLD COMPLAINS: {complaint}", err=True)
        return 1 if self.world.complaints else 0

    async def leave_to_people(self) -> None:
        """Print where to play, and stay until interrupted."""
        click.echo(f"\nThe train is frozen and waits for you: {self.world.discord.base_url}/")
        click.echo("Type /release ship there, read the plan, press the button. Ctrl-C ends the demo.")
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await stop.wait()

    async def show_what_is_live(self) -> None:
        """What each site itself says now, and its seal."""
        click.echo("\nWhat is live where:")
        async with aiohttp.ClientSession() as client:
            for found in await self.station.conductor.deployments():
                async with client.get(f"{found.app.base_url}/up") as answer:
                    says = (await answer.json(content_type=None))["revision"][:7]
                async with client.get(f"{found.app.base_url}/") as answer:
                    page = one_line(_text_of(await answer.text()))
                seal = f"seal {found.seal.status}: {found.seal.summary}" if found.seal else "no seal"
                click.echo(f"  {found.app.name:10} {says}  {seal}  “{page}”")

    async def _bring_to_review(self, wanted: Mapping[str, str]) -> None:
        slug = wanted["slug"]
        there = {task.slug: task.stage for task in (await self.station.board.list(limit=None)).tasks}
        if slug not in there:
            await self._do(self._agent, ["task", "new"], **wanted)
        way = (Stage.DESIGNED, Stage.BUILDING, Stage.SUBMITTED, Stage.REVIEWED)
        stage = there.get(slug, Stage.DESIGNED)
        for to in way[way.index(stage) + 1 :] if stage in way else ():
            who = self._reviewer if to is Stage.REVIEWED else self._agent
            await self._do(who, ["task", "move"], task=slug, stage=to.value)

    async def _confirm(self) -> None:
        """Ask for the plan and press its button."""
        before = self._newest_button(Act.SHIP)
        await self._do(self._operator, ["release", "ship"], release=RELEASE)
        await self._press(Act.SHIP, after=int(before[0]) if before else 0)

    def _answer(self) -> Act:
        """What an operator finds who looks at the platform: did the command run?"""
        lines = (self.world.folder / "transcript.jsonl").read_text().splitlines()
        ran = any(told["kind"] == "platform.run" and told["exit"] == 0 for told in map(json.loads, lines))
        return Act.HAPPENED if ran else Act.AGAIN

    async def _press(self, act: Act, after: int = 0) -> None:
        """Press the newest button that does `act`, as soon as it is there in a message newer than `after`."""
        while not (found := self._newest_button(act)) or int(found[0]) <= after:
            await asyncio.sleep(0.05)
        message, custom_id = found
        click.echo(f"{self._operator.name} presses {act.value}")
        outcome = await self._operator.click(message, custom_id)
        if outcome["error"]:
            raise StepFailed(f"the button {custom_id} did not work", str(outcome["error"]), "see the transcript")

    def _newest_button(self, act: Act) -> tuple[str, str] | None:
        """Message and custom id."""
        channels = [place for channel in self._operator.state()["channels"] for place in (channel, *channel["threads"])]
        found = [
            (message["id"], button["custom_id"])
            for channel in channels
            for message in self._operator.messages(channel["id"])
            for button in walk(message["components"])
            if str(button.get("custom_id", "")).startswith(f"rel:{act.value}:")
        ]
        return max(found, key=lambda one: int(one[0]), default=None)

    async def _progress(self) -> Progress | None:
        return (await self.station.conductor.status(RELEASE)).progress

    async def _until_it_rests(self, attempt: int) -> None:
        """Until that attempt, or a later one, has been made and does not run any more."""
        seen = 0
        while (now := await self._progress()) is None or now.attempt < attempt or now.state is ShipState.RUNNING:
            await self.station.conductor.wait_for_events(seen, 0.25)
            seen = max([seen, *(event.id for event in await self.station.conductor.events(RELEASE, seen))])

    async def _until_told(self) -> None:
        """Until Discord has heard everything."""
        last = max(event.id for event in await self.station.conductor.events(RELEASE, 0))
        told = self.station.deliveries
        while (await told.cursor() or 0) < last or await told.pending():
            await asyncio.sleep(0.1)

    async def _do(self, who: Person, path: list[str], **options: str) -> None:
        """Type a slash command, and wait until it was carried out."""
        click.echo(f"{who.name} types /{' '.join(path)} {' '.join(f'{k}:{v}' for k, v in options.items())}")
        outcome = await who.command(path, options)
        if outcome["outcome"] == "failed":
            raise StepFailed(f"/{' '.join(path)} got no answer", str(outcome["error"]), "see the transcript")
        while not any(_answers(message, outcome["interaction"]) for message in who.messages()):
            await asyncio.sleep(0.05)


def _answers(message: Payload, interaction: str) -> bool:
    """True when `message` answers the interaction, and is more than a promise to do so."""
    metadata = message.get("interaction_metadata")
    return bool(metadata and metadata["id"] == interaction and not message["flags"] & LOADING)


def _text_of(page: str) -> str:
    return re.sub(r"<[^>]*>", " ", page)


def _require_breakable(step: str | None, known: Sequence[str]) -> None:
    if step is not None and step not in known:
        guess = nearest(step, known)
        hint = f"did you mean {guess}?" if guess else f"one of: {', '.join(known)}"
        raise Refused(f"the demo cannot break {step!r}", f"it can break: {', '.join(known)}", hint)
