"""The one door to HTTP: bounded, GET unless said otherwise, foreign exceptions translated at the door."""

from __future__ import annotations

import re
from collections.abc import Mapping

import aiohttp
import msgspec

from core.errors import Unreachable

_LONGEST = 64 << 20  # bytes of a body, unpacked; an index of a registry has a few MB


class Answer(msgspec.Struct, frozen=True):
    """Status, headers (lower-case names) and body of an HTTP answer; redirects were not followed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Web:
    """A pool of connections, opened on first use; close it at the end."""

    def __init__(self, timeout_seconds: float = 15) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """GET `url`. Unreachable when no whole answer came in time; any status is an answer."""
        if self._session is None or self._session.closed:
            # No cookies: an answer must not depend on who was asked before.
            self._session = aiohttp.ClientSession(timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar())
        try:
            async with self._session.get(url, headers=headers, allow_redirects=False) as answer:
                body = bytearray()
                async for piece in answer.content.iter_any():
                    body += piece
                    if len(body) > _LONGEST:
                        raise ValueError(f"the answer has more than {_LONGEST} bytes")
                return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, bytes(body))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            why = str(error) or type(error).__name__
            place = re.sub(r"//[^/@]*@", "//", url)
            raise Unreachable(f"{place} does not answer", why.replace(url, place), "try again in a minute") from error

    async def close(self) -> None:
        if self._session:
            await self._session.close()
