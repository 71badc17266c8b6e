"""Server-sent events: what happens arrives as it happens, once, in order, also after a break."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import aiohttp
import pytest

from bot.api import streams
from core.permissions import Role
from tests.world.api import DRAFT, Agent, Service
from tests.world.toy_train import OLIVE, draft

PATIENCE_SECONDS = 20


@pytest.fixture(autouse=True)
def no_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    """What arrives within the patience has arrived by itself."""
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 600)


class Listener:
    """Reads a stream, block by block."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def block(self) -> dict[str, str]:
        """The next block: field → value; a comment is the field without a name."""
        lines: list[str] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            while line := (await self.response.content.readline()).decode().rstrip("\n"):
                lines.append(line)
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    async def event(self) -> dict[str, Any]:
        """The next event; comments are passed over."""
        while "data" not in (found := await self.block()):
            assert found, "the stream has ended"
        said = json.loads(found["data"])
        assert (found["id"], found["event"]) == (str(said["id"]), said["kind"])
        return said


@asynccontextmanager
async def listening(agent: Agent, path: str, **headers: str) -> AsyncGenerator[Listener]:
    said = {"Authorization": f"Bearer {agent.secret}"} | {name.replace("_", "-"): one for name, one in headers.items()}
    async with agent.session.get(agent.url + path, headers=said) as response:
        assert response.status == 200, await response.text()
        yield Listener(response)


async def test_what_happens_on_the_board_arrives_from_now_on(ada: Agent) -> None:
    await ada.post("/v1/tasks", DRAFT)
    async with listening(ada, "/v1/events") as listener:
        assert await listener.block() == {"": "still here"}
        await ada.post("/v1/tasks/gold-seats/start")
        event = await listener.event()
    assert (event["kind"], event["task"], event["actor"]) == ("task moved", "gold-seats", "ada")


async def test_what_happened_between_a_look_and_the_first_follower_is_not_kept_for_the_next_heartbeat(
    service: Service, ada: Agent
) -> None:
    found = streams.Streams(service.database)
    await ada.post("/v1/tasks", DRAFT)
    with found.one_more():
        moved = found.moved
        following = asyncio.create_task(found.follow())
        async with asyncio.timeout(PATIENCE_SECONDS):
            await moved.wait()
        following.cancel()


async def test_who_was_away_goes_on_with_the_next_one_missing_nothing_and_seeing_nothing_twice(ada: Agent) -> None:
    for number in range(4):
        await ada.post("/v1/tasks", {**DRAFT, "slug": f"t{number}"})
    async with listening(ada, "/v1/events?after=0") as listener:
        first = [await listener.event() for _ in range(2)]
    async with listening(ada, "/v1/events", Last_Event_ID=str(first[-1]["id"])) as listener:
        rest = [await listener.event() for _ in range(2)]
        assert await listener.block() == {"": "still here"}
    assert [event["task"] for event in first + rest] == ["t0", "t1", "t2", "t3"]


async def test_a_ship_is_followed_from_its_beginning_to_its_end(service: Service, ada: Agent) -> None:
    await service.station.prepared(draft("words", "docs"))
    async with listening(ada, "/v1/releases/-/events") as listener:
        driven = asyncio.create_task(service.station.dispatcher.drive(await service.station.confirmed()))
        kinds = [(await listener.event())["kind"]]
        while kinds[-1] != "run finished":
            kinds.append((await listener.event())["kind"])
        await driven
    assert kinds[0] == "release opened"
    assert kinds.index("run confirmed") < kinds.index("step started") < kinds.index("step done")


async def test_a_quiet_stream_says_that_it_is_still_there(ada: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.02)
    async with listening(ada, "/v1/events") as listener:
        assert [await listener.block() for _ in range(3)] == [{"": "still here"}] * 3


async def test_a_token_that_is_revoked_hears_no_more(
    service: Service, ada: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.02)
    async with listening(ada, "/v1/events") as listener:
        await listener.block()
        [token] = [one for one in await service.doorkeeper.tokens(OLIVE) if one.name == "ada"]
        await service.doorkeeper.revoke(OLIVE, token.id)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await listener.response.content.read()


async def test_streams_are_bounded_for_each_and_a_closed_one_gives_its_place_back(service: Service, ada: Agent) -> None:
    async with aclosing(_many(ada, 8)) as held:
        await anext(held)
        refused = await ada.ask("GET", "/v1/events")
        assert (refused.status, refused.headers["Retry-After"]) == (429, "15")
        rex = await service.agent("rex", Role.REVIEWER)
        async with listening(rex, "/v1/events") as listener:
            await listener.block()


async def _many(agent: Agent, count: int) -> AsyncGenerator[None]:
    if not count:
        yield
        return
    async with listening(agent, "/v1/events") as listener:
        await listener.block()
        async with aclosing(_many(agent, count - 1)) as inner:
            await anext(inner)
            yield
