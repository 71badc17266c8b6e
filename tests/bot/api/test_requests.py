"""What the API says to requests that are wrong, too many, too large or too late; HEAD and OPTIONS; who may ask."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import get_args
from urllib.parse import SplitResult, urlsplit

import pytest

from bot.api.limits import BODY_BYTES, Rate
from bot.api.routes import ROUTES, Route
from core.permissions import Role
from tests.world.api import DRAFT, HANDOFF, Agent, Service, serving
from tests.world.toy_train import OLIVE
from tests.world.waiting import until

TASK = "/v1/tasks/gold-seats"


async def test_everything_that_is_wrong_with_a_body_is_said_at_once(ada: Agent) -> None:
    wrong = {"title": 7, "type": "festure", "works": [{"repository": "hub", "brunch": "x"}], "colour": "gold"}
    refused = await ada.ask("POST", "/v1/tasks", wrong)
    assert (refused.status, refused.headers["Content-Type"]) == (422, "application/problem+json")
    found = "\n".join(refused.whats)
    for part in (
        "title: 7 is not",
        "type:",
        "unknown key 'works.0.brunch'",
        "unknown key 'colour'",
        "shape is missing",
    ):
        assert part in found
    [brunch] = [reason for reason in refused.said["reasons"] if "brunch" in reason["what"]]
    assert (brunch["why"], brunch["next"]) == ("known: repository, branch", "did you mean branch?")
    assert refused.said["status"] == 422
    assert all(reason["why"] and reason["next"] for reason in refused.said["reasons"])


@pytest.mark.parametrize("route", [one for one in ROUTES if "/releases/{slug}" in one.path], ids=lambda one: one.name)
def test_a_dash_is_the_active_release_wherever_one_is_named(route: Route) -> None:
    assert type(None) in get_args(route.arguments.path["slug"])


async def test_a_dash_without_an_active_release_says_so(service: Service) -> None:
    olive = await service.agent("olive", Role.OPERATOR)
    refused = await olive.ask("POST", "/v1/releases/-/ship", {"digest": "0" * 10})
    assert (refused.status, refused.whats) == (409, ["no release is active"])


async def test_everything_that_is_wrong_with_a_query_is_said_at_once(ada: Agent) -> None:
    refused = await ada.ask("GET", "/v1/tasks?stage=null&limit=many&colour=gold&text=a&text=b")
    assert refused.status == 422
    assert len(refused.whats) == 4


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b'{"title": "\xff"}', 400),
        (b"[" * 100_000 + b"]" * 100_000, 422),
        (b'{"title": ' + b"[" * 40 + b"]" * 40 + b"}", 422),
        (b"[]", 422),
        (b'"text"', 422),
        (b'{"title": "a\\u0000b"}', 422),
        (b'{"x": 1' + b"0" * 400 + b"}", 422),
    ],
)
async def test_a_body_that_is_no_good_is_a_problem_and_no_breakdown(ada: Agent, body: bytes, status: int) -> None:
    refused = await ada.ask("POST", "/v1/tasks", body)
    assert (refused.status, refused.headers["Content-Type"]) == (status, "application/problem+json")


async def test_a_megabyte_is_read_and_one_byte_more_is_not(ada: Agent) -> None:
    await ada.post("/v1/tasks", DRAFT)
    frame = len(json.dumps({"body": ""}))
    whole = {"body": "x" * (BODY_BYTES - frame)}
    assert (await ada.ask("POST", f"{TASK}/comment", json.dumps(whole).encode())).status == 200
    over = json.dumps({"body": "x" * (BODY_BYTES - frame + 1)}).encode()
    refused = await ada.ask("POST", f"{TASK}/comment", over)
    assert (refused.status, refused.said["type"]) == (413, "/#request-entity-too-large")


async def test_a_body_without_a_length_is_bounded_too(ada: Agent, service: Service) -> None:
    async def endless():
        while True:
            yield b"x" * 65536

    headers = {"Authorization": f"Bearer {ada.secret}", "Idempotency-Key": "k", "Content-Type": "application/json"}
    async with service.session.post(f"{service.url}/v1/tasks", data=endless(), headers=headers) as response:
        assert response.status == 413


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/v1/nothing", {}, 404),
        ("GET", "/v1/tasks/no-such-task", {}, 404),
        ("GET", "/v1/releases/no-such-release", {}, 404),
        ("GET", "/v1/releases/no-such-release/events", {"Accept": "text/event-stream"}, 404),
        ("DELETE", "/v1/tasks", {}, 405),
        ("PUT", "/", {}, 405),
        ("GET", "/v1/tasks", {"Accept": "text/html"}, 406),
        ("GET", "/v1/tasks", {"Accept": "application/json;q=0"}, 406),
        ("GET", "/v1/events", {"Accept": "application/json"}, 406),
        ("POST", "/v1/tasks", {"Content-Type": "text/plain"}, 415),
        ("POST", "/v1/tasks", {"Idempotency_Key": ""}, 400),
        ("POST", "/v1/tasks", {"Idempotency_Key": "k" * 201}, 400),
        ("GET", "/v1/events", {"Last_Event_ID": "yesterday"}, 400),
        ("GET", "/v1/tokens", {}, 403),
        ("GET", "/v1/tasks/%00", {}, 422),
        ("POST", "/v1/tokens/seven/revoke", {}, 422),
    ],
)
async def test_what_cannot_be_answered_has_its_own_status(
    ada: Agent, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    refused = await ada.ask(method, path, DRAFT if method == "POST" and "token" not in path else None, **headers)
    assert (refused.status, refused.headers["Content-Type"]) == (status, "application/problem+json")
    assert refused.said["reasons"][0]["what"]


async def test_without_a_good_token_nothing_is_said(service: Service, ada: Agent) -> None:
    bad = (f"Bearer {ada.secret}x", f"Token {ada.secret}", "Bearer \udcff\udcfe")  # the last: bytes that are no text
    for header in ("", "Basic YTpi", "Bearer", "Bearer made-up", *bad):
        refused = await ada.ask("GET", "/v1/tasks", Authorization=header)
        assert refused.status == 401
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_revoked_and_an_expired_token_are_told_so(service: Service, ada: Agent, olive: Agent) -> None:
    [of_ada] = [token for token in await olive.get("/v1/tokens") if token["name"] == "ada"]
    await olive.post(f"/v1/tokens/{of_ada['id']}/revoke")
    refused = await ada.ask("GET", "/v1/me")
    assert (refused.status, refused.whats) == (401, ["this token of ada is revoked"])
    short = Agent(ada.session, ada.url, (await service.doorkeeper.issue(OLIVE, "bob", [Role.AGENT], days=1)).secret)
    assert (await short.get("/v1/me"))["name"] == "bob"
    service.station.world.now += timedelta(days=2)
    assert (await short.ask("GET", "/v1/me")).whats == ["this token of bob has expired"]


async def test_roles_are_those_of_the_token_whatever_the_body_says(ada: Agent, rex: Agent) -> None:
    refused = await rex.ask("POST", "/v1/tasks", DRAFT)
    assert (refused.status, refused.said["type"]) == (403, "/#forbidden")
    assert (await ada.ask("POST", "/v1/releases", {"slug": "r1"})).status == 403


async def test_head_is_a_get_without_its_body_and_options_says_what_there_is(ada: Agent) -> None:
    for path in ("/", "/openapi.json", "/v1/me", "/v1/tasks"):
        head, get = await ada.ask("HEAD", path), await ada.ask("GET", path)
        assert (head.status, head.said) == (200, b"")
        assert head.headers["Content-Length"] == get.headers["Content-Length"]
    options = await ada.ask("OPTIONS", "/v1/tasks")
    assert (options.status, options.headers["Allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    assert (await ada.ask("DELETE", "/v1/tasks")).headers["Allow"] == "GET, HEAD, OPTIONS, POST"


async def test_who_asks_too_often_is_told_when_to_come_back(tmp_path: Path) -> None:
    async with serving(tmp_path, rate=Rate(burst=5, per_second=0.1)) as service:
        ada, rex = await service.agent("ada", Role.AGENT), await service.agent("rex", Role.REVIEWER)
        told = [await ada.ask("GET", "/v1/me") for _ in range(6)]
        assert [answer.status for answer in told] == [200] * 5 + [429]
        assert 0 < int(told[-1].headers["Retry-After"]) <= 10
        assert (await rex.ask("GET", "/v1/me")).status == 200


async def test_a_day_of_work_in_a_minute_meets_no_limit(ada: Agent) -> None:
    told = await asyncio.gather(*(ada.ask("GET", "/v1/me") for _ in range(150)))
    assert {answer.status for answer in told} == {200}


async def test_a_client_that_leaves_in_the_middle_of_its_words_changes_nothing(service: Service, ada: Agent) -> None:
    place = urlsplit(service.url)
    _, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(
        f"POST /v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ada.secret}\r\nIdempotency-Key: k\r\n"
        'Content-Type: application/json\r\nContent-Length: 5000\r\n\r\n{"title": "half'.encode()
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await ada.get("/v1/tasks"))["total"] == 0


async def test_a_connection_that_says_nothing_or_half_a_head_is_dropped_and_slow_work_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.api.server.HEAD_SECONDS", 0.5)
    async with serving(tmp_path) as service:
        ada, place, body = await service.agent("ada", Role.AGENT), urlsplit(service.url), json.dumps(DRAFT).encode()
        head = f"Host: x\r\nAuthorization: Bearer {ada.secret}\r\n".encode()
        said = (
            b"GET /v1/events HTTP/1.1\r\n" + head + b"\r\n",
            b"POST /v1/tasks HTTP/1.1\r\nIdempotency-Key: k\r\nContent-Type: application/json\r\n"
            + b"Content-Length: %d\r\n%s\r\n%s" % (len(body), head, body[:9]),
            b"",
            b"GET /v1/me HTTP/1.1\r\n" + head,
        )
        async with AsyncExitStack() as open_ones, asyncio.timeout(20):
            opened = [await open_ones.enter_async_context(_connected(place, words)) for words in said]
            (events, _), (made, slow), (silent, _), (half, _) = opened
            assert (await silent.read(), await half.read()) == (b"", b"")
            slow.write(body[9:])
            assert b" 201 " in await made.readline()
            await events.readuntil(b"event: task created")


async def test_more_connections_than_the_server_takes_are_told_so_and_closed(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = urlsplit(service.url)
    monkeypatch.setattr("bot.api.limits.CONNECTIONS", 1)

    async def is_served() -> bool:
        with suppress(ConnectionError):
            async with _connected(place, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") as (reader, _):
                return b" 200 " in await reader.readline()
        return False

    async with asyncio.timeout(20), _connected(place, b""), _connected(place, b"") as (reader, _):
        assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
    await until(is_served)


@asynccontextmanager
async def _connected(
    place: SplitResult, words: bytes
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection on which `words` were sent."""
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        writer.write(words)
        await writer.drain()
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_client_that_leaves_before_the_answer_has_its_write_done_and_learns_it_with_the_same_key(
    service: Service, ada: Agent
) -> None:
    place, body = urlsplit(service.url), json.dumps(DRAFT)
    _, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(
        f"POST /v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ada.secret}\r\nIdempotency-Key: gone\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    await writer.drain()

    async def is_written() -> bool:
        return (await ada.get("/v1/tasks"))["total"] > 0

    await until(is_written)  # whether or not anybody reads the answer
    writer.transport.abort()
    again = await ada.ask("POST", "/v1/tasks", body.encode(), Idempotency_Key="gone")
    assert (again.status, again.headers["Idempotency-Replayed"]) == (201, "true")
    assert (await ada.get("/v1/tasks"))["total"] == 1


async def test_the_document_names_every_route_and_the_page_every_path(ada: Agent) -> None:
    document = await ada.get("/openapi.json", Authorization="")
    page = (await ada.get("/", Authorization="", Accept="text/html")).decode()
    assert "`" not in page and "<code>Idempotency-Key</code>" in page
    for route in ROUTES:
        assert route.method.lower() in document["paths"][route.path]
        assert f"{route.method} {route.path}" in page
    assert document["openapi"] == "3.1.0"
    assert not re.search(r"\$ref|\bspec \d|\bL\d\d\b", page)
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(re.findall(r'id="([^"]+)"', page))
    for kind in ("unauthorized", "not-found", "unprocessable-entity", "needs-operator"):  # as `type` names them
        assert f'id="{kind}"' in page
    assert '<td><code>tasks</code></td><td>list of <a href="#Task">Task</a></td>' in page
    for outside in ("http://", "https://", "<script", "src="):
        assert outside not in page


async def test_nobody_reports_less_than_nothing(service: Service, ada: Agent) -> None:
    """Spec 2.3: what work took is summed up by those who pay for it."""
    await ada.post("/v1/tasks", {**DRAFT, "slug": "seats"})
    await ada.post("/v1/tasks/seats/start")
    refused = await ada.ask("POST", "/v1/tasks/seats/handoff", {**HANDOFF, "reported": {"tokens": -5, "cost_usd": -1}})
    assert refused.status == 422 and len(refused.whats) == 2
