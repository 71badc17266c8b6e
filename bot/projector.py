"""Events become the thread of a run: each message exactly once and in order, whatever Discord or this process does.

Intended messages are written down with the cursor before any is sent (L49); what is pending after a crash is looked
for in the channel before it is sent again. Nothing here is waited for by a run, and nothing of it raises into one.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

import aiohttp
import discord
import msgspec

from bot import run_screens
from bot.layout import is_shown
from bot.message import Message
from bot.posts import Pace, Posts
from bot.telling import BOARD, ROOT, Teller, Telling, newest_run, tail
from bot.words_for_discord import person
from core.deliveries import Deliveries, Delivery
from core.errors import Trouble, Unreachable
from core.events import EventKind
from core.journal import Run, RunState
from core.records import Records
from core.train.progress import Progress, StepState
from core.train.proposal import TYPED
from core.unforeseen import or_trouble

log = logging.getLogger(__name__)

FRESH_BOARD = timedelta(minutes=55)  # an hour after it was sent, Discord allows few edits of a message
_EXPECTED = (discord.DiscordException, aiohttp.ClientError, OSError)
_EXISTS, _ARCHIVED = 160004, 50083
_NO_PLACE = (400, 403, 404)  # the message is gone, or its channel is none for threads
_ORIGIN = re.compile(r"discord:(\d+):(\d+)")
_IDLE_SECONDS, _LONGEST_PAUSE_SECONDS, _BATCH = 5, 30, 500


class Projector:
    """The one writer of threads. `failures`: how many turns in a row broke; `cursor`: the last event that was told."""

    def __init__(
        self, records: Records, deliveries: Deliveries, posts: Posts, pace: Pace, *, channel: int, operators: str
    ) -> None:
        self._records, self._deliveries, self._posts, self._pace = records, deliveries, posts, pace
        self._channel, self._operators = channel, operators
        self._fresh: set[str] = set()
        self._live: dict[str, object] = {}
        self._edited = 0.0
        self.failures, self.cursor = 0, 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await or_trouble("the thread", self._turn_and_wait())
            except Trouble as trouble:  # the run goes on, whatever Discord does, and so do we
                self.failures += 1
                log.warning("the thread waits: %s", trouble, extra={"action": "discord.retry"})
                pause = min(_LONGEST_PAUSE_SECONDS, self._pace.live * 2**self.failures)
                await asyncio.sleep(pause * random.uniform(0.5, 1))

    async def flush(self, timeout_seconds: float) -> None:
        """One last turn, as far as it goes in that time; never raises."""
        with suppress(Exception):
            async with asyncio.timeout(timeout_seconds):
                self._edited = 0.0
                await self._turn()

    async def _turn_and_wait(self) -> None:
        """Until something may be due; what Discord is known for is Unreachable."""
        try:
            wait = await self._turn()
            self.failures = 0
            await self._records.wait_for_events(self.cursor, wait)
        except _EXPECTED as error:
            raise Unreachable("Discord did not take it", repr(error)) from error

    async def _turn(self) -> float:
        """Send what is pending, then what happened since, then the live messages; returns how long nothing is due."""
        await self._send_pending()
        await self._plan()
        await self._send_pending()
        return await self._show_live()

    # ── what happened becomes rows ────────────────────────────────────────────────────────────────────────────────

    async def _plan(self) -> None:
        before = await self._deliveries.cursor()
        self.cursor = await self._beginning() if before is None else before
        async with self._records.reading() as tx:
            events = await tx.events(after=self.cursor, limit=_BATCH)
            rooted = [one for one in {event.release for event in events} if await self._deliveries.newest(ROOT, one)]
            told = await Teller(tx, self._channel, self._operators, rooted).tell(events)
        after = events[-1].id if events else self.cursor
        if after != before:
            await self._deliveries.plan(before, after, await self._rows(told))
            self.cursor = after

    async def _beginning(self) -> int:
        """Where somebody starts who never told anything: at the run that is on its way, else now."""
        cursor, confirmed = 0, 0
        async with self._records.reading() as tx:
            running = {run.id for run in await tx.unfinished_runs()}
            while events := await tx.events(after=cursor, limit=_BATCH):
                cursor = events[-1].id
                for one in events:
                    if one.kind is EventKind.RUN_CONFIRMED and one.facts["run"] in running:
                        confirmed = one.id
        return confirmed - 1 if confirmed else cursor

    async def _rows(self, told: Sequence[Telling]) -> list[Delivery]:
        """The messages as rows, each with its number in its release and a nonce of its own."""
        numbers: dict[str, int] = {}
        rows: list[Delivery] = []
        for one in told:
            seq = numbers.get(one.release) or await self._deliveries.next_seq(one.release)
            numbers[one.release] = seq + 1
            key = f"{one.release} {seq} {one.first.id} {one.first.at.isoformat()}"
            rows.append(
                Delivery(
                    release=one.release,
                    seq=seq,
                    kind=one.kind,
                    channel=one.channel,
                    nonce=hashlib.sha256(key.encode()).hexdigest()[:24],
                    first_event=one.first.id,
                    last_event=one.last.id,
                    content=msgspec.to_builtins(one.message),
                )
            )
        self._fresh |= {row.nonce for row in rows}
        return rows

    # ── rows become messages ──────────────────────────────────────────────────────────────────────────────────────

    async def _send_pending(self) -> None:
        for delivery in await self._deliveries.pending():
            message = msgspec.convert(delivery.content, Message)
            if delivery.kind == ROOT:
                self._edited = 0.0
                await self._show_live()  # the run before this one gets its last picture
                await self._send_root(delivery, message)
            else:
                await self._send(delivery, message)

    async def _send_root(self, delivery: Delivery, message: Message) -> None:
        """Hang the thread on the message that was confirmed, or on a new one of ours."""
        async with self._records.reading() as tx:
            run, _ = await newest_run(tx, delivery.release)
        if origin := _ORIGIN.fullmatch(run.origin):
            channel, number = int(origin[1]), int(origin[2])
            try:
                await self._open_thread(channel, number, delivery)
                return await self._rooted(delivery, channel, number)
            except discord.HTTPException as error:
                if error.status not in _NO_PLACE:
                    raise
        number = await self._once(self._channel, delivery, message)
        await self._open_thread(self._channel, number, delivery)
        await self._rooted(delivery, self._channel, number)

    async def _send(self, delivery: Delivery, message: Message) -> None:
        channel = int(delivery.channel) if delivery.channel else await self._thread(delivery.release)
        try:
            number = await self._once(channel, delivery, message)
        except discord.NotFound:
            if delivery.channel:
                raise
            channel = await self._new_thread(delivery.release)
            number = await self._posts.send(channel, message, delivery.nonce)
        if delivery.kind == BOARD:
            with suppress(discord.HTTPException):  # an unpinned board is still a board
                await self._posts.pin(channel, number)
        await self._sent(delivery, channel, number)

    async def _once(self, channel: int, delivery: Delivery, message: Message) -> int:
        """Send it, unless an earlier try or an earlier life of this process did (the nonce helps for minutes only)."""
        if delivery.nonce not in self._fresh:
            last = await self._deliveries.newest(channel=str(channel))
            for shown in await self._posts.own_after(channel, int(last.message_id or 0) if last else channel):
                if shown.get("nonce") == delivery.nonce or is_shown(message, shown):
                    return int(shown["id"])
        self._fresh.discard(delivery.nonce)
        try:
            return await self._posts.send(channel, message, delivery.nonce)
        except discord.HTTPException as error:
            if error.status != 400:
                raise
            log.error("Discord refuses a message: %s", error, extra={"action": "discord.refused"})
            text = f"⚠️ One message ({delivery.kind}) could not be shown here; `/release status` has what it said."
            return await self._posts.send(channel, Message(content=text), delivery.nonce)

    async def _rooted(self, delivery: Delivery, channel: int, number: int) -> None:
        """The root has its thread: say so, and take the buttons of the plan away before anything else is posted."""
        await self._sent(delivery, channel, number)
        async with self._records.reading() as tx:
            await self._show_root(delivery.release, *await newest_run(tx, delivery.release))

    async def _sent(self, delivery: Delivery, channel: int, number: int) -> None:
        await self._deliveries.sent(delivery, str(channel), str(number))

    # ── threads ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _thread(self, release: str) -> int:
        root = await self._deliveries.newest(ROOT, release)
        assert root and root.message_id
        return int(root.message_id)

    async def _open_thread(self, channel: int, number: int, root: Delivery, *, again: bool = False) -> None:
        """Called after its run; the second run of a kind and every later one says which it is."""
        async with self._records.reading() as tx:
            happened = await tx.events(release=root.release, limit=None)
        begun = [one for one in happened if one.kind is EventKind.RUN_CONFIRMED and one.id <= root.first_event]
        kinds = [one.facts["kind"] for one in begun]
        turn = kinds.count(kinds[-1])
        name = f"🚂 {kinds[-1]} {root.release}" + (f" ({turn})" if turn > 1 else "")
        try:
            await self._posts.open_thread(channel, number, name)
        except discord.HTTPException as error:
            if error.code != _EXISTS or again:
                raise

    async def _new_thread(self, release: str) -> int:
        """Somebody deleted it: hang another one on the same message, or on a new one (spec 9.6)."""
        root = await self._deliveries.newest(ROOT, release)
        assert root and root.message_id
        channel, number = int(root.channel), int(root.message_id)
        try:
            await self._open_thread(channel, number, root, again=True)
        except discord.HTTPException as error:
            if error.status not in _NO_PLACE:
                raise
            message = msgspec.convert(root.content, Message)
            number = await self._posts.send(self._channel, message, f"{root.nonce[:22]}-2")
            await self._open_thread(self._channel, number, root)
            await self._sent(root, self._channel, number)
        self._live.clear()
        return number

    # ── live messages ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _show_live(self) -> float:
        """Bring board and root of the newest run up to date; the newest picture wins, and the last one is shown."""
        board = await self._deliveries.newest(BOARD)
        if board is None or not board.message_id:
            return _IDLE_SECONDS
        async with self._records.reading() as tx:
            run, seen = await newest_run(tx, board.release)
        is_running = run.state is RunState.RUNNING
        logs = [step.log for step in seen.of(StepState.RUNNING) if step.log]
        end = await asyncio.to_thread(tail, logs[-1]) if logs else []
        left = self._edited + self._pace.live - asyncio.get_running_loop().time()
        if self._live.get(BOARD) != (board.id, seen, end):
            if left > 0:
                return left
            age = discord.utils.utcnow() - discord.utils.snowflake_time(int(board.message_id))
            picture = run_screens.board(seen, end, discord.utils.utcnow(), run.digest[:TYPED])
            if is_running and age > FRESH_BOARD:
                await self._another(board, picture)
                return 0
            self._edited = asyncio.get_running_loop().time()
            try:
                await self._posts.edit(int(board.channel), int(board.message_id), picture)
            except discord.HTTPException as error:
                # Not the board of an old run, which somebody put away while we were not there.
                if error.status == 404 and (is_running or BOARD in self._live):
                    await self._another(board, picture)
                    return 0
                if error.status != 404 and error.code != _ARCHIVED:
                    raise
            self._live[BOARD] = (board.id, seen, end)
        await self._show_root(board.release, run, seen)
        return self._pace.live if is_running else _IDLE_SECONDS

    async def _show_root(self, release: str, run: Run, seen: Progress) -> None:
        """The message in the channel says how the run stands; where it was deleted, nothing is missed."""
        headline = run_screens.root(seen, person(run.mention, run.confirmed_by))
        root = await self._deliveries.newest(ROOT, release)
        if root is None or not root.message_id or self._live.get(ROOT) == (root.id, headline):
            return
        with suppress(discord.NotFound):
            await self._posts.rehead(int(root.channel), int(root.message_id), headline)
        self._live[ROOT] = (root.id, headline)

    async def _another(self, board: Delivery, picture: Message) -> None:
        """A fresh board below everything that was said."""
        async with self._records.reading() as tx:
            event = (await tx.events(after=board.last_event - 1, limit=1))[0]
        cursor = await self._deliveries.cursor()
        rows = await self._rows([Telling(BOARD, board.release, picture, event, event)])
        await self._deliveries.plan(cursor, cursor or 0, rows)
