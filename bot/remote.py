"""The use cases over the network: objects with the methods of `Board`, `Conductor` and `Doorkeeper`, each of which asks
the HTTP API by the table of its routes. Same words, same refusals, same exit codes; who acts is whose token it is.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from inspect import signature
from typing import Any, TypeVar, cast, get_type_hints
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec

from bot.api.limits import LONG_REQUEST_SECONDS, REQUEST_SECONDS
from bot.api.problems import CONTENT_TYPE, Problem, trouble
from bot.api.routes import ROUTES, Route
from core.errors import NeedsOperator, Refused, Unreachable
from core.words import is_loopback

UseCases = TypeVar("UseCases")
_TRIES, _PAUSE_SECONDS = 3, 0.5


@asynccontextmanager
async def opened_remote(kind: type[UseCases], url: str, token: str) -> AsyncGenerator[UseCases]:
    """The use cases of `kind` at `url`; Refused where the token would travel readable for others."""
    place = urlsplit(url)
    if place.scheme not in ("http", "https") or not place.hostname:
        raise Refused(f"STATIONMASTER_URL {url!r} is no address", "the API lives there", "https://…")
    if place.scheme == "http" and not is_loopback(place.hostname):
        why = "the token would travel readable for everybody on the way"
        raise Refused("STATIONMASTER_URL is not encrypted", why, f"https://{place.netloc}")
    if not token:
        next_ = "export STATIONMASTER_TOKEN=… (an operator makes one: token new)"
        raise Refused("STATIONMASTER_TOKEN is not set", "the API asks who speaks", next_)
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield cast("UseCases", _Remote(kind, session, url.rstrip("/")))


class _Remote:
    """Every method of `kind` that has a route, by its name."""

    def __init__(self, kind: type, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url
        self._routes = {route.use_case.__name__: route for route in ROUTES if route.owner is kind}

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        if name not in self._routes:
            raise AttributeError(name)
        route = self._routes[name]

        async def ask(*args: Any, **kwargs: Any) -> Any:
            bound = signature(route.use_case).bind(self, *args, **kwargs)
            _, *given = bound.arguments.items()
            path, said = route.arguments.tell(dict(given))
            answer = await self._answer(route, path, said)
            return msgspec.json.decode(answer, type=get_type_hints(route.use_case)["return"])

        return ask

    async def _answer(self, route: Route, path: dict[str, str], said: dict[str, Any]) -> bytes:
        """Ask until there is an answer; a write that is asked again has the same key, and is done once."""
        url = self._url + route.path.format_map({name: quote(text, safe="") for name, text in path.items()})
        options: dict[str, Any] = {"params": _query(said)}
        if route.writes:
            options = {"json": said, "headers": {"Idempotency-Key": uuid.uuid4().hex}}
        seconds = (LONG_REQUEST_SECONDS if route.is_long else REQUEST_SECONDS) + 5
        options["timeout"] = aiohttp.ClientTimeout(total=seconds)
        why, may_have_arrived = "", False
        for attempt in range(_TRIES):
            await asyncio.sleep(attempt * _PAUSE_SECONDS)
            try:
                async with self._session.request(route.method, url, **options) as response:
                    body = await response.read()
                    return _well(response, body, self._url)
            except aiohttp.ClientConnectorError as error:
                why = str(error)
            except (aiohttp.ClientError, TimeoutError) as error:
                why, may_have_arrived = str(error) or "it took too long", True
        if route.writes and may_have_arrived:
            raise NeedsOperator(f"{self._url} broke off", f"nobody can tell whether it was done: {why}", "look at it")
        raise Unreachable(f"{self._url} does not answer", why, "see that stationmaster serve runs there")


def _well(response: aiohttp.ClientResponse, body: bytes, url: str) -> bytes:
    if response.ok and response.content_type == "application/json":
        return body
    if response.content_type == CONTENT_TYPE:
        raise trouble(msgspec.json.decode(body, type=Problem))
    raise Unreachable(
        f"{url} is no Stationmaster", f"it says {response.status}, {response.content_type}", "STATIONMASTER_URL"
    )


def _query(said: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and text of each parameter; one that has many values is named many times."""
    found: list[tuple[str, str]] = []
    for name, value in said.items():
        many = cast("list[object]", value) if isinstance(value, list) else [value]
        found += [(name, str(one)) for one in many]
    return found
