"""A loopback git host over smart HTTP: the real `git http-backend`, and the ways in which real hosts let us down."""

from __future__ import annotations

import asyncio
import base64
import os
from pathlib import Path
from typing import Literal, Self

from aiohttp import web

Fault = Literal["silent", "lose the answer", "hang up", "unavailable"]


class GitServer:
    """Serves every bare repository in `folder` as `url/NAME`.

    `faults` hold for the next pushes, one each: "silent" never answers; "unavailable" is a 503 before anything
    happened; "lose the answer" does it and breaks off in the middle of the answer; "hang up" does it and ends the
    connection without a byte, which makes curl send the push again. `is_silent` concerns every request, as does
    `password`, without which all is 401; `users` are the names that were shown.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: list[Fault] = []
        self.is_silent = False
        self.password: str | None = None
        self.users: list[str] = []
        self.pushes = 0
        self.url = ""
        self._over = asyncio.Event()
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if self.password is not None and not self._admits(request):
            said = "Invalid username or token." if "Authorization" in request.headers else "Authentication required."
            return web.Response(status=401, text=said, headers={"WWW-Authenticate": 'Basic realm="git"'})
        is_push = request.method == "POST" and request.path.endswith("/git-receive-pack")
        fault = self.faults.pop(0) if is_push and self.faults else None
        self.pushes += is_push
        if fault == "unavailable":
            return web.Response(status=503)
        if fault == "silent" or self.is_silent:
            await self._over.wait()
        head, body = await self._backend(request)
        if fault in ("lose the answer", "hang up"):
            answer = web.StreamResponse(headers={"Content-Type": "application/x-git-receive-pack-result"})
            if fault == "lose the answer":
                await answer.prepare(request)
                await answer.write(b"00")
            assert request.transport
            request.transport.abort()
            return answer
        rows = [line.split(": ", 1) for line in head.decode().split("\r\n") if line]
        headers = {name: value for name, value in rows if name != "Status"}
        status = next((int(value.split()[0]) for name, value in rows if name == "Status"), 200)
        return web.Response(status=status, body=body, headers=headers)

    def _admits(self, request: web.Request) -> bool:
        _, _, shown = request.headers.get("Authorization", "").partition(" ")
        user, _, password = base64.b64decode(shown).decode().partition(":")
        self.users += [user] if user else []
        return password == self.password

    async def _backend(self, request: web.Request) -> tuple[bytes, bytes]:
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "REQUEST_METHOD": request.method,
            "PATH_INFO": request.path,
            "QUERY_STRING": request.query_string,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": "",  # aiohttp has unpacked it
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "REMOTE_USER": "pusher",
            "REMOTE_ADDR": "127.0.0.1",
        }
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec("git", "http-backend", env=env, stdin=pipe, stdout=pipe)
        answer, _ = await child.communicate(await request.read())
        head, _, body = answer.partition(b"\r\n\r\n")
        return head, body
