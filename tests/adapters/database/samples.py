"""Small values to store, and another process to store them from."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from adapters.database.leases import LeaseTimes
from core.events import Event, EventKind
from core.journal import Run, RunState
from core.releases import Release
from core.tasks import Stage, Task, TaskType, Work

NOW = datetime(2030, 1, 2, 3, 4, 5, 678901, UTC)
SHORT = LeaseTimes(beat=0.2, stop=0.6, takeover=1.0)
PATIENCE_SECONDS = 60


def a_task(slug: str = "login", **more: Any) -> Task:
    """A reviewed task."""
    fields: dict[str, Any] = {"title": slug, "type": TaskType.BUG, "shape": "bug", "stage": Stage.REVIEWED}
    fields |= {"works": (Work("hub", f"fix/{slug}"),), "created_at": NOW} | more
    return Task(slug=slug, **fields)


def a_release(slug: str = "r1", **more: Any) -> Release:
    """An assembling release."""
    return Release(slug=slug, opened_by="ada", opened_at=NOW, **more)


def a_ship(release: str = "r1", **more: Any) -> Run:
    """A running ship."""
    fields: dict[str, Any] = {"plan": b"{}", "plan_digest": "p", "digest": "d", "state": RunState.RUNNING}
    fields |= {"attempt": 1, "confirmed_by": "ada", "confirmed_at": NOW} | more
    return Run(release=release, **fields)


def an_event(release: str = "r1") -> Event:
    """Something that happened."""
    return Event(kind=EventKind.RELEASE_OPENED, release=release, at=NOW, actor="ada")


@asynccontextmanager
async def another_process(url: str, *words: str) -> AsyncGenerator[Process]:
    """A child that runs `other_process.py` on the same database; dead at the end of the block."""
    script = "tests.adapters.database.other_process"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", script, url, *words, stdin=PIPE, stdout=PIPE, start_new_session=True
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


async def says(child: Process) -> str:
    """The next line that the child writes."""
    assert child.stdout
    return (await asyncio.wait_for(child.stdout.readline(), PATIENCE_SECONDS)).decode().strip()


async def tell(child: Process) -> None:
    """Let the child, which waits for a line, go on."""
    assert child.stdin
    child.stdin.write(b"go\n")
    await child.stdin.drain()
