"""From what happened to what is said in the thread: finished steps gather in one message, reports get their own.

Reads the record and the ends of logs, sends nothing. Which messages follow from which events is decided here alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from bot import plan_screens, run_screens
from bot.message import CONTENT_LIMIT, Message, card
from bot.words_for_discord import is_mention, person
from core.events import Event, EventKind
from core.journal import Run, RunKind, RunState, SealRecord, SealStatus
from core.notes import decoded as notes_of
from core.records import Transaction
from core.train.plan import legible
from core.train.prepare_plan import not_on_qa
from core.train.progress import Progress, progress
from core.train.proposal import TYPED

ROOT, BOARD = "root", "board"
_TAIL_LINES = 8
_BACK = 5000  # events of one attempt, at most; ids are shared by all releases
_OF_RUNS = frozenset(EventKind) - {
    EventKind.RELEASE_OPENED,
    EventKind.TASK_ATTACHED,
    EventKind.RELEASE_FROZEN,
    EventKind.RELEASE_ABANDONED,
}


class Telling(msgspec.Struct, frozen=True):
    """One message to send, and the events that it tells of. `channel` blank: the thread of the run."""

    kind: str
    release: str
    message: Message
    first: Event
    last: Event
    channel: str = ""


class Teller:
    """Turns a batch of events into messages. `rooted`: releases that have a thread already."""

    def __init__(self, tx: Transaction, channel: int, operators: str, rooted: Collection[str]) -> None:
        self._tx, self._channel, self._operators = tx, str(channel), operators
        self._rooted = set(rooted)
        self._told: list[Telling] = []
        self._lines: list[tuple[Event, str]] = []
        self._greens: list[tuple[Event, SealRecord]] = []

    async def tell(self, events: Sequence[Event]) -> list[Telling]:
        """Every message that follows from `events`, in order."""
        for event in events:
            if event.release and event.kind in _OF_RUNS:
                await self._hear(event)
        self._close()
        return self._told

    async def _hear(self, event: Event) -> None:
        if self._lines and self._lines[-1][0].release != event.release:
            self._close()
        if event.kind is EventKind.TASK_EJECTED:
            return await self._eject(event)
        if event.kind is EventKind.RUN_CONFIRMED or event.release not in self._rooted:
            await self._begin(event)
        if event.step.startswith("seal:") and event.kind in (EventKind.STEP_DONE, EventKind.STEP_ADOPTED):
            await self._seal(event)
        elif event.kind is EventKind.RUN_STOPPED:
            await self._stop(event)
        elif line := run_screens.finished_step(event):
            self._line(event, line)
        if event.kind is EventKind.RUN_FINISHED:
            await self._end(event)

    async def _begin(self, event: Event) -> None:
        run, seen = await newest_run(self._tx, event.release)
        head = run_screens.root(seen, person(run.mention, run.confirmed_by))
        root = card(*head.blocks, plan_screens.titles(legible(run.plan)), colour=head.colour)
        self._say(event, ROOT, root)
        self._say(event, BOARD, run_screens.board(seen, (), event.at, run.digest[:TYPED]))
        self._rooted.add(event.release)

    def _line(self, event: Event, line: str) -> None:
        if self._greens or sum(len(text) + 1 for _, text in self._lines) + len(line) > CONTENT_LIMIT - 100:
            self._close()
        self._lines.append((event, line))

    async def _seal(self, event: Event) -> None:
        app = event.step.partition(":")[2]
        seal = next((one for one in reversed(await self._tx.seals(event.release)) if one.app == app), None)
        if seal is None:
            self._line(event, run_screens.finished_step(event))
        elif seal.status is SealStatus.RED:
            run, _ = await newest_run(self._tx, event.release)
            self._say(event, "red seal", run_screens.red_seal(seal, self._calls(run)))
        else:
            if self._lines or len(self._greens) >= 20:
                self._close()
            self._greens.append((event, seal))

    async def _stop(self, event: Event) -> None:
        run, seen = await newest_run(self._tx, event.release)
        attempt = event.facts.get("attempt")
        recent = await self._tx.events(after=max(0, event.id - _BACK), release=event.release, limit=_BACK)
        mine = [one for one in recent if one.id < event.id and one.facts.get("attempt") == attempt]
        failed = [one for one in mine if one.kind in (EventKind.STEP_FAILED, EventKind.STEP_UNKNOWN)]
        asked = [one for one in failed if one.kind is EventKind.STEP_UNKNOWN]
        if seen.attempt != attempt or seen.state not in (RunState.STOPPED, RunState.ASKING):
            self._say(event, "stopped", run_screens.settled_stop(failed))
        elif seen.state is RunState.ASKING:
            self._say(event, "question", run_screens.question(seen, asked, self._calls(run)))
        else:
            tails = {one.step: await asyncio.to_thread(tail, str(one.facts.get("log", ""))) for one in failed[:3]}
            self._say(event, "failure", run_screens.failure(seen, failed, tails, self._calls(run)))

    async def _eject(self, event: Event) -> None:
        """Whoever built it must act: told once, in the channel; what an operator did themselves is no news."""
        if why := str(event.facts.get("why", "")):
            slug = str(event.facts["task"])
            task = await self._tx.task(slug)
            message = run_screens.ejected(slug, task.builder if task else "", why, event.release)
            self._say(event, "ejected", message, self._channel)

    async def _end(self, event: Event) -> None:
        run, seen = await newest_run(self._tx, event.release)
        if event.facts.get("kind") == RunKind.PREPARE:
            if seen.kind is RunKind.PREPARE:
                self._say(event, "prepared", run_screens.prepared(seen, not_on_qa(legible(run.plan))))
            return
        release = await self._tx.release(event.release)
        if release and release.notes:
            told = run_screens.notes(notes_of(release.notes))
            for channel in ("", self._channel):
                for message in told:
                    self._say(event, "notes", message, channel)

    def _calls(self, run: Run) -> list[str]:
        return [one for one in (run.mention, self._operators) if is_mention(one)]

    def _say(self, event: Event, kind: str, message: Message, channel: str = "") -> None:
        self._close()
        self._told.append(Telling(kind, event.release, message, event, event, channel))

    def _close(self) -> None:
        """Say what has gathered."""
        for kind, gathered, message in (
            ("steps", self._lines, Message(content="\n".join(text for _, text in self._lines))),
            ("seals", self._greens, run_screens.seals([seal for _, seal in self._greens])),
        ):
            if gathered:
                first, last = gathered[0][0], gathered[-1][0]
                self._told.append(Telling(kind, first.release, message, first, last))
        self._lines, self._greens = [], []


async def newest_run(tx: Transaction, release: str) -> tuple[Run, Progress]:
    """The newest run of a release that has one, and how far it is."""
    run = await tx.latest_run(release)
    assert run, f"{release} never ran"
    return run, progress(run, legible(run.plan), await tx.entries(release))


def tail(path: str) -> list[str]:
    """The last lines of a log, empty when it is not on this machine; blocks for a moment."""
    try:
        with Path(path).open("rb") as file:
            file.seek(max(0, Path(path).stat().st_size - 200 * _TAIL_LINES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return list(deque((line for line in text.splitlines() if line.strip()), maxlen=_TAIL_LINES))
