"""Scripted faults for the loopback servers: an aiohttp middleware that answers wrongly, late, or not at all."""

from __future__ import annotations

import re

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware


class Fault(msgspec.Struct):
    """The next `times` requests that match get `status`, or a cut connection (`drop`).

    With `after` the work is done all the same and only its answer is lost.
    """

    method: str
    path_regex: str
    status: int = 503
    times: int = 1
    after: bool = False
    drop: bool = False


def faulty(faults: list[Fault]) -> Middleware:
    """A middleware that obeys `faults`, which may grow while it runs."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        for fault in faults:
            if fault.times and fault.method == request.method and re.search(fault.path_regex, request.path):
                fault.times -= 1
                if fault.after:
                    await handler(request)
                if fault.drop and request.transport:
                    request.transport.abort()
                return web.Response(status=fault.status, text=f"HTTP {fault.status} page")
        return await handler(request)

    return middleware
