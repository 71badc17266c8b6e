"""The loopback Discord as one object: an HTTP and WebSocket server on 127.0.0.1 for the bot, and one for people.

What a request must pass before a handler sees it (same origin, outages, token, limits, schema) is here, nothing else.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

from aiohttp import web

from bot.demo.discord.forms import Misuse
from bot.demo.discord.gateway import Gateway
from bot.demo.discord.guild import Guild
from bot.demo.discord.interactions import Interactions
from bot.demo.discord.limits import Hit, Limits, Meter, RateLimited
from bot.demo.discord.openapi import load_openapi
from bot.demo.discord.people import PeopleApi, Person
from bot.demo.discord.protocol import ApiError, Call, Payload, Route, Upload, invalid_form
from bot.demo.discord.rest import Rest
from bot.demo.discord.transcript import Record, transcript
from bot.demo.faults import Fault, faulty
from bot.demo.listening import listen

_API = "/api/v10"


class LoopbackDiscord:
    """A Discord for one bot and a handful of people; `async with LoopbackDiscord() as discord: ...`.

    `record(kind, payload)` hears everything that people could see. Without `state_dir` nothing survives stop(). Ids
    (guild_id, channel_id, channel_ids and role_ids by name) never change. `violations` lists what the bot sent that
    Discord would refuse, `answers` our own answers that break Discord's document, `rate_limit_hits` every 429.
    """

    def __init__(
        self,
        *,
        state_dir: Path | None = None,
        record: Record | None = None,
        limits: Limits | None = None,
        page_dir: Path | None = None,
        port: int = 0,
        ack_seconds: float = 3.0,
        token_seconds: float = 900.0,
    ) -> None:
        self.token = "loopback-bot-token"
        self.violations: list[str] = []
        self.answers: list[str] = []
        self.base_url = ""
        self._temporary = None if state_dir else tempfile.TemporaryDirectory(prefix="loopback-discord-")
        self.guild = Guild(state_dir or Path(self._temporary.name if self._temporary else ""))
        self._meter = Meter(limits or Limits())
        self.rate_limit_hits: list[Hit] = self._meter.hits
        self.guild_id = int(self.guild.id)
        self.channel_ids = {name: int(channel_id) for name, channel_id in self.guild.channel_ids.items()}
        self.channel_id = next(iter(self.channel_ids.values()))
        self.role_ids = {name: int(role_id) for name, role_id in self.guild.role_ids.items()}
        self._interactions = Interactions(self.guild, ack_seconds, token_seconds)
        self._gateway = Gateway(self.guild, self.token)
        self._people = PeopleApi(self.guild, self._interactions)
        self._rest = Rest(self.guild, self._meter)
        self._openapi = load_openapi()
        self._faults: list[Fault] = []
        self._is_rest_down = False
        self.port, self._page_dir = port, page_dir
        if record:
            self.guild.listeners.append(transcript(self.guild, record))

    # --- life ---

    async def __aenter__(self) -> Self:
        """Listen on a loopback port and replay the state."""
        app = web.Application(middlewares=[self._same_origin, faulty(self._faults)], client_max_size=110 * 1024 * 1024)
        for route in [*self._rest.routes(), *self._interactions.routes()]:
            app.router.add_route(route.method, _API + route.path, self._serving(route))
        app.router.add_route("*", _API + "/{rest:.*}", self._unknown)
        app.router.add_get("/gateway", self._gateway.connect)
        app.router.add_get("/attachments/{id}/{name}", self._attachment)
        app.add_routes(self._people.routes())
        if self._page_dir:
            app.router.add_get("/", self._index)
            app.router.add_static("/", self._page_dir)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        self.port = await listen(self._runner, self.port)
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.guild.open(self.base_url)
        return self

    async def stop(self) -> None:
        """Close every connection; may be called twice."""
        self._people.close()
        await self._gateway.close_all(1001)
        await self._runner.cleanup()
        if self._temporary:
            self._temporary.cleanup()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def person(self, key: str) -> Person:
        """Somebody of the guild, by key (operator, second, agent, reviewer, stranger)."""
        return self._people.person(key)

    # --- faults ---

    async def outage(self, *, rest: bool | None = None, gateway: bool | None = None) -> None:
        """Take REST (503 to everything) or the gateway (sockets closed and refused) down, or up again with False."""
        self._is_rest_down = self._is_rest_down if rest is None else rest
        self._gateway.is_down = self._gateway.is_down if gateway is None else gateway
        if gateway:
            await self._gateway.close_all(1001)

    async def drop_gateway(self, code: int = 4000) -> None:
        """Close the bot's sockets."""
        await self._gateway.close_all(code)

    def script_fault(self, method: str, path_regex: str, status: int, times: int = 1, *, after: bool = False) -> None:
        """Answer the next matching requests with this status; with after, they have taken effect all the same."""
        self._faults.append(Fault(method, path_regex, status, times, after))

    # --- serving the bot ---

    def _serving(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            path = request.rel_url.raw_path.removeprefix(_API)
            headers: Mapping[str, str] = {}
            try:
                self._refuse_early(route, request)
                headers = self._count(route, request)
                status, body = self._pass_on(route, path, request.query, await _read(request), request.match_info)
            except ApiError as error:
                status, body = error.status, error.body
                headers = error.headers if isinstance(error, RateLimited) else headers
                if error.body["code"] in (50035, 50006):
                    reasons = [each["message"] for each in error.body.get("errors", {}).get("_errors", [])]
                    self.violations += [f"{route.method} {path}: {reason}" for reason in reasons or [str(error)]]
            if self._openapi:
                self.answers += self._openapi.answer_mistakes(route.method, path, status, body)
            return _json_response(status, body, headers)

        return serve

    def _refuse_early(self, route: Route, request: web.Request) -> None:
        if self._is_rest_down:
            raise ApiError(503, 0, "503: Service Unavailable")
        if not route.is_public and request.headers.get("Authorization") != f"Bot {self.token}":
            raise ApiError(401, 0, "401: Unauthorized")

    def _count(self, route: Route, request: web.Request) -> Mapping[str, str]:
        if not route.is_public:
            self._meter.take_global()
        path = request.match_info
        major = path.get("channel") or path.get("token") or path.get("guild") or ""
        return self._meter.take(route.kind, major) if route.kind else {}

    def _pass_on(
        self,
        route: Route,
        path: str,
        query: Mapping[str, str],
        sent: tuple[Any, Mapping[int, Upload]],
        variables: Mapping[str, str],
    ) -> tuple[int, object]:
        body, files = sent
        if self._openapi and (wrong := list(self._openapi.request_mistakes(route.method, path, query, body))):
            raise invalid_form(wrong)
        fields: Payload = {"list": body} if isinstance(body, list) else body or {}
        return route.handle(Call({key: unquote(value) for key, value in variables.items()}, query, fields, files))

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        self.violations.append(f"{request.method} {request.path}: the loopback does not know this endpoint")
        return _json_response(404, {"code": 0, "message": "404: Not Found"}, {})

    async def _index(self, _: web.Request) -> web.StreamResponse:
        return web.FileResponse((self._page_dir or Path()) / "index.html")

    async def _attachment(self, request: web.Request) -> web.StreamResponse:
        try:
            path = self.guild.file(request.match_info["id"], request.match_info["name"])
        except ApiError as error:
            return _json_response(error.status, error.body, {})
        safe = {"Content-Security-Policy": "sandbox", "X-Content-Type-Options": "nosniff"}
        return web.FileResponse(path, headers=safe)

    @web.middleware
    async def _same_origin(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Refuse foreign web pages: any page on the internet can make a browser send requests to 127.0.0.1."""
        own = {f"127.0.0.1:{self.port}", f"localhost:{self.port}"}
        origin = request.headers.get("Origin")
        if request.host not in own or (origin is not None and origin not in {f"http://{host}" for host in own}):
            return web.Response(status=403, text="only pages of this server may talk to it")
        try:
            return await handler(request)
        except Misuse as error:
            return web.Response(status=400, text=str(error))


async def _read(request: web.Request) -> tuple[Any, Mapping[int, Upload]]:
    """The decoded JSON body (None: no body) and the files of a multipart request."""
    if not request.content_type.startswith("multipart/"):
        text = await request.text()
        return (json.loads(text) if text else None), {}
    fields = await request.post()
    files = {
        int(name.removeprefix("files[").rstrip("]")): Upload(part.filename, part.content_type, part.file.read())
        for name, part in fields.items()
        if isinstance(part, web.FileField)
    }
    written = fields.get("payload_json")
    return json.loads(written) if isinstance(written, str) else {}, files


def _json_response(status: int, body: object, headers: Mapping[str, str]) -> web.Response:
    if body is None:
        return web.Response(status=status, headers=headers)
    # exactly this content type: discord.py compares it for equality
    content = json.dumps(body).encode()
    return web.Response(status=status, body=content, headers={**headers, "Content-Type": "application/json"})
