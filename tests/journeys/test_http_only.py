"""A coding agent, its reviewers and an operator who have nothing but HTTP: from a new task to production."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest

from core.permissions import Role
from tests.world import waiting
from tests.world.api import Agent
from tests.world.demo_trains import DemoJourney
from tests.world.postgres import postgres as postgres
from tests.world.stations import OLIVE, PATIENCE_SECONDS, Depot

BRANCH = "feat/kiosk-news"
TASK = {
    "title": "Kiosk news",
    "type": "feature",
    "shape": "script",
    "works": [{"repository": "kiosk", "branch": BRANCH}],
    "acceptance_criteria": "the kiosk tells the news",
    "test_plan": "read them",
}


@asynccontextmanager
async def served(journey: DemoJourney) -> AsyncGenerator[str]:
    """`stationmaster serve --no-discord` as a process of its own; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    await journey.configure("bot", lambda content: content.update(api={"port": port}))
    process = await journey.spawn("serve", "--no-discord")
    url = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession() as session:

            async def is_up() -> bool:
                assert process.returncode is None
                with suppress(aiohttp.ClientConnectorError):
                    async with session.get(f"{url}/openapi.json") as response:
                        return response.status == 200
                return False

            await waiting.until(is_up)
        yield url
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        said, _ = await process.communicate()
        told = said.decode()
        assert f"serving the API at {url}/" in told
        assert re.search(r"^\S+ \S+ INFO task moved: kiosk-news by \w+ origin=submitted to=reviewed$", told, re.M)


async def until(agent: Agent, kind: str, after: int = 0) -> Mapping[str, Any]:
    """Follow the release until that happens."""
    headers = {"Authorization": f"Bearer {agent.secret}", "Last-Event-ID": str(after)}
    stream = agent.session.get(f"{agent.url}/v1/releases/r1/events", headers=headers)
    async with asyncio.timeout(PATIENCE_SECONDS), stream as response:
        async for line in response.content:
            if line.startswith(b"data: "):
                event = json.loads(line.removeprefix(b"data: "))
                assert event["kind"] not in ("run stopped", "step failed", "step unknown"), event
                if event["kind"] == kind:
                    return event
    raise AssertionError("the stream has ended")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """Variables that say where the record is."""
    if request.param == "sqlite":
        return {}
    return {"STATIONMASTER_DATABASE_URL": request.getfixturevalue("postgres").new_database()}


async def test_a_task_goes_from_new_to_production_by_http_alone(
    depot: Depot[DemoJourney], database: Mapping[str, str]
) -> None:
    async with depot.journey() as journey:
        journey.environ |= database
        await journey.reopen()
        await journey.git("kiosk", "checkout", "--quiet", "-b", BRANCH, "origin/main")
        (journey.checkout("kiosk") / "news.txt").write_text("gold is up\n")
        await journey.git("kiosk", "add", "news.txt")
        await journey.git("kiosk", "commit", "--quiet", "--message", "Tell the news")
        await journey.git("kiosk", "push", "--quiet", "origin", BRANCH)
        async with served(journey) as url, aiohttp.ClientSession() as session:

            async def agent(name: str, *roles: Role) -> Agent:
                issued = await journey.station.doorkeeper.issue(OLIVE, name, roles)
                return Agent(session, url, issued.secret)

            ada, olive = await agent("ada", Role.AGENT), await agent("olive", Role.OPERATOR)
            rex, lux = await agent("rex", Role.REVIEWER), await agent("lux", Role.REVIEWER)

            slug = (await ada.post("/v1/tasks", TASK))["slug"]
            await ada.post(f"/v1/tasks/{slug}/start")
            early = await ada.ask("POST", f"/v1/tasks/{slug}/handoff", {"changed": "the news"})
            assert early.status == 409 and "no [integration] check" in early.whats
            said = {"changed": "the news", "checks": ["[integration] make test: green"]}
            await ada.post(f"/v1/tasks/{slug}/handoff", said)
            for seat, reviewer in (("heavy", rex), ("light", lux)):
                await reviewer.post(f"/v1/tasks/{slug}/review", {"seat": seat, "verdict": "approve"})

            await olive.post("/v1/releases", {"slug": "r1", "tasks": [slug]})
            await olive.post("/v1/releases/-/prepare")
            prepared = await until(olive, "run finished")
            offer = await olive.post("/v1/releases/-/offer")
            assert offer["problems"] == []
            await olive.post("/v1/releases/-/ship", {"digest": offer["digest"]})
            await until(olive, "run finished", prepared["id"])

            assert (await ada.get(f"/v1/tasks/{slug}"))["task"]["stage"] == "shipped"
            assert [task["slug"] for task in (await ada.get("/v1/releases/r1/notes"))["tasks"]] == [slug]
            live = {one["app"]["name"]: one for one in await ada.get("/v1/deployments")}
            assert live["kiosk"]["release"] == "r1" and live["kiosk"]["seal"]["status"] == "green"
