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
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import click

from bot.bootstrap import Station, opened
from bot.demo.building import PARTS, bring_to_review
from bot.demo.cast import Cast
from bot.demo.narrator import Narrator
from bot.demo.transcript import Transcript
from bot.demo.tripwire import VARIABLE, Tripwire
from bot.demo.world import BREAKABLE, DemoWorld
from bot.message import Act
from bot.release_console import one_line
from bot.serving import discord_bot, run_beside
from core.errors import Refused
from core.journal import RunKind, RunState
from core.train.progress import Progress
from core.words import nearest

RELEASE = "first-train"
_PATIENCE_SECONDS = 120


async def demo(*, stay: bool, state: str | None, transcript: str | None, broken: str | None) -> int:
    """Play the story; with `stay` everything up to the ship, and then people play the rest on the page.

    Exit code 0 when the train is shipped, 1 when the world complained. Refused for a step that cannot be broken;
    `broken="list"` only tells which can.
    """
    if broken == "list":
        click.echo("Each of these can fail once, e.g. --break deploy:kiosk:")
        for kind, names in BREAKABLE.items():
            click.echo("".join(f"  {kind}:{name}" for name in names))
        return 0
    _require_breakable(broken)
    with ExitStack() as stack:
        folder = (
            Path(state) if state else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stationmaster-")))
        )
        told = Transcript(folder / "transcript.jsonl", *([Path(transcript)] if transcript else []))
        stack.callback(told.close)
        narrator = Narrator(click.echo)
        told.listeners.append(narrator.hear)
        world = DemoWorld(folder, told, broken=broken)
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
        self._cast = Cast(world.discord)

    async def fill_the_train(self) -> None:
        """Tasks are made, built and reviewed; they board, and the train is prepared: one of them does not fit."""
        for part in PARTS:
            await bring_to_review(self._cast, self.station.board, part)
        if not await self.station.conductor.releases():
            tasks = " ".join(part.slug for part in PARTS)
            await self._cast.types("operator", "release open", {"name": RELEASE, "tasks": tasks})
        now = await self._progress()
        if now is None:
            await self._cast.types("operator", "release assemble", {})
            await self._prepare()
        if now is None or now.kind is RunKind.PREPARE:
            await self._rest(1)
            if now is None and self.world.broken == "taken-back:kiosk-hours":
                click.echo("Somebody takes the work of kiosk-hours off the release branch, as “Quieten the clock”.")
                await self.world.origins.take_back("kiosk", "kiosk-hours")
                await self._cast.types("operator", "release prepare", {})
                await self._rest(2)
        self.world.break_step()

    async def _prepare(self) -> None:
        """Prepare; what a policy of an app forbids is refused first, and its builder exempts what is ours."""
        await self._cast.types("operator", "release prepare", {})
        kind, _, app = (self.world.broken or "").partition(":")
        if kind == "cooldown":
            line = "exclude-newer-package = { coin-core = false, coin-ledger = false }"
            click.echo(f"Ben adds to pyproject.toml of {app}: {line}")
            await self.world.origins.exempt(app, line)
            await self._cast.types("operator", "release prepare", {})

    async def _rest(self, attempt: int) -> None:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await self._until_it_rests(attempt)
            await self._until_told()

    async def ship(self) -> int:
        """The operator ships, resumes and answers, a broken prepare too, until all is shipped; exit code 0 then."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while (now := await self._progress()) and (now.kind, now.state) != (RunKind.SHIP, RunState.FINISHED):
                if (now.kind, now.state) == (RunKind.PREPARE, RunState.FINISHED):
                    await self._confirm()
                elif now.state is not RunState.RUNNING:
                    await self._until_told()
                    await self._mend(now)
                    answer = Act.RESUME if now.state is RunState.STOPPED else self._answer(now.kind)
                    await self._cast.presses("operator", answer)
                await self._until_it_rests(now.attempt + (now.state is not RunState.RUNNING))
            await self._until_told()
        await self.show_what_is_live()
        for complaint in self.world.complaints:
            click.echo(f"THE WORLD COMPLAINS: {complaint}", err=True)
        return 1 if self.world.complaints else 0

    async def leave_to_people(self) -> None:
        """Print where to play, and stay until interrupted."""
        now, address = await self._progress(), f"{self.world.discord.base_url}/"
        if now and (now.kind, now.state) == (RunKind.SHIP, RunState.FINISHED):
            click.echo(f"\nThe train is shipped, and can be looked at: {address}")
        else:
            click.echo(f"\nThe train is prepared and waits for you: {address}")
            click.echo("Type /release ship there, read the plan, press the button.")
            if self.world.broken:
                click.echo(f"{self.world.broken} will fail, once; the thread tells what to do then.")
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        click.echo("Ctrl-C ends the demo.")
        await stop.wait()

    async def show_what_is_live(self) -> None:
        """What each site itself says now, and its seal."""
        lines = ["\nWhat is live where:"]
        async with aiohttp.ClientSession() as client:
            for found in await self.station.conductor.deployments():
                async with client.get(f"{found.app.base_url}/up") as answer:
                    says = (await answer.json(content_type=None))["revision"][:7]
                async with client.get(f"{found.app.base_url}/") as answer:
                    page = one_line(_text_of(await answer.text()))
                seal = f"seal {found.seal.status}: {found.seal.summary}" if found.seal else "no seal"
                lines.append(f"  {found.app.name:10} {says}  {seal}  “{page}”")
        click.echo("\n".join(lines))  # at once: the world goes on telling meanwhile

    async def _confirm(self) -> None:
        """Ask for the plan and press its button."""
        before = self._cast.newest_button(Act.SHIP)
        await self._cast.types("operator", "release ship", {"release": RELEASE})
        await self._cast.presses("operator", Act.SHIP, after=int(before[0]) if before else 0)

    async def _mend(self, stopped: Progress) -> None:
        """What the report tells an operator to type on the platform, where resuming alone would not help."""
        for command in dict.fromkeys(re.findall(r"heroku (releases:retry --app=\S+)", str(stopped.reasons))):
            click.echo(f"Olive types in a shell: heroku {command}")
            env = {**os.environ, "HEROKU_API_KEY": self.world.platform.api_key}
            argv = (str(self.world.platform.bin / "heroku"), *command.split())
            child = await asyncio.create_subprocess_exec(*argv, env=env, stdout=asyncio.subprocess.DEVNULL)
            assert not await child.wait(), command

    def _answer(self, kind: RunKind) -> Act:
        """What an operator finds who looks at the platform: did the command run there, on QA or in production?"""
        told = map(json.loads, (self.world.folder / "transcript.jsonl").read_text().splitlines())
        ran = [str(one["app"]).endswith("-qa") for one in told if one["kind"] == "platform.run" and one["exit"] == 0]
        return Act.HAPPENED if (kind is RunKind.PREPARE) in ran else Act.AGAIN

    async def _progress(self) -> Progress | None:
        return (await self.station.conductor.status(RELEASE)).progress

    async def _until_it_rests(self, attempt: int) -> None:
        """Until that attempt, or a later one, has been made and does not run any more."""
        seen = 0
        while (now := await self._progress()) is None or now.attempt < attempt or now.state is RunState.RUNNING:
            await self.station.conductor.wait_for_events(seen, 0.25)
            seen = max([seen, *(event.id for event in await self.station.conductor.events(RELEASE, seen))])

    async def _until_told(self) -> None:
        """Until Discord has heard everything."""
        last = max(event.id for event in await self.station.conductor.events(RELEASE, 0))
        told = self.station.deliveries
        while (await told.cursor() or 0) < last or await told.pending():
            await asyncio.sleep(0.1)


def _text_of(page: str) -> str:
    return re.sub(r"<title>.*?</title>|<[^>]*>", " ", page)


def _require_breakable(step: str | None) -> None:
    known = [f"{kind}:{name}" for kind, names in BREAKABLE.items() for name in names]
    if step is not None and step not in known:
        guess = nearest(step, known)
        next_ = "stationmaster demo --break list tells which can fail"
        next_ = f"did you mean {guess}? {next_}" if guess else next_
        raise Refused(f"the demo cannot break {step!r}", "it has no such step", next_)
