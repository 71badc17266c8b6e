"""Server-sent events: what happens, as it happens, to whoever listens; who was away goes on where they left off.

One task follows the record for all; each listener reads from the record what it has not had, so nothing is queued.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress

import msgspec
from aiohttp import web

from core.errors import Trouble
from core.events import Event
from core.records import Records

HEARTBEAT_SECONDS = 15.0
_SEND_SECONDS = 30.0  # a listener that takes nothing for that long is let go
_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_log = logging.getLogger(__name__)


class Streams:
    """Every listener; `follow` must run beside them. `moved`: set, and replaced, when there is something to read."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self.moved, self._listened = asyncio.Event(), asyncio.Event()
        self._listeners, self._is_closed = 0, False

    async def follow(self) -> None:
        """Wake the listeners whenever something happened; ends by cancellation only."""
        seen = 0
        while True:
            await self._listened.wait()
            try:
                # Whoever read before this and listens now has not had it.
                if (newest := await self._newest()) > seen:
                    seen = newest
                    self._wake()
                await self._records.wait_for_events(seen, HEARTBEAT_SECONDS)
            except Trouble as trouble:
                _log.warning("cannot follow the record: %s", trouble, extra={"action": "api.follow"})
                await asyncio.sleep(1)

    def close(self) -> None:
        """Let every listener go."""
        self._is_closed = True
        self._wake()

    async def send(
        self,
        request: web.Request,
        read: Callable[..., Awaitable[list[Event]]],
        after: int | None,
        check: Callable[[], Awaitable[object]],
    ) -> web.StreamResponse:
        """Send what `read` gives, from the event `after` on (None: from now on), until the listener goes.

        `check` raises Trouble as soon as the listener may listen no more.
        """
        seen = await self._newest() if after is None else after
        response = web.StreamResponse(headers=_HEADERS)
        await response.prepare(request)
        with suppress(ConnectionError, TimeoutError, Trouble), self.one_more():
            while request.method != "HEAD" and not self._is_closed:
                moved = self.moved
                events = await read(after=seen)
                text = "".join(_lines(event) for event in events) or ": still here\n\n"
                async with asyncio.timeout(_SEND_SECONDS):
                    await response.write(text.encode())
                if events:
                    seen = events[-1].id
                    continue
                with suppress(TimeoutError):
                    async with asyncio.timeout(HEARTBEAT_SECONDS):
                        await moved.wait()
                await check()
        return response

    @contextmanager
    def one_more(self) -> Generator[None]:
        """The record is followed while somebody listens."""
        self._listeners += 1
        self._listened.set()
        try:
            yield
        finally:
            self._listeners -= 1
            if not self._listeners:
                self._listened.clear()

    def _wake(self) -> None:
        self.moved.set()
        self.moved = asyncio.Event()

    async def _newest(self) -> int:
        async with self._records.reading() as tx:
            return await tx.last_event()


def _lines(event: Event) -> str:
    """One event of the stream; JSON has no line breaks of its own."""
    return f"id: {event.id}\nevent: {event.kind}\ndata: {msgspec.json.encode(event).decode()}\n\n"
