"""How much may be asked for: requests by token, streams by token and in all, connections. Far above ordinary use."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from http import HTTPStatus
from typing import cast

from aiohttp import web

from bot.api.problems import Rejected
from core.errors import Reason

BODY_BYTES = 2**20
KEY = "^[!-~]{1,200}$"
"""What an Idempotency-Key may be: visible ASCII."""
_STREAMS_EACH, _STREAMS = 8, 200
REQUEST_SECONDS = 30.0
LONG_REQUEST_SECONDS = 900.0
HEAD_SECONDS = 20.0
"""By then a connection has said what it wants, or wants again; clients on aiohttp give idle ones up before (15 s)."""
CONNECTIONS = 500
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 20\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Rate:
    """A bucket per name, of `burst` requests, refilled by `per_second`. Times are seconds of any steady clock."""

    def __init__(self, burst: int = 200, per_second: float = 50) -> None:
        self._burst, self._per_second = burst, per_second
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, name: str, now: float) -> None:
        """Take one; Rejected (429), saying when to come back, when the bucket is empty."""
        left, since = self._left.get(name, (float(self._burst), now))
        left = min(self._burst, left + (now - since) * self._per_second)
        if left < 1:
            seconds = max(1, round((1 - left) / self._per_second))
            why = f"{self._burst} at once and {self._per_second:g} a second are"
            reason = Reason("too many requests", why, f"try again in {seconds} s")
            raise Rejected(HTTPStatus.TOO_MANY_REQUESTS, [reason], {"Retry-After": str(seconds)})
        self._left[name] = left - 1, now


class Places:
    """Streams that may be open at once."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    @contextmanager
    def one(self, name: str) -> Generator[None]:
        """Hold a place; Rejected (429) when there is none."""
        if self._taken.get(name, 0) >= _STREAMS_EACH or sum(self._taken.values()) >= _STREAMS:
            reason = Reason("too many open streams", f"{_STREAMS_EACH} each, {_STREAMS} in all", "close one")
            raise Rejected(HTTPStatus.TOO_MANY_REQUESTS, [reason], {"Retry-After": "15"})
        self._taken[name] = self._taken.get(name, 0) + 1
        try:
            yield
        finally:
            self._taken[name] -= 1
            if not self._taken[name]:
                del self._taken[name]


def connection(server: web.Server) -> asyncio.BaseProtocol:
    """Who takes a new connection: `server`, or a 503 once it has enough of them."""
    return server() if len(server.connections) < CONNECTIONS else _Full()


class _Full(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(_FULL)
        transport.close()
