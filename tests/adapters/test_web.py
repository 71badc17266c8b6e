"""The door to HTTP, with a real server on loopback."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncGenerator

import pytest
from aiohttp import web

from adapters import web as door
from adapters.web import Web
from core.errors import Unreachable


async def greet(request: web.Request) -> web.Response:
    answer = web.json_response({"cookie": request.headers.get("Cookie", ""), "who": request.headers.get("X-Who")})
    answer.set_cookie("seen", "yes")
    return answer


async def elsewhere(request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "/greet"})


async def broken(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Length": "100"})
    await answer.prepare(request)
    await answer.write(b"half")
    assert request.transport
    request.transport.abort()
    return answer


async def silent(request: web.Request) -> web.Response:
    await asyncio.Event().wait()
    return web.Response()


async def huge(request: web.Request) -> web.Response:
    return web.Response(body=gzip.compress(bytes(3_000_000)), headers={"Content-Encoding": "gzip"})


@pytest.fixture
async def url() -> AsyncGenerator[str]:
    app = web.Application()
    for handler in (greet, elsewhere, broken, silent, huge):
        app.router.add_get(f"/{handler.__name__}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "localhost", 0).start()
    yield f"http://localhost:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def ours() -> AsyncGenerator[Web]:
    ours = Web(timeout_seconds=1)
    yield ours
    await ours.close()


async def test_any_status_is_an_answer_and_redirects_are_told_not_followed(url: str, ours: Web) -> None:
    answer = await ours.get(f"{url}/elsewhere")
    assert (answer.status, answer.headers["location"]) == (302, "/greet")
    assert (await ours.get(f"{url}/nothing")).status == 404


async def test_an_answer_does_not_depend_on_the_one_before(url: str, ours: Web) -> None:
    """localhost, because cookies of bare addresses are never kept."""
    for _ in range(2):
        answer = await ours.get(f"{url}/greet", {"X-Who": "us"})
        assert json.loads(answer.body) == {"cookie": "", "who": "us"}


async def test_half_an_answer_is_none(url: str, ours: Web) -> None:
    with pytest.raises(Unreachable, match="does not answer"):
        await ours.get(f"{url}/broken")


async def test_a_silent_server_hits_the_deadline(url: str, ours: Web) -> None:
    with pytest.raises(Unreachable, match="does not answer"):
        await ours.get(f"{url}/silent")


async def test_nobody_there_is_cannot_tell_and_shows_no_password(ours: Web) -> None:
    with pytest.raises(Unreachable) as caught:
        await ours.get("http://ada:s3cret@127.0.0.1:1/up")
    assert caught.value.reasons[0].what == "http://127.0.0.1:1/up does not answer"
    assert "s3cret" not in str(caught.value)


async def test_an_address_that_is_none_is_cannot_tell(ours: Web) -> None:
    with pytest.raises(Unreachable):
        await ours.get("no address")


async def test_a_small_answer_that_unpacks_to_a_huge_one_is_not_taken(
    url: str, ours: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len((await ours.get(f"{url}/huge")).body) == 3_000_000
    monkeypatch.setattr(door, "_LONGEST", 1_000_000)
    with pytest.raises(Unreachable, match="more than 1000000 bytes"):
        await ours.get(f"{url}/huge")
