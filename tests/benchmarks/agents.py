"""What coding agents wait for at the API: lists of a full board, and handoffs of all of them beside a ship."""

from __future__ import annotations

import asyncio
import gc
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from time import perf_counter

import aiohttp
import aiosqlite
import msgspec
from aiohttp import web

from bot.api.limits import Rate
from core.permissions import Role
from tests.benchmarks.board import filled
from tests.benchmarks.figures import Figure, figure
from tests.benchmarks.team import Team
from tests.benchmarks.train_cost import confirmed_ship
from tests.world.api import DRAFT, HANDOFF, Agent, Door, listening, served_over

_LISTS = ("", "?stage=reviewed", "?repository=hub", "?builder=builder-3", "?text=fix%20coins", "?after=task-9")
_BOUNDLESS = Rate(10**9, 10**9)


def lists(folder: Path, *, tasks: int = 10_000, rounds: int = 120) -> list[Figure]:
    """Pages of 25 tasks, one after the other, through HTTP."""
    return asyncio.run(_listed(folder, tasks, rounds))


def handoffs(
    folder: Path, *, agents: int = 100, pauses: Sequence[float] = (0, 5), tool_seconds: int = 1
) -> list[Figure]:
    """Every agent hands off once, all in one instant and spread over so many seconds, while a train ships."""
    return [one for seconds in pauses for one in asyncio.run(_handed_off(folder, agents, seconds, tool_seconds))]


async def _listed(folder: Path, tasks: int, rounds: int) -> list[Figure]:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        async with AsyncExitStack() as stack:
            database = await filled(stack, Path(scratch) / "full", tasks)
            service = await stack.enter_async_context(served_over(database, Path(scratch), rate=_BOUNDLESS))
            ada = await service.agent("ada", Role.AGENT)
            asked = [f"/v1/tasks{_LISTS[number % len(_LISTS)]}" for number in range(-len(_LISTS), rounds)]
            times = [await _took(partial(ada.get, path)) for path in asked]
    return [figure(f"API list, p95 of {tasks:,} tasks", _p95(times[len(_LISTS) :]), "ms", bar=50)]


async def _handed_off(folder: Path, count: int, seconds: float, tool_seconds: int) -> list[Figure]:
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        teams = (Team(Path(scratch) / side, satellites=2, tool_seconds=tool_seconds) for side in ("alone", "beside"))
        async with confirmed_ship(next(teams), at_once=8) as (_, _, drive):
            alone = await _took(drive)
        async with (
            confirmed_ship(next(teams), at_once=8) as (registry, ports, drive),
            listening(registry, ports, _BOUNDLESS) as door,
        ):
            agents = [await _building(door, number) for number in range(count)]
            gc.freeze()  # as bot/serving.py does
            others = await _elsewhere(door.url, [agent.secret for agent in agents], seconds)
            ship = await _took(drive)
            times = await _times(others)
            lost = count - (await agents[0].get("/v1/tasks?stage=submitted"))["total"]
        async with _bare_server(Path(scratch) / "bare.db") as url:
            bare = _p95(await _times(await _elsewhere(url, ["x"] * count, seconds)))
    how = f"{count} handoffs over {seconds:g} s" if seconds else f"{count} handoffs at once"
    return [
        figure(f"{how}, p95", _p95(times), "ms", bar=250, baseline=f"{bare:.0f} ms at a server that only stores them"),
        figure(f"{how}, lost", lost, "handoffs", bar=0),
        figure(f"{how}, the ship beside them", ship / alone, "×", bar=1.1, baseline=f"{alone / 1000:.2f} s alone"),
    ]


async def _building(door: Door, number: int) -> Agent:
    """An agent in the middle of a task of its own."""
    agent = await door.agent(f"agent-{number}", Role.AGENT)
    await agent.post("/v1/tasks", {**DRAFT, "slug": f"t{number}"})
    await agent.post(f"/v1/tasks/t{number}/start")
    return agent


async def _elsewhere(url: str, secrets: Sequence[str], seconds: float) -> asyncio.subprocess.Process:
    """The agents in a process of their own, from their first word on: what is measured is the server."""
    argv = (sys.executable, "-m", "tests.benchmarks.agents", url, str(seconds))
    process = await asyncio.create_subprocess_exec(*argv, stdin=PIPE, stdout=PIPE)
    assert process.stdin and process.stdout
    process.stdin.write(msgspec.json.encode(secrets) + b"\n")
    assert await process.stdout.readline() == b"ready\n"
    process.stdin.close()
    return process


async def _times(agents: asyncio.subprocess.Process) -> list[float]:
    """How long each of them waited, once all are through."""
    return msgspec.json.decode((await agents.communicate())[0], type=list[float])


@asynccontextmanager
async def _bare_server(file: Path) -> AsyncGenerator[str]:
    """The least that a server can do: read the body and put it into SQLite, flushed, one after the other."""
    turn = asyncio.Lock()

    async def store(request: web.Request) -> web.Response:
        said = await request.text()
        async with turn:
            await database.execute("INSERT INTO handoffs VALUES (?)", (said,))
            await database.commit()
        return web.json_response(msgspec.json.decode(said))

    application = web.Application()
    application.router.add_post("/v1/tasks/{slug}/handoff", store)
    runner = web.AppRunner(application, access_log=None)
    async with aiosqlite.connect(file) as database:
        for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "CREATE TABLE handoffs (said TEXT)"):
            await database.execute(statement)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


async def _hand_off_all(url: str, secrets: Sequence[str], seconds: float) -> list[float]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        print("ready", flush=True)
        sys.stdin.read()
        agents = (Agent(session, url, secret) for secret in secrets)
        waits = (_hand_off(agent, number, seconds * number / len(secrets)) for number, agent in enumerate(agents))
        return await asyncio.gather(*waits)


async def _hand_off(agent: Agent, number: int, after_seconds: float) -> float:
    await asyncio.sleep(after_seconds)
    return await _took(lambda: agent.post(f"/v1/tasks/t{number}/handoff", HANDOFF))


async def _took(call: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds."""
    begun = perf_counter()
    await call()
    return (perf_counter() - begun) * 1000


def _p95(times: Sequence[float]) -> float:
    return sorted(times)[int(len(times) * 0.95)]


if __name__ == "__main__":
    told = msgspec.json.decode(sys.stdin.readline(), type=list[str])
    print(msgspec.json.encode(asyncio.run(_hand_off_all(sys.argv[1], told, float(sys.argv[2])))).decode())
