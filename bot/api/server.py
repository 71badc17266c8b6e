"""Answers HTTP requests: who speaks, what they say, the use case, the answer or the problem. Decides nothing itself."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from bot.api import once, page
from bot.api.limits import (
    BODY_BYTES,
    HEAD_SECONDS,
    KEY,
    LONG_REQUEST_SECONDS,
    REQUEST_SECONDS,
    Places,
    Rate,
    connection,
)
from bot.api.openapi import document
from bot.api.problems import CONTENT_TYPE, Rejected, problem
from bot.api.routes import ROUTES, Route
from bot.api.streams import Streams
from bot.api.together import Together
from core.conductor import Conductor
from core.doorkeeper import Doorkeeper, tokens_behind
from core.errors import NeedsOperator, Reason, Refused, Trouble
from core.permissions import Actor
from core.ports import Clock
from core.records import Records, Transaction

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Faces = Mapping[type, Any]
"""The use cases, by their class: Board, Conductor, Doorkeeper."""

_JSON, _STREAM = "application/json", "text/event-stream"
_FORGET_SECONDS = 3600
_LOOKS, _WRITES = 100, 16
"""How many requests share a transaction: a ship's next write waits behind one of those that write."""
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_log = logging.getLogger(__name__)


class Api:
    """The HTTP face over `records`; `over` gives the use cases on whatever records it is handed."""

    def __init__(self, records: Records, clock: Clock, over: Callable[[Records], Faces], *, rate: Rate | None = None):
        self._records, self._clock, self._over = records, clock, over
        self._faces = over(records)
        self._rate, self._places = rate or Rate(), Places()
        self._looks = Together(records.reading, _LOOKS, tokens_behind)
        self._writes = Together(records.transaction, _WRITES, self._written)
        self._streams = Streams(records)

    @asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncGenerator[str]:
        """Serve until the end of the block; gives the address, whose port was chosen when `port` is 0.

        Refused when the port is taken.
        """
        runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=2, keepalive_timeout=HEAD_SECONDS)
        await runner.setup()
        assert runner.server
        try:
            with closing(await _listener(runner.server, host, port)) as listener:
                address, chosen, *_ = listener.sockets[0].getsockname()
                async with asyncio.TaskGroup() as group:
                    tasks = [
                        group.create_task(self._streams.follow(), name="api streams"),
                        group.create_task(self._forget(), name="api answers"),
                    ]
                    yield f"http://[{address}]:{chosen}" if ":" in address else f"http://{address}:{chosen}"
                    for task in tasks:
                        task.cancel()
        except ExceptionGroup as broken:
            raise broken.exceptions[0] from broken
        finally:
            self._streams.close()
            await runner.cleanup()

    async def run(self, host: str, port: int, tell: Callable[[str], None]) -> None:
        """Serve until cancelled; `tell` hears of it once it listens."""
        async with self.listening(host, port) as address:
            tell(f"serving the API at {address}/")
            await asyncio.Event().wait()

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=BODY_BYTES, middlewares=[_problems])
        paths: dict[str, dict[str, Handler]] = {
            "/": {"GET": _fixed(page.page(ROUTES).encode(), "text/html", {"Content-Security-Policy": page.POLICY})},
            "/openapi.json": {"GET": _fixed(msgspec.json.encode(document(ROUTES)), _JSON)},
        }
        for route in ROUTES:
            paths.setdefault(route.path, {})[route.method] = partial(self._asked, route)
        for path, handlers in paths.items():
            application.router.add_route("*", path, partial(_by_method, handlers))
        return application

    async def _asked(self, route: Route, request: web.Request) -> web.StreamResponse:
        """Who speaks, how often and how long, before what they say is looked at."""
        actor = await self._speaker(request)
        self._rate.take(actor.id, asyncio.get_running_loop().time())
        _require_accepted(request, _STREAM if route.streams else _JSON)
        if route.streams:
            return await self._stream(route, actor, request)
        seconds = LONG_REQUEST_SECONDS if route.is_long else REQUEST_SECONDS
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await self._answer(route, actor, request)
        except TimeoutError as error:
            if not limit.expired():
                raise
            what, why = f"there was no answer within {seconds:g} s", "the request was given up"
            if route.is_long and route.writes:
                raise NeedsOperator(what, "nobody can tell how far it came", "look at the release") from error
            next_ = "send it again with the same Idempotency-Key: it is done once" if route.writes else "try again"
            raise _wrong(HTTPStatus.SERVICE_UNAVAILABLE, what, why, next_) from error

    async def _answer(self, route: Route, actor: Actor, request: web.Request) -> web.Response:
        body, said = await _body(request) if route.writes else (b"", None)
        arguments = route.arguments.read(request.match_info, request.query, said)
        if route.arguments.wants_actor:
            arguments["actor"] = actor

        async def call(records: Records) -> bytes:
            faces = self._faces if records is self._records else self._over(records)
            found = await route.use_case(faces[route.owner], **arguments)
            return msgspec.json.encode(route.shows(found) if route.shows else found)

        headers = dict(_HEADERS)
        if route.writes:
            said_by = " ".join(sorted(actor.roles))  # what was answered to more rights is no answer to fewer
            asked = b"\n".join((f"{said_by} {request.method} {request.raw_path}".encode(), body))
            claim = once.used_for(actor.id, _key(request), asked, self._clock.now())
            if route.is_long:
                answer, repeated = await once.after_a_claim(self._records, claim, call)
            else:
                answer, repeated = await self._writes.do(once.Write(claim, call, route.keeps_answer))
            headers["Idempotency-Replayed"] = str(repeated).lower()
        else:
            answer = await call(self._records)
        return web.Response(body=answer, status=route.status, content_type=_JSON, headers=headers)

    async def _stream(self, route: Route, actor: Actor, request: web.Request) -> web.StreamResponse:
        arguments = route.arguments.read(request.match_info, request.query, None)
        if (last := request.headers.get("Last-Event-ID")) is not None:
            if not (last.isascii() and last.isdigit() and len(last) < 16):
                why = "it is the id of the last event that arrived"
                raise _wrong(HTTPStatus.BAD_REQUEST, "Last-Event-ID is no number", why, "leave it out")
            arguments["after"] = int(last)
        conductor: Conductor = self._faces[Conductor]
        if "slug" in arguments:
            arguments["slug"] = (await conductor.status(arguments["slug"])).release.slug
        after = arguments.pop("after")
        read = partial(route.use_case, conductor, **arguments)
        with self._places.one(actor.id):
            return await self._streams.send(request, read, after, partial(self._speaker, request))

    async def _speaker(self, request: web.Request) -> Actor:
        """Who shows the token; Rejected (401) without a good one."""
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        headers = {"WWW-Authenticate": 'Bearer realm="stationmaster"'}
        if scheme.lower() != "bearer" or not secret.strip():
            reason = Reason("no token was shown", "Authorization: Bearer … is missing", "ask an operator: token new")
            raise Rejected(HTTPStatus.UNAUTHORIZED, [reason], headers)
        doorkeeper: Doorkeeper = self._faces[Doorkeeper]
        try:
            return doorkeeper.admit(await self._looks.do(secret.strip()))
        except Refused as refusal:
            headers["WWW-Authenticate"] += ', error="invalid_token"'
            raise Rejected(HTTPStatus.UNAUTHORIZED, refusal.reasons, headers) from refusal

    async def _written(self, tx: Transaction, writes: Sequence[once.Write]) -> list[once.Given]:
        return await once.within(tx, self._records, writes)

    async def _forget(self) -> None:
        """Old answers go, now and every hour; a record that is busy is tried again the next time."""
        while True:
            try:
                async with self._records.transaction() as tx:
                    await tx.forget_answered(self._clock.now() - once.KEPT)
            except Trouble as trouble:
                _log.warning("old answers stay: %s", trouble, extra={"action": "api.forget"})
            await asyncio.sleep(_FORGET_SECONDS)


