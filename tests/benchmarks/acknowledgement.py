"""How soon people are answered while a ship is loud: its gate prints, its log grows, its thread is kept up to date."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from time import perf_counter

from bot.demo.discord import LoopbackDiscord
from bot.demo.discord.messages import walk
from bot.demo.discord.people import Person
from tests.benchmarks.figures import Figure, figure, machine
from tests.benchmarks.served import Bot, Served
from tests.world.waiting import until

_WARM_SECONDS = 3.0
_PAUSE_SECONDS = 0.05  # between two questions
_PATIENCE_SECONDS = 60.0


def while_a_step_is_loud(folder: Path, *, seconds: float = 15, lines_per_second: int = 2000) -> list[Figure]:
    """Interactions one after the other while a gate prints; whatever breaks Discord's rules fails."""
    return asyncio.run(_measured(folder, seconds, lines_per_second))


async def _measured(folder: Path, seconds: float, lines_per_second: int) -> list[Figure]:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        async with LoopbackDiscord() as discord:
            served, edits = Served(Path(scratch), discord), list[float]()
            await served.prepare(seconds=seconds, lines_per_second=lines_per_second)
            served.hear("MESSAGE_UPDATE", lambda: edits.append(perf_counter()))
            async with served.bot() as bot:
                olive = discord.person("operator")
                await _begun(olive)
                log = await _log(Path(scratch))
                waits, growth = await _asked(olive, bot, seconds - 1)
                lines = log.read_bytes().count(b"\n") / (seconds - 1)
        assert discord.violations == [] and discord.answers == []
        assert lines >= 0.8 * lines_per_second, f"the gate printed only {lines:.0f} lines a second"
    waits.sort()
    where = f"{machine()}; {lines:.0f} lines/s, {len(edits)} edits"
    asked = f"{where}, {len(waits)} interactions, the slowest {waits[-1]:.0f} ms"
    return [
        figure("interaction to acknowledgement, p95", waits[int(len(waits) * 0.95)], "ms", bar=100, baseline=asked),
        figure("rate limits hit", len(discord.rate_limit_hits), "× 429", bar=0, baseline=where),
        figure("memory at the end", growth, "× after 3 s", bar=1.1, baseline=where),
    ]


async def _begun(olive: Person) -> None:
    """The plan is shown and confirmed, and its ship runs."""
    outcome = await olive.command(["release", "ship"])
    assert outcome["message"], outcome
    number = outcome["message"]["id"]

    def buttons() -> dict[str, str]:
        (shown,) = (each for each in olive.messages() if each["id"] == number)
        return {each["label"]: each["custom_id"] for each in walk(shown["components"]) if each["type"] == 2}

    await until(buttons)
    (ship,) = (custom_id for label, custom_id in buttons().items() if label.startswith("Ship"))
    assert (await olive.click(number, ship))["outcome"] == "deferred"


async def _log(folder: Path) -> Path:
    """The log of the gate, as soon as something is in it."""

    def written() -> list[Path]:
        return [path for path in folder.glob("state/logs/*/*gate*.log") if path.stat().st_size]

    await until(written)
    return written()[0]


async def _asked(olive: Person, bot: Bot, seconds: float) -> tuple[list[float], float]:
    """Milliseconds until each acknowledgement, and how much of its memory the bot has at the end."""
    waits, begun, warm = list[float](), perf_counter(), 0
    questions = (["release", "status"], ["task", "list"], ["deployments"])
    while (now := perf_counter() - begun) < seconds:
        if not warm and now >= min(_WARM_SECONDS, seconds / 3):
            warm = bot.resident
        asked = perf_counter()
        outcome = await olive.command(questions[len(waits) % len(questions)])
        assert outcome["outcome"] != "failed", outcome
        waits.append((perf_counter() - asked) * 1000)
        await asyncio.sleep(_PAUSE_SECONDS)
    return waits, bot.resident / warm
