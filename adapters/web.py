"""The one door to HTTP: bounded, GET unless said otherwise, foreign exceptions translated at the door."""

from __future__ import annotations

import json
from collections.abc import Mapping

import aiohttp
import msgspec

from core.errors import Unreachable


class Answer(msgspec.Struct, frozen=True):
    """Status, headers (lower-case names) and body of an HTTP answer; redirects were not followed."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> object:
        """The body as JSON; Unreachable when it is none (a proxy's page is not an answer)."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Unreachable("the answer is no JSON", repr(self.body[:80]), "try again in a minute") from error


class Web:
    """A pool of connections, opened on first use; close it at the end."""

    def __init__(self, timeout_seconds: float = 15) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """GET `url`. Unreachable when no whole answer came in time; any status is an answer."""
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(timeout=self._timeout, auto_decompress=True)
        try:
            async with self._session.get(url, headers=headers, allow_redirects=False) as answer:
                return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unreachable(
                f"{url} does not answer", str(error) or type(error).__name__, "try again in a minute"
            ) from error

    async def close(self) -> None:
        """Close every connection."""
        if self._session:
            await self._session.close()