async def _listener(server: web.Server, host: str, port: int) -> asyncio.Server:
    try:
        return await asyncio.get_running_loop().create_server(partial(connection, server), host, port)
    except OSError as error:
        what = f"the API cannot listen on {host}:{port}"
        raise Refused(what, str(error), "set api.port in config/bot.yml to a free one") from error


@web.middleware
async def _problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The only place where an answer that is no is written."""
    try:
        return await handler(request)
    except Trouble as error:
        trouble = error
    except web.HTTPRequestEntityTooLarge:
        most = f"{BODY_BYTES} bytes at the most"
        trouble = _wrong(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too large", most, "say it shorter")
    except web.HTTPException as error:
        next_ = "GET / lists everything that can be asked"
        trouble = _wrong(
            HTTPStatus(error.status), error.reason.lower(), f"{request.method} {request.path[:100]}", next_
        )
    except Exception:  # whoever asked must hear of it; what it was stands in the log
        _log.exception("a request broke", extra={"action": "api.broke", "path": request.path})
        why = "nothing is known to have changed"
        next_ = "tell an operator: the log says more"
        trouble = _wrong(HTTPStatus.INTERNAL_SERVER_ERROR, "something broke on our side", why, next_)
    said = problem(trouble)
    headers = {**_HEADERS, **(trouble.headers if isinstance(trouble, Rejected) else {})}
    return web.Response(body=msgspec.json.encode(said), status=said.status, content_type=CONTENT_TYPE, headers=headers)


async def _by_method(handlers: Mapping[str, Handler], request: web.Request) -> web.StreamResponse:
    """The handler of the method; HEAD is a GET without its body, OPTIONS says what there is."""
    allowed = {"Allow": ", ".join(sorted({*handlers, "OPTIONS", *(["HEAD"] if "GET" in handlers else [])}))}
    if request.method == "OPTIONS":
        return web.Response(status=HTTPStatus.NO_CONTENT, headers={**_HEADERS, **allowed})
    handler = handlers.get("GET" if request.method == "HEAD" else request.method)
    if handler is None:
        reason = Reason(
            f"{request.method[:20]} is not for this path", f"allowed: {allowed['Allow']}", "GET / lists all"
        )
        raise Rejected(HTTPStatus.METHOD_NOT_ALLOWED, [reason], allowed)
    return await handler(request)


def _fixed(body: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> Handler:
    """What never changes while we run, and anybody may read."""

    async def answer(request: web.Request) -> web.StreamResponse:
        _require_accepted(request, content_type)
        said = {**_HEADERS, **(headers or {}), "Content-Type": f"{content_type}; charset=utf-8"}
        return web.Response(body=body, headers=said)

    return answer


async def _body(request: web.Request) -> tuple[bytes, object]:
    """The bytes and what they say; nothing at all is an empty object."""
    try:
        body = await request.read()
    except (web.RequestPayloadError, ConnectionError) as error:
        why = str(error) or "the connection broke"
        raise _wrong(HTTPStatus.BAD_REQUEST, "the body did not arrive whole", why, "send it again") from error
    if not body.strip():
        return b"", {}
    if request.content_type != _JSON:
        next_ = f"Content-Type: {_JSON}"
        raise _wrong(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the body is {request.content_type[:60]}", "only JSON is read", next_
        )
    try:
        return body, msgspec.json.decode(body)
    except RecursionError as error:
        raise _wrong(HTTPStatus.UNPROCESSABLE_ENTITY, "the body is nested too deeply", "", "say it flatly") from error
    except (msgspec.DecodeError, UnicodeError) as error:
        raise _wrong(HTTPStatus.BAD_REQUEST, "the body is not JSON", str(error)[:200], "send an object") from error


def _key(request: web.Request) -> str:
    key = request.headers.get("Idempotency-Key", "")
    if not re.match(KEY, key):
        what = "no good Idempotency-Key" if key else "no Idempotency-Key was sent"
        why = "with it, what is sent twice is done once; 1 to 200 visible ASCII characters"
        raise _wrong(HTTPStatus.BAD_REQUEST, what, why, "Idempotency-Key: $(uuidgen)")
    return key


def _require_accepted(request: web.Request, content_type: str) -> None:
    """Rejected (406) when the client takes nothing of that kind."""
    kinds = {content_type, content_type.partition("/")[0] + "/*", "*/*"}
    for one in request.headers.get("Accept", "*/*").split(","):
        kind, *parameters = (part.strip().lower() for part in one.split(";"))
        if (kind in kinds or not kind) and not any(
            part in ("q=0", "q=0.0", "q=0.00", "q=0.000") for part in parameters
        ):
            return
    raise _wrong(
        HTTPStatus.NOT_ACCEPTABLE, f"this answers {content_type}", "Accept does not", f"Accept: {content_type}"
    )


def _wrong(status: HTTPStatus, what: str, why: str, next: str) -> Rejected:
    return Rejected(status, [Reason(what, why, next)])
