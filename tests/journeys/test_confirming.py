"""Somebody at a real terminal, or nobody: only a yes ships, and who just watches stops nothing (spec 6.2, L05, L31)."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE

import pytest

from core.journal import RunState
from tests.world.demo_trains import DemoJourney
from tests.world.stations import PATIENCE_SECONDS, PROJECT, RELEASE, said


class Terminal:
    """A terminal with `stationmaster ARGS` in it."""

    def __init__(self, journey: DemoJourney, *args: str) -> None:
        self._journey, self._args, self.text = journey, args, ""

    async def __aenter__(self) -> Terminal:
        self._ours, theirs = pty.openpty()
        self._arrived = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._ours, self._read)
        env = {**self._journey.environ, "TERM": "dumb"}
        argv = (sys.executable, "-m", "bot", *self._args)
        self.process = await asyncio.create_subprocess_exec(
            *argv, cwd=PROJECT, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        return self

    async def __aexit__(self, *error: object) -> None:
        asyncio.get_running_loop().remove_reader(self._ours)
        os.close(self._ours)

    async def until(self, text: str) -> None:
        """Wait until `text` stands there."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while text not in self.text:
                self._arrived.clear()
                await self._arrived.wait()

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._ours, keys.encode())

    async def ended(self) -> int:
        """The exit code."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.process.wait()

    def _read(self) -> None:
        try:
            self.text += os.read(self._ours, 65536).decode(errors="replace")
        except OSError:  # everybody on the other side has gone
            asyncio.get_running_loop().remove_reader(self._ours)
        self._arrived.set()


async def require_not_started(journey: DemoJourney) -> None:
    """No ship, and no effect on the world."""
    assert (await journey.station.conductor.status(RELEASE)).progress is None
    assert {kind for kind, _ in journey.effects} == {"platform.boot"}


@pytest.mark.parametrize(
    ("keys", "exit_code", "words"),
    [("n\n", 2, "declined"), ("\n", 2, "declined"), ("\x04", 3, "the question was not answered")],
    ids=["no", "only return", "end of file"],
)
async def test_whoever_does_not_say_yes_ships_nothing(satellite: DemoJourney, keys: str, exit_code: int, words: str):
    async with Terminal(satellite, "release", "ship") as terminal:
        await terminal.until("Ship r1 to production? [y/N]")
        terminal.press(keys)
        assert await terminal.ended() == exit_code
        await terminal.until("nothing was started")
        assert words in terminal.text
    await require_not_started(satellite)


async def test_a_yes_ships_and_the_terminal_tells_how(satellite: DemoJourney):
    async with Terminal(satellite, "release", "ship") as terminal:
        await terminal.until("Ship r1 to production? [y/N]")
        terminal.press("y\n")
        assert await terminal.ended() == 0
        await terminal.until("✓ r1 is shipped")
    await satellite.require_shipped_once()


async def test_the_digest_of_another_plan_ships_nothing(satellite: DemoJourney):
    wrong = await satellite.type("release", "ship", RELEASE, "--confirm", "0123456789")
    assert wrong.exit_code == 2
    assert "no plan '0123456789' was offered" in wrong.err
    old = await satellite.offered()
    await satellite.configure("release_repos", lambda repos: repos["apps"]["kiosk"].update(test_cmd=["true"]))
    changed = await satellite.type("release", "ship", RELEASE, "--confirm", old)
    assert changed.exit_code == 2
    assert "gate kiosk" in changed.out
    assert "the plan has changed since it was shown" in changed.err
    await require_not_started(satellite)


async def test_an_interrupted_ship_is_gone_on_with(satellite: DemoJourney):
    origin = satellite.world.origin("kiosk")
    free = satellite.hook(origin, "pre-receive", "exec sleep 600")
    async with Terminal(satellite, "release", "ship") as terminal:
        await terminal.until("[y/N]")
        terminal.press("y\n")
        await satellite.started("advance:kiosk")
        terminal.process.send_signal(signal.SIGINT)
        assert await terminal.ended() == 130
        await terminal.until("nothing is lost: release status tells how it stands")
    satellite.hook(origin, "pre-receive", free)
    status = await satellite.type("release", "status")
    assert "stationmaster release resume r1" in status.out
    assert (await satellite.type("release", "resume")).exit_code == 0
    await satellite.require_shipped_once()


async def test_a_pipe_that_nobody_reads_any_more_stops_no_ship(satellite: DemoJourney):
    digest = await satellite.offered()
    argv = (sys.executable, "-m", "bot", "release", "ship", RELEASE, "--confirm", digest)
    reading, writing = os.pipe()
    async with satellite.world.platform.apps["kiosk"].releasing:
        ship = await asyncio.create_subprocess_exec(
            *argv, cwd=PROJECT, env=satellite.environ, stdin=DEVNULL, stdout=writing, stderr=PIPE
        )
        os.close(writing)
        await satellite.started("deploy:kiosk")
        os.close(reading)
    ended = await said(ship)
    assert (ended.exit_code, ended.err) == (0, "")
    assert (await satellite.progress()).state is RunState.FINISHED
    await satellite.require_shipped_once()
