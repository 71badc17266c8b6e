"""Follows a prepare or a ship from the command line: drives it when nobody else does, tells what happens."""

from __future__ import annotations

import asyncio
import sys
from contextlib import nullcontext, suppress

from rich.console import Console
from rich.live import Live
from rich.table import Table

from bot.bootstrap import Station
from bot.release_console import event_line, one_line, report, seal_lines
from core.errors import LeaseLost, Refused
from core.events import EventKind
from core.journal import Run, RunState
from core.train.progress import OVER, Progress, StepState

EXIT_CODES = {RunState.FINISHED: 0, RunState.STOPPED: 1, RunState.ASKING: 3, RunState.CANCELLED: 2}

_BEGINNINGS = (EventKind.RUN_CONFIRMED, EventKind.RUN_RESUMED)


async def follow(station: Station, run: Run) -> int:
    """Until the run rests; returns the exit code of spec 10.1. In a terminal what runs is shown live."""
    console = _Console(highlight=False, soft_wrap=True)
    try:
        async with asyncio.TaskGroup() as group:
            driving = group.create_task(_drive(station, run.id), name=f"drive {run.release}")
            live = Live(console=console, refresh_per_second=4, transient=True) if sys.stdout.isatty() else None
            with live or nullcontext():
                progress = await _tell(station, run.release, console, live)
            driving.cancel()
    except ExceptionGroup as broken:
        raise broken.exceptions[0] from broken
    for line in report(progress):
        console.print(line, markup=False)
    for seal in (await station.conductor.status(run.release)).seals:
        for line in seal_lines(seal):
            console.print(line, markup=False)
    return EXIT_CODES[progress.state]


class _Console(Console):
    """Goes quiet when nobody reads any more (`… | head`): a line that cannot be written stops no ship (L31)."""

    def on_broken_pipe(self) -> None:
        with suppress(SystemExit):
            super().on_broken_pipe()


async def _drive(station: Station, run_id: int) -> None:
    """Ours as soon as nobody living holds the train."""
    while True:
        try:
            await station.dispatcher.drive(run_id)
            return
        except (Refused, LeaseLost):
            await asyncio.sleep(1)


async def _tell(station: Station, release: str, console: Console, live: Live | None) -> Progress:
    """Print every event of this attempt once; show the steps under way until the run rests."""
    begun = [e.id for e in await station.conductor.events(release, 0) if e.kind in _BEGINNINGS]
    seen = begun[-1] - 1
    while True:
        events = await station.conductor.events(release, seen)
        for event in events:
            seen = event.id
            for line in event_line(event):
                console.print(line, markup=False)
        progress = (await station.conductor.status(release)).progress
        assert progress
        if progress.state is not RunState.RUNNING and not await station.conductor.events(release, seen):
            return progress
        if live:
            live.update(_running(progress))
        if not events:
            await station.conductor.wait_for_events(seen, 1)


def _running(progress: Progress) -> Table:
    table = Table.grid(padding=(0, 1))
    done = len(progress.of(*OVER))
    table.add_row(f"▸ {progress.release}: {done} of {len(progress.steps)} steps")
    for step in progress.of(StepState.RUNNING):
        table.add_row(f"  {one_line(step.title)} …")
    return table
