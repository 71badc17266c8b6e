"""What the engine adds to a train: the same git, publish, lock, gate and deploy commands, beside a bash script."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter

from core.board import Board
from core.conductor import Conductor
from core.journal import Run, RunState
from core.ports import Ports
from core.registry import Registry
from core.train.dispatcher import Dispatcher
from tests.benchmarks import paper
from tests.benchmarks.figures import Figure, figure
from tests.benchmarks.team import PACKAGES, Team
from tests.world.reviewing import ADA, brought_to_review
from tests.world.toy_train import OLIVE, RELEASE, draft

Confirmed = tuple[Registry, Ports, Callable[[], Awaitable[Run]]]


def serial(folder: Path, *, satellites: int = 6, runs: int = 5) -> list[Figure]:
    """One lane at a time, and tools that take no time: all that is left is git and our own work."""
    ours, script = _interleaved(folder, satellites, tool_seconds=0, at_once=1, runs=runs)
    return [_ratio("a train in one lane, instant tools", ours, script, 1.15)]


def side_by_side(folder: Path, *, satellites: int = 6, runs: int = 2, tool_seconds: int = 1) -> list[Figure]:
    """Lanes side by side, satellites too, and every tool takes a second."""
    ours, script = _interleaved(folder, satellites, tool_seconds=tool_seconds, at_once=8, runs=runs)
    return [_ratio(f"a train side by side, tools of {tool_seconds} s", ours, script, 0.6)]


def _ratio(name: str, ours: float, script: float, bar: float) -> Figure:
    return figure(name, ours / script, "× the script", bar=bar, baseline=f"{ours:.2f} s beside {script:.2f} s in bash")


def _interleaved(folder: Path, satellites: int, *, tool_seconds: int, at_once: int, runs: int) -> tuple[float, float]:
    """Median seconds of the engine and of the script, one after the other on fresh worlds that end up equal."""
    times: list[tuple[float, float]] = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            one, other = (Team(Path(scratch) / side, satellites=satellites, tool_seconds=tool_seconds) for side in "ab")
            times.append((asyncio.run(_shipped(one, at_once)), _scripted(other)))
            assert one.outcome() == other.outcome(), "the two sides did different work"
    ours, script = zip(*times, strict=True)
    return statistics.median(ours), statistics.median(script)


@asynccontextmanager
async def confirmed_ship(team: Team, at_once: int) -> AsyncGenerator[Confirmed]:
    """A station whose ship was confirmed, and how to let a running bot drive it to its end."""
    registry = team.registry()
    async with paper.opened(team, at_once=at_once) as ports:
        board, conductor = Board(registry, {"toy": ("unit",)}, ports), Conductor(registry, ports)
        await board.new(ADA, draft("all", *PACKAGES, *team.apps))
        await brought_to_review(board, "all")
        await conductor.open(OLIVE, RELEASE, ["all"])
        await conductor.freeze(OLIVE, RELEASE)
        offer = await conductor.offer(OLIVE, RELEASE)
        assert not offer.proposal.problems, offer.proposal.problems
        ship = await conductor.ship(OLIVE, RELEASE, offer.proposal.digest)

        async def drive() -> Run:
            ended = await Dispatcher(ports, "benchmark").drive(ship.id)
            assert ended.state is RunState.FINISHED, ended.reasons
            return ended

        yield registry, ports, drive


async def _shipped(team: Team, at_once: int) -> float:
    """Seconds from the confirmation to the flipped record."""
    async with confirmed_ship(team, at_once) as (_, _, drive):
        begun = perf_counter()
        await drive()
        return perf_counter() - begun


def _scripted(team: Team) -> float:
    argv = team.prepare_script()
    begun = perf_counter()
    subprocess.run(argv, check=True)
    return perf_counter() - begun
