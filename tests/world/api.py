"""A real API server on loopback over a toy train and a real database, and agents who speak HTTP to it."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec

from adapters.database.records import Database
from bot.api.limits import Rate
from bot.api.server import Api
from core.board import Board
from core.conductor import Conductor
from core.doorkeeper import Doorkeeper
from core.permissions import Role
from core.ports import Ports
from core.records import Records
from core.registry import Registry
from tests.world.toy import World
from tests.world.toy_record import database_in
from tests.world.toy_train import OLIVE, Station, lay_out

DRAFT: dict[str, Any] = {
    "title": "Gold seats",
    "type": "feature",
    "shape": "toy",
    "works": [{"repository": "hub", "branch": "feat/gold"}],
    "acceptance_criteria": "seats are gold",
    "test_plan": "look at them",
}
HANDOFF: dict[str, Any] = {"changed": "the colour", "verified": "it is gold", "checks": ["[unit] pytest -q: 3 passed"]}


class Answered(NamedTuple):
    """What came back: status, what the JSON says, headers."""

    status: int
    said: Any
    headers: Any

    @property
    def whats(self) -> list[str]:
        """What is wrong, of every reason of a problem."""
        return [reason["what"] for reason in self.said["reasons"]]


class Agent:
    """Speaks to the API with one token, as a program does."""

    def __init__(self, session: aiohttp.ClientSession, url: str, secret: str) -> None:
        self.session, self.url, self.secret = session, url, secret

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answered:
        """One request; a write gets a new Idempotency-Key unless `headers` has one (underscores are dashes)."""
        said = {"Authorization": f"Bearer {self.secret}", "Idempotency-Key": uuid.uuid4().hex}
        said |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = None if body is None else BytesIO(body if isinstance(body, bytes) else msgspec.json.encode(body))
        if data is not None:
            said.setdefault("Content-Type", "application/json")
        async with self.session.request(method, self.url + path, data=data, headers=said) as response:
            text = await response.read()
            is_json = text and "json" in response.content_type
            return Answered(response.status, msgspec.json.decode(text) if is_json else text, response.headers)

    async def get(self, path: str, **headers: str) -> Any:
        """What a GET says; it must be well."""
        return _well(await self.ask("GET", path, **headers))

    async def post(self, path: str, body: object = None, **headers: str) -> Any:
        """What a POST says; it must be well."""
        return _well(await self.ask("POST", path, body, **headers))


class Door:
    """Where the server listens, and who lets people in."""

    def __init__(self, url: str, session: aiohttp.ClientSession, doorkeeper: Doorkeeper) -> None:
        self.url, self.session, self.doorkeeper = url, session, doorkeeper

    async def agent(self, name: str, *roles: Role) -> Agent:
        """Somebody with a token of these roles."""
        return Agent(self.session, self.url, (await self.doorkeeper.issue(OLIVE, name, roles)).secret)


class Service(Door):
    """The server of a toy train, with its station and its record."""

    def __init__(self, door: Door, station: Station, database: Records) -> None:
        super().__init__(door.url, door.session, door.doorkeeper)
        self.station, self.database = station, database

    async def submitted(self, builder: Agent, slug: str) -> None:
        """A new task of `builder`, handed off."""
        await builder.post("/v1/tasks", {**DRAFT, "slug": slug})
        await builder.post(f"/v1/tasks/{slug}/start")
        await builder.post(f"/v1/tasks/{slug}/handoff", HANDOFF)

    async def reviewed(self, builder: Agent, reviewers: Iterable[Agent], slug: str) -> None:
        """The same, approved in both seats."""
        await self.submitted(builder, slug)
        for seat, reviewer in zip(("heavy", "light"), reviewers, strict=True):
            await reviewer.post(f"/v1/tasks/{slug}/review", {"seat": seat, "verdict": "approve"})


@asynccontextmanager
async def listening(registry: Registry, ports: Ports, rate: Rate | None) -> AsyncGenerator[Door]:
    """A server over the train of those ports, until the end of the block."""

    def on(records: Records) -> dict[type, object]:
        within: Ports = msgspec.structs.replace(ports, records=records)
        board = Board(registry, {"toy": ("unit",)}, within)
        found = (board, Conductor(registry, within), Doorkeeper(within, secrets.token_urlsafe))
        return {type(one): one for one in found}

    api = Api(ports.records, ports.clock, on, rate=rate)
    connections = aiohttp.TCPConnector(limit=0)
    async with api.listening("127.0.0.1", 0) as url, aiohttp.ClientSession(connector=connections) as session:
        yield Door(url, session, Doorkeeper(ports, secrets.token_urlsafe))


@asynccontextmanager
async def serving(folder: Path, *, rate: Rate | None = None) -> AsyncGenerator[Service]:
    """A server over a toy train in `folder`, until the end of the block."""
    database = database_in(folder)
    await database.open()
    await database.upgrade()
    try:
        async with served_over(database, folder, rate=rate) as service:
            yield service
    finally:
        await database.close()


@asynccontextmanager
async def served_over(database: Database, folder: Path, *, rate: Rate | None = None) -> AsyncGenerator[Service]:
    """The same, over a record that is there."""
    world = World()
    lay_out(world)
    station = Station(world, database, folder)
    async with listening(station.registry, station.ports, rate) as door:
        yield Service(door, station, database)


def _well(answered: Answered) -> Any:
    assert answered.status < 300, answered
    return answered.said
