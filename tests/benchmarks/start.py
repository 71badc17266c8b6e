"""How long people wait for the command line and for the bot."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from bot.demo.discord import LoopbackDiscord
from tests.benchmarks.figures import Figure, figure
from tests.benchmarks.served import STATIONMASTER, Served


def help_page(folder: Path, *, runs: int = 10) -> list[Figure]:
    """`stationmaster --help`, beside a Python that does nothing."""
    ours, bare = list[float](), list[float]()
    for _ in range(runs):
        ours.append(_seconds(str(STATIONMASTER), "--help"))
        bare.append(_seconds(sys.executable, "-c", "pass"))
    took, nothing = statistics.median(ours), statistics.median(bare)
    times = figure("stationmaster --help, in Pythons", took / nothing, "× python -c pass", bar=10)
    return [figure("stationmaster --help", took, "s", bar=0.3), times]


def bot_ready(folder: Path, *, runs: int = 5) -> list[Figure]:
    """From the start of the process until Discord has the commands: the first time ever, and later ones."""
    first, *later = asyncio.run(_starts(folder, runs + 1))
    return [
        figure("bot ready, first start ever", first, "s", bar=1),
        figure("bot ready", statistics.median(later), "s", bar=1),
    ]


def _seconds(*argv: str) -> float:
    begun = perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    return perf_counter() - begun


async def _starts(folder: Path, count: int) -> list[float]:
    """Seconds until ready, each time at a Discord that has no commands yet."""
    took: list[float] = []
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for _ in range(count):
            async with LoopbackDiscord() as discord, Served(Path(scratch), discord).bot() as bot:
                took.append(bot.ready_seconds)
    return took
