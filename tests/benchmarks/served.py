"""`stationmaster serve` as a process of its own, beside a loopback Discord; its one app has a gate that talks."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from bot.bootstrap import opened
from bot.demo.discord import LoopbackDiscord
from bot.demo.discord.protocol import Payload
from tests.benchmarks.team import git
from tests.world.reviewing import ADA, brought_to_review
from tests.world.toy_train import OLIVE, RELEASE, draft

STATIONMASTER = Path(sys.executable).with_name("stationmaster")
APP = "talker"
_READY_SECONDS = 60
# Keeps up whatever the machine does: what is due by now is printed at once.
_TALK = """#!/usr/bin/env python3
import sys, time
begun, said = time.monotonic(), 0
while (now := time.monotonic() - begun) < {seconds}:
    due = int(now * {lines_per_second})
    sys.stdout.write("".join(f"{{n:08}} the quick brown fox jumps over the lazy dog, again and again\\n"
                             for n in range(said, due)))
    sys.stdout.flush()
    said = due
    time.sleep(0.01)
"""


class Bot:
    """A bot that runs; `ready_seconds` from the start of its process until its commands were offered."""

    def __init__(self, process: asyncio.subprocess.Process, ready_seconds: float) -> None:
        self._process, self.ready_seconds = process, ready_seconds

    @property
    def resident(self) -> int:
        """Bytes of its memory now."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


class Served:
    """Configuration, state and origin below `folder`, with an assembled release of the one app."""

    def __init__(self, folder: Path, discord: LoopbackDiscord) -> None:
        self.folder, self.discord = folder, discord
        self.environ = {
            "PATH": os.environ.get("PATH", os.defpath),
            "STATIONMASTER_CONFIG": str(folder / "config"),
            "STATIONMASTER_STATE": str(folder / "state"),
            "DISCORD_TOKEN": discord.token,
        }
        (folder / "config").mkdir(exist_ok=True)
        for name, content in self._config().items():
            (folder / "config" / f"{name}.yml").write_text(json.dumps(content))  # every JSON is YAML

    async def prepare(self, *, seconds: float, lines_per_second: int) -> None:
        """An assembled release, whose gate talks for that long."""
        work = self.folder / "work"
        git(self.folder, "init", "--quiet", "--initial-branch=main", str(work))
        git(work, "commit", "--quiet", "--allow-empty", "--message", "begin")
        git(work, "checkout", "--quiet", "-b", "release")
        talk = work / "talk"
        talk.write_text(_TALK.format(seconds=seconds, lines_per_second=lines_per_second))
        talk.chmod(0o755)
        git(work, "add", "talk")
        git(work, "commit", "--quiet", "--message", "talk")
        async with opened(self.environ) as station:
            await station.board.new(ADA, draft("talk", APP))
            await brought_to_review(station.board, "talk")
            await station.conductor.open(OLIVE, RELEASE, ["talk"])
            await station.conductor.freeze(OLIVE, RELEASE)

    @asynccontextmanager
    async def bot(self) -> AsyncGenerator[Bot]:
        """The bot, ready, until the end of the block."""
        offered = asyncio.Event()
        self.hear("commands", offered.set)
        begun = perf_counter()
        log = (self.folder / "bot.log").open("ab")
        process = await asyncio.create_subprocess_exec(
            str(STATIONMASTER), "serve", env=self.environ, stdout=log, stderr=log, start_new_session=True
        )
        log.close()
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await offered.wait()
            yield Bot(process, perf_counter() - begun)
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            await process.wait()

    def hear(self, event: str, call: Callable[[], object]) -> None:
        """Call whenever Discord tells of an event of that kind."""

        def listen(kind: str, payload: Payload, only_to: str | None) -> None:
            if kind == event:
                call()

        self.discord.guild.listeners.append(listen)

    def _config(self) -> dict[str, Any]:
        ids = self.discord.role_ids
        app = {"url": str(self.folder / "work"), "test_cmd": "./talk"}
        return {
            "release_repos": {"packages": {}, "apps": {APP: app}},
            "bot": {
                "discord": {
                    "guild_id": self.discord.guild_id,
                    "channel_id": self.discord.channel_id,
                    "role_ids": {role: ids[role] for role in ("operator", "agent", "reviewer")},
                    "discord_api": self.discord.base_url,
                }
            },
            "devops_test_suites": {"suites": {}},
            "feature_shapes": {"shapes": {"toy": ["unit"]}},
        }
