"""From what happened to what is said in the thread: finished steps gather in one message, reports get their own.

Reads the record and the ends of logs, sends nothing. Which messages follow from which events is decided here alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from bot import plan_screens, screens
from bot.message import CONTENT_LIMIT, Message, card
from bot.words_for_discord import is_mention, person
from core.events import Event, EventKind
from core.journal import SealRecord, SealStatus, Ship, ShipState
from core.notes import decoded as notes_of
from core.records import Transaction
from core.train.plan import decoded
from core.train.progress import Progress, progress

ROOT, BOARD = "root", "board"
_BACK = 5000  # events of one attempt, at most; ids are shared by all releases
_OF_SHIPS = frozenset(EventKind) - {
    EventKind.RELEASE_OPENED,
    EventKind.TASK_ATTACHED,
    EventKind.TASK_EJECTED,
    EventKind.RELEASE_FROZEN,
    EventKind.RELEASE_ABANDONED,
}


class Telling(msgspec.Struct, frozen=True):
    """One message to send, and the events that it tells of. `channel` blank: the thread of the ship."""

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
            if event.kind in _OF_SHIPS:
                await self._hear(event)
        self._close()
        return self._told

    async def _hear(self, event: Event) -> None:
        if self._lines and self._lines[-1][0].release != event.release:
            self._close()
        if event.kind is EventKind.SHIP_CONFIRMED or event.release not in self._rooted:
            await self._begin(event)
        if event.step.startswith("seal:") and event.kind in (EventKind.STEP_DONE, EventKind.STEP_ADOPTED):
            await self._seal(event)
        elif event.kind is EventKind.SHIP_STOPPED:
            await self._stop(event)
        elif line := screens.finished_step(event):
            self._line(event, line)
        if event.kind is EventKind.SHIP_FINISHED:
            await self._notes(event)

    async def _begin(self, event: Event) -> None:
        ship, seen = await standing(self._tx, event.release)
        head = screens.root(seen, person(ship.mention, ship.confirmed_by))
        root = card(*head.blocks, plan_screens.titles(decoded(ship.plan)), colour=head.colour)
        self._say(event, ROOT, root)
        self._say(event, BOARD, screens.board(seen, (), event.at, ship.digest))
        self._rooted.add(event.release)

    def _line(self, event: Event, line: str) -> None:
        if self._greens or sum(len(text) + 1 for _, text in self._lines) + len(line) > CONTENT_LIMIT - 100:
            self._close()
        self._lines.append((event, line))

    async def _seal(self, event: Event) -> None:
        app = event.step.partition(":")[2]
        seal = next((one for one in reversed(await self._tx.seals(event.release)) if one.app == app), None)
        if seal is None:
            self._line(event, screens.finished_step(event))
        elif seal.status is SealStatus.RED:
            ship, _ = await standing(self._tx, event.release)
            self._say(event, "red seal", screens.red_seal(seal, self._calls(ship)))
        else:
            if self._lines or len(self._greens) >= 20:
                self._close()
            self._greens.append((event, seal))

    async def _stop(self, event: Event) -> None:
        ship, seen = await standing(self._tx, event.release)
        attempt = event.facts.get("attempt")
        recent = await self._tx.events(after=max(0, event.id - _BACK), release=event.release, limit=_BACK)
        mine = [one for one in recent if one.id < event.id and one.facts.get("attempt") == attempt]
        failed = [one for one in mine if one.kind in (EventKind.STEP_FAILED, EventKind.STEP_UNKNOWN)]
        asked = [one for one in failed if one.kind is EventKind.STEP_UNKNOWN]
        if seen.attempt != attempt or seen.state not in (ShipState.STOPPED, ShipState.ASKING):
            self._say(event, "stopped", screens.settled_stop(event, failed))
        elif seen.state is ShipState.ASKING:
            self._say(event, "question", screens.question(seen, asked, self._calls(ship)))
        else:
            tails = {one.step: await asyncio.to_thread(tail, str(one.facts.get("log", ""))) for one in failed[:3]}
            self._say(event, "failure", screens.failure(seen, failed, tails, self._calls(ship)))

    async def _notes(self, event: Event) -> None:
        release = await self._tx.release(event.release)
        if release and release.notes:
            told = screens.notes(notes_of(release.notes))
            for channel in ("", self._channel):
                for message in told:
                    self._say(event, "notes", message, channel)

    def _calls(self, ship: Ship) -> list[str]:
        return [one for one in (ship.mention, self._operators) if is_mention(one)]

    def _say(self, event: Event, kind: str, message: Message, channel: str = "") -> None:
        self._close()
        self._told.append(Telling(kind, event.release, message, event, event, channel))

    def _close(self) -> None:
        """Say what has gathered."""
        for kind, gathered, message in (
            ("steps", self._lines, Message(content="\n".join(text for _, text in self._lines))),
            ("seals", self._greens, screens.seals([seal for _, seal in self._greens])),
        ):
            if gathered:
                first, last = gathered[0][0], gathered[-1][0]
                self._told.append(Telling(kind, first.release, message, first, last))
        self._lines, self._greens = [], []


async def standing(tx: Transaction, release: str) -> tuple[Ship, Progress]:
    """The newest ship of a release that has one, and how far it is."""
    ship = await tx.latest_ship(release)
    assert ship, f"{release} was never shipped"
    return ship, progress(ship, decoded(ship.plan), await tx.entries(release))


def tail(path: str, lines: int = 8) -> list[str]:
    """The last lines of a log, empty when it is not on this machine; blocks for a moment."""
    try:
        with Path(path).open("rb") as file:
            file.seek(max(0, Path(path).stat().st_size - 200 * lines))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return list(deque((line for line in text.splitlines() if line.strip()), maxlen=lines))
